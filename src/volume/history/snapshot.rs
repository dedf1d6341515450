//! Snapshots: taken, listed, held, removed.

use crate::meta::{Copies, Hold, Snapshot, SnapshotBytes, WriteTx};
use crate::types::SnapshotName;
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::durability::copying::finish_copies;
use crate::volume::error::{Error, Result};
use crate::volume::history::group_snapshot::remove_stuck;
use crate::volume::metadata::{ROWS_MAX, Space};

/// As [`crate::volume::Volume::take_snapshot`].
pub(super) fn take_snapshot(core: &Core, name: &SnapshotName, label: &str) -> Result<Snapshot> {
    // A target that is read through its source would be another once that changes, and a snapshot must not be.
    finish_copies(core, &[Copies::All])?;
    let taken = change(core, Space::Needs, |tx| insert(tx, name, label))?;
    core.disk().sync()?;
    Ok(taken)
}

/// As [`crate::volume::Volume::take_changed_snapshot`].
pub(super) fn take_changed_snapshot(
    core: &Core,
    name: &SnapshotName,
    label: &str,
    since: &SnapshotName,
) -> Result<Option<Snapshot>> {
    finish_copies(core, &[Copies::All])?;
    let taken = change(core, Space::Needs, |tx| {
        // One that is gone has nothing to compare with.
        if let Some(before) = tx.snapshot(since)?
            && !tx.has_changes(&before)?
        {
            return Ok(None);
        }
        insert(tx, name, label).map(Some)
    })?;
    core.disk().sync()?;
    Ok(taken)
}

fn insert(tx: &mut WriteTx<'_>, name: &SnapshotName, label: &str) -> Result<Snapshot> {
    if tx.is_taken(name)? {
        return Err(Error::Exists);
    }
    Ok(tx.insert_snapshot(name, label)?)
}

/// As [`crate::volume::Volume::snapshots`].
pub(super) fn snapshots(core: &Core) -> Result<Vec<Snapshot>> {
    Ok(core.database().read_once()?.snapshots()?)
}

/// As [`crate::volume::Volume::measured_snapshots`].
pub(super) fn measured_snapshots(core: &Core) -> Result<Vec<(Snapshot, SnapshotBytes)>> {
    Ok(core.database().read_long()?.measured_snapshots()?)
}

/// As [`crate::volume::Volume::snapshot`].
pub(super) fn snapshot(core: &Core, name: &SnapshotName) -> Result<Snapshot> {
    core.database()
        .read_once()?
        .snapshot(name)?
        .ok_or(Error::NotFound)
}

/// As [`crate::volume::Volume::hold_snapshot`].
pub(super) fn hold_snapshot(core: &Core, name: &SnapshotName, hold: Hold) -> Result<()> {
    core.metadata().change(Space::Frees, |tx| {
        let snapshot = tx.snapshot(name)?.ok_or(Error::NotFound)?;
        Ok(tx.hold_snapshot(snapshot.epoch, hold)?)
    })
}

/// As [`crate::volume::Volume::remove_snapshot`].
pub(super) fn remove_snapshot(core: &Core, name: &SnapshotName) -> Result<()> {
    if !remove_stuck(core, name)? {
        core.metadata().change(Space::Frees, |tx| {
            let snapshot = tx.snapshot(name)?.ok_or(Error::NotFound)?;
            if snapshot.held {
                return Err(Error::Held);
            }
            Ok(tx.delete_snapshot(snapshot.epoch)?)
        })?;
    }
    core.lookups().call_backlog();
    core.disk().sync()
}

/// Frees all rows that no snapshot sees any more, in transactions of bounded length.
pub(in crate::volume) fn purge(core: &Core) -> Result<()> {
    while purge_some(core)? {}
    Ok(())
}

/// Frees some of those rows; whether there were any.
pub(in crate::volume) fn purge_some(core: &Core) -> Result<bool> {
    core.metadata()
        .change(Space::Frees, |tx| Ok(tx.purge(ROWS_MAX)?))
}
