//! One call at a time for each name.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};

/// The names that a call is at work on.
#[derive(Debug, Default)]
pub(super) struct NameLocks {
    busy: Mutex<HashSet<String>>,
    ended: Condvar,
}

/// A call at work; its end lets the next one begin.
#[derive(Debug)]
pub(super) struct NameLock<'t> {
    locks: &'t NameLocks,
    name: String,
}

impl NameLocks {
    /// Waits for other calls with the same name to end.
    pub(super) fn begin(&self, name: &str) -> NameLock<'_> {
        let mut busy = self.busy.lock();
        self.ended.wait_while(&mut busy, |busy| busy.contains(name));
        busy.insert(name.to_owned());
        NameLock {
            locks: self,
            name: name.to_owned(),
        }
    }
}

impl Drop for NameLock<'_> {
    fn drop(&mut self) {
        let mut busy = self.locks.busy.lock();
        busy.remove(&self.name);
        self.locks.ended.notify_all();
    }
}
