//! This volume's part in a snapshot of several volumes at once, by a two-phase commit.
//!
//! The coordinator first has every volume hold its changes, then lets each commit a snapshot that is
//! *pending*, then decides in the [`CommitRecords`], then has each volume conclude: keep the snapshot, or remove it. A
//! volume that finds a pending snapshot when it is opened concludes it (docs/decisions/0009-one-cut.md).

use crate::meta::{Copies, Pending, Snapshot};
use crate::types::{Group, GroupId, SnapshotName};
use crate::volume::core::Core;
use crate::volume::durability::copying::finish_copies;
use crate::volume::error::{Error, Result};
use crate::volume::history::commit_record::{CommitRecords, Outcome};
use crate::volume::metadata::Space;

/// As [`crate::volume::Volume::prepare_in_group`].
pub(super) fn prepare_in_group<E: From<Error>>(
    core: &Core,
    name: &SnapshotName,
    label: &str,
    group: &Group,
    await_word: impl FnOnce() -> std::result::Result<(), E>,
) -> std::result::Result<Snapshot, E> {
    core.metadata().check_open(Space::Needs)?;
    // In steps, before the transaction: within it all who write here, and in the other volumes, would wait.
    finish_copies(core, &[Copies::All])?;
    let mut tx = core.database().write().map_err(Error::from)?;
    if tx.is_taken(name).map_err(Error::from)? {
        return Err(Error::Exists.into());
    }
    let taken = tx.insert_snapshot(name, label).map_err(Error::from)?;
    tx.insert_pending(taken.epoch, group).map_err(Error::from)?;
    // With the transaction open: every change of this volume waits until all volumes wait (invariant 14).
    await_word()?;
    tx.commit().map_err(Error::from)?;
    // Before the coordinator hears of it: what it decides must find the snapshot here after a power cut.
    core.disk().sync()?;
    Ok(taken)
}

/// As [`crate::volume::Volume::conclude_in_group`].
pub(super) fn conclude_in_group(core: &Core, id: GroupId) -> Result<()> {
    let pending = core.database().read_once()?.pending()?;
    let mut mine = pending.iter().filter(|pending| pending.group.id == id);
    mine.try_for_each(|pending| conclude(core, pending))
}

/// Concludes what an unclean end left. What cannot be concluded stays out of sight.
pub(in crate::volume) fn conclude_groups(core: &Core) {
    CommitRecords::of(core.dir()).sweep();
    let pending = core.database().read_once().and_then(|tx| tx.pending());
    let concluded = pending
        .map_err(Error::from)
        .and_then(|pending| pending.iter().try_for_each(|one| conclude(core, one)));
    if let Err(error) = concluded {
        log::warn!("snapshots of {} wait: {error}", core.dir().display());
    }
}

fn conclude(core: &Core, pending: &Pending) -> Result<()> {
    let records = CommitRecords::find(&pending.group, core.dir());
    let outcome = match &records {
        _ if pending.is_taken => Outcome::Taken,
        Some(records) => records.conclude(pending.group.id)?,
        None => {
            warn_of(core, pending);
            return Ok(());
        }
    };
    act(core, pending, outcome)?;
    if outcome == Outcome::Taken {
        if let Some(records) = records {
            // What `act` did is durable by now: without its file the record may go, and nobody could ask again.
            records.note_concluded(pending.group.id, core.uuid());
        }
        core.metadata()
            .change(Space::Frees, |tx| Ok(tx.delete_pending(pending.epoch)?))?;
    }
    Ok(())
}

/// Keeps the snapshot or removes it, durably: afterwards the outcome may be forgotten.
fn act(core: &Core, pending: &Pending, outcome: Outcome) -> Result<()> {
    core.metadata().change(Space::Frees, |tx| match outcome {
        Outcome::Taken => Ok(tx.take_pending(pending.epoch)?),
        Outcome::GivenUp => Ok(tx.delete_snapshot(pending.epoch)?),
    })?;
    if outcome == Outcome::GivenUp {
        core.lookups().call_backlog();
    }
    core.disk().sync()
}

fn warn_of(core: &Core, pending: &Pending) {
    let (name, group) = (&pending.name, &pending.group);
    log::warn!(
        "snapshot \"{name}\" of {} waits for volume {}, which was in {} and decides whether it was taken: \
         bring that back, or remove the snapshot",
        core.dir().display(),
        group.coordinator,
        group.coordinator_dir.display()
    );
}

/// Removes a pending snapshot if nobody can tell the outcome of its group any more, so that its name and its
/// space come back; whether there was one.
pub(super) fn remove_stuck(core: &Core, name: &SnapshotName) -> Result<bool> {
    let pending = core.database().read_once()?.pending()?;
    let is_it = |pending: &&Pending| pending.name == *name && !pending.is_taken;
    let Some(stuck) = pending.iter().find(is_it) else {
        return Ok(false);
    };
    match CommitRecords::find(&stuck.group, core.dir()) {
        // Somebody is at it.
        Some(records) if records.is_open(stuck.group.id) => return Ok(false),
        Some(_) => {
            conclude(core, stuck)?;
            return Ok(false);
        }
        None => {}
    }
    act(core, stuck, Outcome::GivenUp)?;
    Ok(true)
}
