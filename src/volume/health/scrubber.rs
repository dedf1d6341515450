//! How fast an open volume is scrubbed, which may change at any time.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::types::ScrubRate;

/// The scrub of an open volume.
#[derive(Debug)]
pub(in crate::volume) struct Scrubber {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct State {
    rate: ScrubRate,
    is_closing: bool,
}

impl Scrubber {
    pub(in crate::volume) fn new(dir: &Path, rate: ScrubRate) -> Self {
        Self {
            dir: dir.to_owned(),
            state: Mutex::new(State {
                rate,
                is_closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(in crate::volume) fn close(&self) {
        self.state().is_closing = true;
        self.changed.notify_all();
    }

    pub(super) fn set_rate(&self, rate: ScrubRate) {
        self.state().rate = rate;
        self.changed.notify_all();
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a rate; nothing when the volume closes.
    pub(super) fn wait_for_rate(&self) -> Option<ScrubRate> {
        let idle = |state: &mut State| state.rate.is_off() && !state.is_closing;
        let waited = self.changed.wait_while(self.state(), idle);
        let state = *waited.unwrap_or_else(PoisonError::into_inner);
        (!state.is_closing).then_some(state.rate)
    }

    /// Waits so long, or until the rate changes or the volume closes.
    pub(super) fn pause(&self, time: Duration) {
        let rate = self.state().rate;
        let same = |state: &mut State| state.rate == rate && !state.is_closing;
        drop(self.changed.wait_timeout_while(self.state(), time, same));
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().is_closing
    }
}
