//! How fast an open volume is scrubbed, which may change at any time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

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
        self.state.lock()
    }

    /// Waits until there is a rate; nothing when the volume closes.
    pub(super) fn wait_for_rate(&self) -> Option<ScrubRate> {
        let idle = |state: &mut State| state.rate.is_off() && !state.is_closing;
        let mut state = self.state();
        self.changed.wait_while(&mut state, idle);
        (!state.is_closing).then_some(state.rate)
    }

    /// Waits so long, or until the rate changes or the volume closes.
    pub(super) fn pause(&self, time: Duration) {
        let rate = self.state().rate;
        let same = |state: &mut State| state.rate == rate && !state.is_closing;
        self.changed.wait_while_for(&mut self.state(), same, time);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().is_closing
    }
}
