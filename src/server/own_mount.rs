//! What says whether this process is a server, for the check of invariant 9 (docs/architecture.md).

use std::sync::atomic::{AtomicUsize, Ordering};

/// Servers in this process: more than one in tests only.
static SERVERS: AtomicUsize = AtomicUsize::new(0);

/// A server of this process, for as long as it serves.
pub(super) struct Serving(());

impl Serving {
    pub(super) fn begin() -> Self {
        SERVERS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        SERVERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Called before a mount of cask is asked for something: that it is not the process's own is not known, so a server
/// asks none. One that waits for an answer of its own may wait for ever, and cannot be killed while it does.
pub(super) fn check_no_server() {
    debug_assert!(
        SERVERS.load(Ordering::Relaxed) == 0,
        "invariant 9: a server would wait for itself"
    );
}
