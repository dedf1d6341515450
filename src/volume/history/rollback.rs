//! Going back to a snapshot.

use crate::meta::Snapshot;
use crate::types::SnapshotName;
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;

/// As [`crate::volume::Volume::rollback`].
pub(super) fn rollback(core: &Core, to: &SnapshotName, safety: &SnapshotName) -> Result<Snapshot> {
    let taken = change(core, Space::Needs, |tx| {
        let target = tx.snapshot(to)?.ok_or(Error::NotFound)?;
        if tx.is_taken(safety)? {
            return Err(Error::Exists);
        }
        let label = format!("before the rollback to {to}");
        let taken = tx.insert_snapshot(safety, &label)?;
        tx.restore(&target)?;
        Ok(taken)
    })?;
    core.disk().sync()?;
    Ok(taken)
}
