//! Who reads: the checkpointer has the log begin anew while nobody does.
//!
//! Short reads come by all the time and are over within milliseconds: the gate is shut before them for a moment. Long
//! ones (a check, a clone, a count of all rows) are never waited for: while one is under way, the log grows.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::types::about_to_wait;

/// The reads that are under way.
#[derive(Debug, Default)]
pub(in crate::meta) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    short: usize,
    long: usize,
    shut: bool,
}

/// How long a read may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum Duty {
    /// A bounded number of rows.
    Short,
    /// As long as the volume is large.
    Long,
}

/// A read that is under way, until this is dropped.
#[derive(Debug)]
pub(in crate::meta) struct Passage<'g> {
    gate: &'g Gate,
    duty: Duty,
}

/// No read is under way, until this is dropped.
#[derive(Debug)]
pub(in crate::meta) struct Shut<'g>(&'g Gate);

impl Gate {
    /// Lets a read begin; waits while the gate is shut.
    pub(in crate::meta) fn enter(&self, duty: Duty) -> Passage<'_> {
        let mut state = self.lock();
        if state.shut {
            // For as long as a checkpoint takes to sync.
            drop(state);
            about_to_wait();
            let waited = self.changed.wait_while(self.lock(), |state| state.shut);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *state.count(duty) += 1;
        Passage { gate: self, duty }
    }

    /// Shuts the gate once the short reads are over that are under way. `None`, and the gate is open, when there is a
    /// long one, or the short ones take longer than `wait_max`.
    pub(in crate::meta) fn shut(&self, wait_max: Duration) -> Option<Shut<'_>> {
        let mut state = self.lock();
        if state.long > 0 || state.shut {
            return None;
        }
        state.shut = true;
        let until = Instant::now() + wait_max;
        let shut = Shut(self);
        while state.short > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(shut)
    }

    /// Whether a long read is under way.
    pub(in crate::meta) fn has_long(&self) -> bool {
        self.lock().long > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn count(&mut self, duty: Duty) -> &mut usize {
        match duty {
            Duty::Short => &mut self.short,
            Duty::Long => &mut self.long,
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        *state.count(self.duty) -= 1;
        if state.shut {
            self.gate.changed.notify_all();
        }
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.lock().shut = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{scope, sleep};

    const MOMENT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_long_read_is_not_waited_for() {
        let gate = Gate::default();
        let read = gate.enter(Duty::Long);
        let since = Instant::now();
        assert!(gate.shut(LONG).is_none() && gate.has_long());
        assert!(since.elapsed() < LONG);
        drop(gate.enter(Duty::Short));
        drop(read);
        assert!(gate.shut(LONG).is_some());
    }

    #[test]
    fn short_reads_are_waited_for_and_the_gate_opens_again_when_they_take_too_long() {
        let gate = Gate::default();
        let read = gate.enter(Duty::Short);
        assert!(gate.shut(MOMENT).is_none());
        drop(gate.enter(Duty::Short));
        scope(|scope| {
            let shutting = scope.spawn(|| gate.shut(LONG).is_some());
            sleep(MOMENT);
            drop(read);
            assert!(shutting.join().unwrap());
        });
    }

    #[test]
    fn who_comes_while_it_is_shut_waits() {
        let gate = Gate::default();
        let shut = gate.shut(MOMENT).unwrap();
        scope(|scope| {
            let gate = &gate;
            let readers =
                [Duty::Short, Duty::Long].map(|duty| scope.spawn(move || drop(gate.enter(duty))));
            sleep(MOMENT);
            assert!(readers.iter().all(|reader| !reader.is_finished()));
            drop(shut);
        });
    }
}
