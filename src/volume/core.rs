//! What the operations and the background threads share, and the one way to change metadata.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::collector::Collector;
use super::drain::Arrivals;
use super::headroom::Spending;
use super::limits::Bounds;
use super::packing::Packing;
use super::refused::RefusedWrites;
use super::reserve::Reserve;
use super::residents::Residents;
use super::scrub::Scrubber;
use super::sync::SyncGroup;
use super::{Error, Result, Seal};
use crate::chunks::ChunkStore;
use crate::meta::{Database, Inode, LogLength, Session, WriteTx};
use crate::types::{ChunkBytes, Ino};

#[derive(Debug)]
pub(super) struct Core {
    pub(super) database: Database,
    pub(super) store: ChunkStore,
    pub(super) chunk_bytes: ChunkBytes,
    pub(super) syncs: SyncGroup,
    pub(super) residents: Residents,
    pub(super) reserve: Reserve,
    pub(super) state: super::state::StateFile,
    pub(super) seal: Seal,
    pub(super) collector: Collector,
    pub(super) bounds: Bounds,
    pub(super) packing: Packing,
    pub(super) arrivals: Arrivals,
    pub(super) scrubber: Scrubber,
    pub(super) refused: RefusedWrites,
    pub(super) headroom: Arc<Spending>,
    /// How many wait for copies to be written: until then none is left for later.
    pub(super) copies_held: AtomicUsize,
}

/// Whether a change needs new space, or gives some back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Needs,
    Frees,
}

impl Core {
    /// Runs `change` in one transaction and commits it.
    ///
    /// On a full disk a change that frees space gets the reserve, and one that needs space is refused
    /// until the reserve is whole again. `change` may run twice: it must not act outside the transaction.
    pub(super) fn change<T>(
        &self,
        space: Space,
        change: impl Fn(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.check_open(space)?;
        match self.attempt(space, &change) {
            Err(Error::NoSpace) => {
                self.give_up_reserve();
                match space {
                    Space::Needs => Err(Error::NoSpace),
                    Space::Frees => self.attempt(space, &change),
                }
            }
            Err(Error::OverLimit) => self.retry_over_limit(|| self.attempt(space, &change)),
            result => result,
        }
    }

    /// Refuses what the volume's state does not allow.
    pub(super) fn check_open(&self, space: Space) -> Result<()> {
        match (self.seal, space) {
            (Seal::Sealed, _) => Err(Error::ReadOnly),
            (Seal::Open, Space::Needs) => self.check_space(),
            (Seal::Open, Space::Frees) => Ok(()),
        }
    }

    /// Refuses what needs space while there is none but the reserve.
    pub(super) fn check_space(&self) -> Result<()> {
        if self.reserve.is_whole() {
            self.database.keep_log(LogLength::Usual);
            return Ok(());
        }
        Err(Error::NoSpace)
    }

    /// Makes room for removals: the reserve goes, and the log begins anew, which needs no space.
    fn give_up_reserve(&self) {
        self.database.keep_log(LogLength::Short);
        self.reserve.release();
        if let Err(error) = self.checkpoint() {
            log::warn!("cannot shorten the log on a full disk: {error}");
        }
    }

    fn attempt<T>(
        &self,
        space: Space,
        change: &impl Fn(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut tx = self.database.write()?;
        let metadata = self.bound_metadata(space, &tx)?;
        let value = change(&mut tx)?;
        self.check_limits(&tx)?;
        metadata.check(&tx)?;
        tx.commit()?;
        Ok(value)
    }
}

/// The inode of this number, which the kernel or a dentry named.
pub(super) fn inode(session: &Session, ino: Ino) -> Result<Inode> {
    session.inode(ino)?.ok_or(Error::NotFound)
}
