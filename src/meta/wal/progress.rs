//! How long the log is, and who waits for it to change.

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Condvar, Mutex};

/// How long the log is, and who waits for it to become shorter.
#[derive(Debug, Default)]
pub(in crate::meta) struct Progress {
    /// Frames in the log, as of the last commit.
    pub(in crate::meta) frames: Arc<AtomicU32>,
    /// The log must stay short, for want of space.
    pub(in crate::meta) short: AtomicBool,
    pub(in crate::meta) lock: Mutex<()>,
    pub(in crate::meta) shortened: Condvar,
    pub(in crate::meta) grown: Condvar,
}
