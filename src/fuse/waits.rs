//! Answers that wait for a repository: each on a thread of its own, so that no request waits behind one that does.

use std::fmt;
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::answer::{Answer, Waiting};
use super::replies::Pending;
use crate::types::about_to_wait;
use crate::volume::Volume;

/// So many wait beside the threads that serve requests; one more has such a thread wait.
const THREADS_MAX: usize = 512;
/// They do little but wait.
const STACK_BYTES: usize = 256 * 1024;

/// The answers of one connection that wait; it ends only when none does.
pub(super) struct Waits {
    /// Has those that wait look whether they go on.
    wake: Box<dyn Fn() + Send + Sync>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    one_less: Condvar,
}

#[derive(Debug, Default)]
struct State {
    threads: usize,
    is_over: bool,
}

impl Waits {
    /// Those of a volume.
    pub(super) fn of(volume: Arc<Volume>) -> Self {
        Self::woken_by(move || volume.wake_waiting())
    }

    /// The same, of those that look by themselves, or when `wake` has them do so.
    pub(super) fn woken_by(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            wake: Box::new(wake),
            shared: Arc::default(),
        }
    }

    /// Has `pending` answered when there is an answer.
    pub(super) fn answer(&self, waiting: Waiting, pending: Pending) {
        let shared = Arc::clone(&self.shared);
        let answer = move |shared: &Shared| {
            let answer: crate::volume::Result<Answer> = (waiting.0)(&|| shared.goes_on());
            pending.send(answer);
        };
        if !self.shared.begin() {
            about_to_wait();
            return answer(&shared);
        }
        let thread = thread::Builder::new()
            .name("waits".to_owned())
            .stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            answer(&shared);
            shared.end();
        });
        if let Err(error) = started {
            // The reply was dropped with what was to run, and has said EIO.
            log::error!("cannot start a thread that waits for a repository: {error}");
            self.shared.end();
        }
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.state.lock().is_over
    }

    /// Whether one more may wait.
    fn begin(&self) -> bool {
        let mut state = self.state.lock();
        let may = state.threads < THREADS_MAX;
        state.threads += usize::from(may);
        may
    }

    fn end(&self) {
        self.state.lock().threads -= 1;
        self.one_less.notify_all();
    }
}

impl Drop for Waits {
    /// Ends those that wait: the volume must not be held when the connection has ended.
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        (self.wake)();
        let mut state = self.shared.state.lock();
        while state.threads > 0 {
            self.shared.one_less.wait(&mut state);
        }
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
