//! How metadata changes: in one transaction, within the limits, with the reserve where that is what it is for.
//!
//! Knows no operation. What is removed and not freed yet counts against the limits here; `change.rs` has it freed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::config::Seal;
use super::durability::disk::Disk;
use super::durability::reserve::Reserve;
use super::error::{Error, Result};
use super::space::headroom::Spending;
use super::space::limits::{Bounds, MetadataBound};
use crate::meta::{Inode, LogLength, Session, WriteTx};
use crate::types::Ino;

/// Rows that one transaction may remove: about 2 ms with the writer held.
pub(super) const ROWS_MAX: usize = 512;

/// Whether a change needs new space, or gives some back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Needs,
    Frees,
}

/// The tables of an open volume, and what decides whether they may change.
#[derive(Debug)]
pub(super) struct Metadata {
    disk: Disk,
    reserve: Arc<Reserve>,
    bounds: Bounds,
    headroom: Arc<Spending>,
    seal: Seal,
    /// How many have the log shortened just now: until then nobody may let it be as long as usual.
    shortening: AtomicU32,
}

impl Metadata {
    /// `reserve` grows with the tables from now on.
    pub(super) fn new(disk: Disk, reserve: Reserve, bounds: Bounds, seal: Seal) -> Self {
        let reserve = Arc::new(reserve);
        let growing = Arc::clone(&reserve);
        disk.database().grow_with(move |bytes| growing.cover(bytes));
        Self {
            disk,
            reserve,
            bounds,
            headroom: Arc::default(),
            seal,
            shortening: AtomicU32::new(0),
        }
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) const fn headroom(&self) -> &Arc<Spending> {
        &self.headroom
    }

    pub(super) const fn seal(&self) -> Seal {
        self.seal
    }

    pub(super) fn into_parts(self) -> (Disk, Arc<Reserve>) {
        (self.disk, self.reserve)
    }

    /// Runs `change` in one transaction and commits it.
    ///
    /// On a full disk a change that frees space gets the reserve, and one that needs space is refused
    /// until the reserve is whole again. `change` may run three times: it must not act outside the transaction.
    pub(super) fn change<T>(
        &self,
        space: Space,
        change: impl Fn(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        self.check_open(space)?;
        match self.attempt_with_room(space, &change) {
            Err(Error::NoSpace) => {
                self.give_up_reserve();
                match space {
                    Space::Needs => Err(Error::NoSpace),
                    Space::Frees => self.attempt(space, &change),
                }
            }
            result => result,
        }
    }

    /// A disk that is full of the log is not full: what is in the log has its space set aside in the database.
    fn attempt_with_room<T>(
        &self,
        space: Space,
        change: &impl Fn(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.attempt(space, change) {
            Err(Error::NoSpace) if self.disk.database().has_long_log() => {
                self.shortening.fetch_add(1, Ordering::Relaxed);
                self.keep_log_short();
                let shortened = self.disk.checkpoint();
                self.shortening.fetch_sub(1, Ordering::Relaxed);
                shortened?;
                self.attempt(space, change)
            }
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
            if self.shortening.load(Ordering::Relaxed) == 0 {
                self.disk.database().keep_log(LogLength::Usual);
            }
            return Ok(());
        }
        Err(Error::NoSpace)
    }

    /// What removals write is to fit into what the reserve gives up.
    fn keep_log_short(&self) {
        let length = LogLength::Short(self.reserve.log_bytes());
        self.disk.database().keep_log(length);
    }

    /// Makes room for removals: the reserve goes, and the log begins anew, which needs no space.
    fn give_up_reserve(&self) {
        // The log first: it is what the reserve's space would go to.
        self.keep_log_short();
        self.reserve.release();
        if let Err(error) = self.disk.checkpoint() {
            log::warn!("cannot shorten the log on a full disk: {error}");
        }
    }

    /// Invariant 2: what this returns is committed.
    fn attempt<T>(
        &self,
        space: Space,
        change: &impl Fn(&mut WriteTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut tx = self.disk.database().write()?;
        let bound = match space {
            Space::Needs => self.bounds.of_metadata(&tx)?,
            Space::Frees => MetadataBound::NONE,
        };
        let value = change(&mut tx)?;
        self.bounds.check(&tx)?;
        bound.check(&tx)?;
        tx.commit()?;
        Ok(value)
    }
}

/// The inode of this number, which the kernel or a dentry named.
pub(super) fn inode(session: &Session, ino: Ino) -> Result<Inode> {
    session.inode(ino)?.ok_or(Error::NotFound)
}
