//! Waiting for the writes that are on their way: the kernel has sent them, or is about to, and nobody has
//! been told that they are done.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// No write for this long means that none is on its way: a server takes the next one within microseconds.
const QUIET: Duration = Duration::from_millis(1);
/// Whoever writes without a pause is not waited for any longer.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The writes that are being handled.
#[derive(Debug, Default)]
pub(in crate::volume) struct Arrivals {
    counts: Mutex<Counts>,
    arrived: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    begun: u64,
    ended: u64,
}

/// A write that is being handled, until this is dropped.
#[derive(Debug)]
pub(in crate::volume) struct UnderWay<'a>(&'a Arrivals);

impl Arrivals {
    /// A write has arrived.
    pub(in crate::volume) fn begin(&self) -> UnderWay<'_> {
        self.lock().begun += 1;
        self.arrived.notify_all();
        UnderWay(self)
    }

    /// Waits, a moment at most, until the writes that are on their way have been handled.
    pub(super) fn wait_for_quiet(&self) {
        self.wait_for_quiet_at_most(WAIT_MAX);
    }

    /// Waits until all writes are handled and no other comes for a moment, or for `wait_max`.
    fn wait_for_quiet_at_most(&self, wait_max: Duration) {
        let since = Instant::now();
        let mut counts = self.lock();
        // Nobody writes to a volume that was only just opened for a command.
        while counts.begun > 0 && since.elapsed() < wait_max {
            let before = counts.begun;
            self.arrived
                .wait_while_for(&mut counts, |counts| counts.begun == before, QUIET);
            if counts.begun == before && counts.ended == before {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // Nobody is woken: who waits looks again after a millisecond.
        self.0.lock().ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{scope, sleep};

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn writes_that_are_under_way_are_waited_for() {
        let arrivals = Arrivals::default();
        let write = arrivals.begin();
        let since = Instant::now();
        scope(|scope| {
            let waiting = scope.spawn(|| arrivals.wait_for_quiet_at_most(LONG));
            sleep(Duration::from_millis(30));
            assert!(!waiting.is_finished());
            drop(write);
        });
        assert!(since.elapsed() < LONG);
    }

    #[test]
    fn a_writer_without_a_pause_is_not_waited_for_for_ever() {
        let arrivals = Arrivals::default();
        let _never_ends = arrivals.begin();
        let since = Instant::now();
        arrivals.wait_for_quiet_at_most(Duration::from_millis(50));
        assert!(since.elapsed() >= Duration::from_millis(50) && since.elapsed() < LONG);
    }

    #[test]
    fn without_any_write_nothing_is_waited_for() {
        let arrivals = Arrivals::default();
        let since = Instant::now();
        (0..1000).for_each(|_| arrivals.wait_for_quiet_at_most(LONG));
        assert!(since.elapsed() < Duration::from_secs(1));
    }
}
