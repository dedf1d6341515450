//! What the operations and the background threads share, and the one way to change metadata.

use super::reserve::Reserve;
use super::residents::Residents;
use super::sync::SyncGroup;
use super::{Error, Result};
use crate::chunks::ChunkStore;
use crate::meta::{Database, Inode, Session, WriteTx};
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
        if space == Space::Needs && !self.reserve.is_whole() {
            return Err(Error::NoSpace);
        }
        match self.attempt(&change) {
            Err(Error::NoSpace) if self.reserve.release() && space == Space::Frees => {
                self.attempt(&change)
            }
            result => result,
        }
    }

    fn attempt<T>(&self, change: &impl Fn(&mut WriteTx<'_>) -> Result<T>) -> Result<T> {
        let mut tx = self.database.write()?;
        let value = change(&mut tx)?;
        tx.commit()?;
        Ok(value)
    }
}

/// The inode of this number, which the kernel or a dentry named.
pub(super) fn inode(session: &Session, ino: Ino) -> Result<Inode> {
    session.inode(ino)?.ok_or(Error::NotFound)
}
