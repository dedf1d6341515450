//! One call at a time for each name.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};

/// The names that a call is at work on.
#[derive(Debug, Default)]
pub(super) struct Turns {
    busy: Mutex<HashSet<String>>,
    ended: Condvar,
}

/// A call at work; its end lets the next one begin.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    name: String,
}

impl Turns {
    /// Waits for other calls with the same name to end.
    pub(super) fn begin(&self, name: &str) -> Turn<'_> {
        let mut busy = self.busy.lock();
        self.ended.wait_while(&mut busy, |busy| busy.contains(name));
        busy.insert(name.to_owned());
        Turn {
            turns: self,
            name: name.to_owned(),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut busy = self.turns.busy.lock();
        busy.remove(&self.name);
        self.turns.ended.notify_all();
    }
}
