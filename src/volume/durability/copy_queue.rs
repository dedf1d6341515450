//! Whether copies may be left for later.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Who waits for copies to be written.
#[derive(Debug, Default)]
pub(in crate::volume) struct CopyQueue {
    /// How many wait for copies to be written: until then none is left for later.
    waiting: AtomicUsize,
}

impl CopyQueue {
    /// Whether nobody waits for copies to be written.
    pub(in crate::volume) fn is_open(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// Leaves no copy for later until what this returns is dropped: else who waits for all might wait for ever.
    pub(super) fn hold(&self) -> Held<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Held(self)
    }
}

/// While this is there no copy is left for later.
#[derive(Debug)]
pub(super) struct Held<'q>(&'q CopyQueue);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
