//! Answers that no thread waits for which serves requests: they are put off, and given by whoever gets there.

use std::fmt;
use std::sync::Arc;

use super::answer::{Answer, PutOff};
use super::gather::Gather;
use super::replies::Pending;
use super::seeking::Seeks;
use crate::volume::Volume;

/// Who answers what is put off on a volume's head.
pub(super) struct Later {
    volume: Arc<Volume>,
    seeks: Seeks,
    gather: Arc<Gather>,
}

impl Later {
    pub(super) const fn new(volume: Arc<Volume>, seeks: Seeks, gather: Arc<Gather>) -> Self {
        Self {
            volume,
            seeks,
            gather,
        }
    }

    /// Where small writes are put aside.
    pub(super) fn gather(&self) -> &Gather {
        &self.gather
    }

    /// Has `pending` answered, now or later.
    pub(super) fn answer(&self, put_off: PutOff, pending: Pending) {
        let send = move |pending: Pending, outcome: crate::volume::Result<()>| {
            pending.send(outcome.map(|()| Answer::Empty));
        };
        match put_off {
            PutOff::Seek(seeking) => self.seeks.answer(seeking, pending),
            PutOff::Fsync(ino) => self.volume.fsync_then(ino, move |done| send(pending, done)),
            PutOff::Sync => self.volume.sync_then(move |done| send(pending, done)),
        }
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}
