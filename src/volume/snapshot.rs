//! Snapshots: taken, listed, held, removed.

use super::core::{Core, Space};
use super::reaper::ROWS_MAX;
use super::{Error, Result, Volume};
use crate::meta::{Copies, Hold, Snapshot, SnapshotBytes};
use crate::types::SnapshotName;

impl Volume {
    /// Takes a snapshot: it holds every operation that was acknowledged, and is durable when this returns.
    /// Its cost does not depend on what the volume holds.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken, [`Error::NoSpace`], I/O errors.
    pub fn take_snapshot(&self, name: &SnapshotName, label: &str) -> Result<Snapshot> {
        self.core.finish_copies(&[Copies::All])?;
        let taken = self.core.change(Space::Needs, |tx| {
            if tx.is_taken(name)? {
                return Err(Error::Exists);
            }
            Ok(tx.insert_snapshot(name, label)?)
        })?;
        self.core.sync()?;
        Ok(taken)
    }

    /// All snapshots, the oldest first.
    ///
    /// # Errors
    /// I/O errors.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        Ok(self.core.database.read_once()?.snapshots()?)
    }

    /// All snapshots, the oldest first, and the bytes that each holds. Looks at every extent once.
    ///
    /// # Errors
    /// I/O errors.
    pub fn measured_snapshots(&self) -> Result<Vec<(Snapshot, SnapshotBytes)>> {
        Ok(self.core.database.read_long()?.measured_snapshots()?)
    }

    /// The snapshot of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], I/O errors.
    pub fn snapshot(&self, name: &SnapshotName) -> Result<Snapshot> {
        self.core
            .database
            .read_once()?
            .snapshot(name)?
            .ok_or(Error::NotFound)
    }

    /// Forbids or allows the removal of a snapshot.
    ///
    /// # Errors
    /// [`Error::NotFound`], I/O errors.
    pub fn hold_snapshot(&self, name: &SnapshotName, hold: Hold) -> Result<()> {
        self.core.change(Space::Frees, |tx| {
            let snapshot = tx.snapshot(name)?.ok_or(Error::NotFound)?;
            Ok(tx.hold_snapshot(snapshot.epoch, hold)?)
        })
    }

    /// Removes a snapshot; its space comes back in the background.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Held`], I/O errors.
    pub fn remove_snapshot(&self, name: &SnapshotName) -> Result<()> {
        if !self.remove_stuck(name)? {
            self.core.change(Space::Frees, |tx| {
                let snapshot = tx.snapshot(name)?.ok_or(Error::NotFound)?;
                if snapshot.held {
                    return Err(Error::Held);
                }
                Ok(tx.delete_snapshot(snapshot.epoch)?)
            })?;
        }
        self.core.residents.call_backlog();
        self.core.sync()
    }
}

impl Core {
    /// Frees all rows that no snapshot sees any more, in transactions of bounded length.
    pub(super) fn purge(&self) -> Result<()> {
        while self.purge_some()? {}
        Ok(())
    }

    /// Frees some of those rows; whether there were any.
    pub(super) fn purge_some(&self) -> Result<bool> {
        self.change(Space::Frees, |tx| Ok(tx.purge(ROWS_MAX)?))
    }
}
