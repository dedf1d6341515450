//! Mounts that nobody holds any more, and when they go.
//!
//! An engine unmounts and mounts again within a moment, as when it copies an image's files into a new volume.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How long mounts stay that nobody holds.
#[derive(Debug, Clone, Copy)]
pub struct Delays {
    /// After the last user went.
    pub unused: Duration,
    /// When only the last life of dockerd held it: its containers may be about to start again.
    pub stale: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            unused: Duration::from_secs(3),
            stale: Duration::from_secs(30),
        }
    }
}

/// What is to go, and when.
#[derive(Debug, Default)]
pub(super) struct IdleUnmounts {
    due: Mutex<BTreeMap<String, Instant>>,
    changed: Condvar,
}

impl IdleUnmounts {
    /// The mount of `name` goes after `delay`, unless it is kept.
    pub(super) fn release(&self, name: &str, delay: Duration) {
        self.lock().insert(name.to_owned(), Instant::now() + delay);
        self.changed.notify_one();
    }

    /// The mount of `name` stays.
    pub(super) fn keep(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Waits for a mount that is due. Several may wait; each gets another one.
    pub(super) fn next(&self) -> String {
        let mut due = self.lock();
        loop {
            let first = due.iter().min_by_key(|(_, at)| **at);
            let Some((name, at)) = first.map(|(name, at)| (name.clone(), *at)) else {
                self.changed.wait(&mut due);
                continue;
            };
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                due.remove(&name);
                // Whoever was woken for the next one may be the one that goes away with this one.
                self.changed.notify_one();
                return name;
            }
            self.changed.wait_for(&mut due, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.due.lock()
    }
}
