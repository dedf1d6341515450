//! Small WRITEs of the page cache that come one after the other, written back in one transaction.
//!
//! The kernel sends up to `max_background` of them without waiting for an answer. While it has more, the thread that
//! reads them puts each aside; with the last, or before anything else is answered, all are written and answered. None is
//! acknowledged before it is stored (invariant 2), and no more than [`COUNT_MAX`] wait.

use std::sync::Arc;

use parking_lot::Mutex;

use super::answer::Answer;
use super::replies::Pending;
use crate::volume::{Volume, WriteBack};

/// Larger ones are worth a transaction of their own.
pub(super) const BYTES_MAX: usize = 64 * 1024;
/// As many as the kernel sends at a time, or 1 MiB.
const COUNT_MAX: usize = 64;
const SUM_MAX: usize = 1024 * 1024;

/// What was put aside.
pub(super) struct Gather {
    volume: Arc<Volume>,
    aside: Mutex<Aside>,
}

#[derive(Default)]
struct Aside {
    writes: Vec<WriteBack>,
    pending: Vec<Pending>,
    bytes: usize,
    /// How often something was taken from here.
    taken: u64,
    /// That number, at the last look that saw something: the same writes may not wait for two.
    seen: Option<u64>,
}

/// Whether another write can be awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Aside,
    /// There are enough: they are to be written now.
    Full,
}

impl Gather {
    pub(super) fn new(volume: Arc<Volume>) -> Self {
        Self {
            volume,
            aside: Mutex::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.aside.lock().writes.is_empty()
    }

    /// Puts a write aside, to be answered with the others.
    pub(super) fn keep(&self, write: WriteBack, pending: Pending) -> Kept {
        let mut aside = self.aside.lock();
        aside.bytes += write.data.len();
        aside.writes.push(write);
        aside.pending.push(pending);
        if aside.writes.len() >= COUNT_MAX || aside.bytes >= SUM_MAX {
            Kept::Full
        } else {
            Kept::Aside
        }
    }

    /// Writes and answers what was put aside.
    pub(super) fn write_all(&self) {
        let mut aside = self.aside.lock();
        if aside.writes.is_empty() {
            return;
        }
        let Aside {
            writes, pending, ..
        } = aside.take();
        drop(aside);
        let done = self.volume.write_back(&writes);
        for ((write, pending), done) in writes.iter().zip(pending).zip(done) {
            pending.send(done.map(|()| Answer::Written(write.data.len() as u64)));
        }
    }

    /// Writes what has waited since the last look: the request that was to come after it went away again, as one does
    /// whose caller is killed. To be called now and then while writes are put aside.
    pub(super) fn look(&self) {
        let mut aside = self.aside.lock();
        let seen = (!aside.writes.is_empty()).then_some(aside.taken);
        let have_waited = seen.is_some() && seen == aside.seen;
        aside.seen = seen;
        drop(aside);
        if have_waited {
            self.write_all();
        }
    }
}

impl Aside {
    fn take(&mut self) -> Self {
        let next = Self {
            taken: self.taken + 1,
            ..Self::default()
        };
        std::mem::replace(self, next)
    }
}
