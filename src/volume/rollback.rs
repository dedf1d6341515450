//! Going back to a snapshot.

use super::core::Space;
use super::{Error, Result, Volume};
use crate::meta::Snapshot;
use crate::types::SnapshotName;

impl Volume {
    /// Makes the head what it was at snapshot `to`, in one transaction, after taking the snapshot `safety` of
    /// what it is; returns that. Newer snapshots stay.
    ///
    /// Nobody may have the volume mounted: the kernel would go on with what it knows.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`] when `safety` is taken, [`Error::NoSpace`], I/O errors.
    pub fn rollback(&self, to: &SnapshotName, safety: &SnapshotName) -> Result<Snapshot> {
        let taken = self.core.change(Space::Needs, |tx| {
            let target = tx.snapshot(to)?.ok_or(Error::NotFound)?;
            if tx.is_taken(safety)? {
                return Err(Error::Exists);
            }
            let label = format!("before the rollback to {to}");
            let taken = tx.insert_snapshot(safety, &label)?;
            tx.restore(&target)?;
            Ok(taken)
        })?;
        self.core.sync()?;
        Ok(taken)
    }
}
