//! Whether all writing was stopped, and who wants to know.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

type Tell = Box<dyn Fn() + Send + Sync>;

/// Set once: what stopped stays so.
#[derive(Default)]
pub(in crate::meta) struct Stop {
    is_set: AtomicBool,
    reason: OnceLock<String>,
    tell: OnceLock<Tell>,
}

impl Stop {
    pub(in crate::meta) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Why, once it is set.
    pub(in crate::meta) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Stops, and tells when it is the first time; the first reason is the one that counts.
    pub(in crate::meta) fn set(&self, reason: String) {
        // Before the flag: whoever sees that writing is stopped can say why.
        self.reason.get_or_init(|| reason);
        if !self.is_set.swap(true, Ordering::AcqRel) {
            self.tell();
        }
    }

    /// Has `tell` run when this is set, at once if it is.
    pub(in crate::meta) fn when_set(&self, tell: Tell) {
        if self.tell.set(tell).is_ok() && self.is_set() {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(tell) = self.tell.get() {
            tell();
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_set()).finish()
    }
}
