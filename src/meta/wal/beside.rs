//! A thread that syncs the log while its owner syncs what the log names: two flushes at once take the host little more
//! than one.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::meta::Error;
use crate::meta::database::stop::Stop;
use crate::types::with_causes;

/// The thread, which ends with this.
#[derive(Debug)]
pub(super) struct SyncBeside {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// One sync at a time.
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    Idle,
    Wanted,
    Done(io::Result<()>),
    Over,
}

impl SyncBeside {
    /// Starts a thread that syncs `file` when it is asked to. An error of that is told to `stop` at once, whatever is done
    /// meanwhile.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(file: Arc<File>, stop: Arc<Stop>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Idle),
            changed: Condvar::new(),
        });
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new().name("log".to_owned());
        Ok(Self {
            shared,
            thread: Some(thread.spawn(move || served.serve(&file, &stop))?),
            turn: Mutex::default(),
        })
    }

    /// Syncs the file while `meanwhile` runs; both have ended when this returns.
    pub(super) fn sync_while<T>(&self, meanwhile: impl FnOnce() -> T) -> (T, io::Result<()>) {
        let _turn = self.turn.lock();
        self.shared.change(State::Wanted);
        let asked = Asked(Some(&self.shared));
        let value = meanwhile();
        (value, asked.outcome())
    }
}

/// A sync that was asked for. It is waited for also where what runs meanwhile panics: else the next caller would take the
/// outcome for that of its own.
struct Asked<'s>(Option<&'s Shared>);

impl Asked<'_> {
    fn outcome(mut self) -> io::Result<()> {
        self.0.take().map_or(Ok(()), Shared::wait)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0
            && let Err(error) = shared.wait()
        {
            log::error!("cannot sync the log: {error}");
        }
    }
}

impl Shared {
    fn change(&self, next: State) {
        *self.state.lock() = next;
        self.changed.notify_all();
    }

    /// Waits for the outcome of the sync that was asked for.
    fn wait(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Idle) {
                State::Done(outcome) => return outcome,
                other => *state = other,
            }
            self.changed.wait(&mut state);
        }
    }

    fn serve(&self, file: &File, stop: &Stop) {
        loop {
            let mut state = self.state.lock();
            while matches!(*state, State::Idle | State::Done(_)) {
                self.changed.wait(&mut state);
            }
            if matches!(*state, State::Over) {
                return;
            }
            drop(state);
            let outcome = rustix::fs::fdatasync(file);
            if let Err(errno) = outcome {
                // The host tells it once: a server that follows one that is killed before the other sync has ended would
                // sync again, and hear of nothing.
                let source = errno.into();
                stop.set(with_causes(&Error::Wal { op: "sync", source }));
            }
            self.change(State::Done(outcome.map_err(io::Error::from)));
        }
    }
}

impl Drop for SyncBeside {
    fn drop(&mut self) {
        self.shared.change(State::Over);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that syncs the log panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_beside_a_sync_leaves_no_outcome_to_the_next() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let beside = SyncBeside::start(file, Arc::default()).unwrap();
        for _ in 0..100 {
            let sync = || drop(beside.sync_while(|| panic!("a defect")));
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(sync)).is_err());
            assert!(matches!(*beside.shared.state.lock(), State::Idle));
        }
        beside.sync_while(|| ()).1.unwrap();
    }

    #[test]
    fn each_sync_has_its_own_outcome() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let stop = Arc::new(Stop::default());
        let beside = SyncBeside::start(file, Arc::clone(&stop)).unwrap();
        for i in 0..100 {
            let (value, synced) = beside.sync_while(|| i);
            synced.unwrap();
            assert_eq!(value, i);
        }
        assert!(!stop.is_set());
        // Nothing of a pipe can be synced (fdatasync(2), EINVAL).
        let (pipe, _other) = rustix::pipe::pipe().unwrap();
        let beside = SyncBeside::start(Arc::new(File::from(pipe)), Arc::clone(&stop)).unwrap();
        let is_told = || stop.is_set();
        let (told, synced) = beside.sync_while(|| {
            let since = std::time::Instant::now();
            while !is_told() && since.elapsed().as_secs() < 10 {
                thread::yield_now();
            }
            is_told()
        });
        assert!(told, "while the other sync is under way");
        assert_eq!(synced.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
