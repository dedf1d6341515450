//! How long the log is, and who waits for it to change.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Condvar, Mutex};

/// How long the log is, and who waits for it to become shorter.
#[derive(Debug, Default)]
pub(in crate::meta) struct Progress {
    /// Frames in the log, as of the last commit.
    pub(in crate::meta) frames: Arc<AtomicU32>,
    /// How often the log began anew since the database was opened.
    pub(in crate::meta) begun: AtomicU32,
    /// How many frames a log may have that must stay short, for want of space; 0 while it need not.
    pub(in crate::meta) short: AtomicU32,
    pub(in crate::meta) lock: Mutex<()>,
    pub(in crate::meta) shortened: Condvar,
    pub(in crate::meta) grown: Condvar,
}
