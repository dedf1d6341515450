//! What the files hold, for who must not wait for the writer to hear it.

use std::sync::atomic::{AtomicU64, Ordering};

/// No file holds as much.
const UNKNOWN: u64 = u64::MAX;

/// As of the last commit.
#[derive(Debug)]
pub(in crate::meta) struct SeenLogical(AtomicU64);

impl SeenLogical {
    pub(in crate::meta) fn new(bytes: Option<u64>) -> Self {
        Self(AtomicU64::new(bytes.unwrap_or(UNKNOWN)))
    }

    pub(in crate::meta) fn set(&self, bytes: Option<u64>) {
        self.0.store(bytes.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Option<u64> {
        let bytes = self.0.load(Ordering::Relaxed);
        (bytes != UNKNOWN).then_some(bytes)
    }
}
