//! This volume's part in one cut across several volumes.
//!
//! Whoever takes the cut first has every volume hold its changes, then lets each commit a snapshot that is
//! *pending*, then decides in the [`Ledger`], then has each volume settle: keep the snapshot, or remove it. A
//! volume that finds a pending snapshot when it is opened settles it (docs/decisions/0009-one-cut.md).

use crate::meta::{Copies, Pending, Snapshot};
use crate::types::{Cut, CutId, SnapshotName};
use crate::volume::core::Core;
use crate::volume::durability::copying::finish_copies;
use crate::volume::error::{Error, Result};
use crate::volume::history::commit_record::{Ledger, Outcome};
use crate::volume::metadata::Space;

/// As [`crate::volume::Volume::prepare_cut`].
pub(in crate::volume) fn prepare_cut<E: From<Error>>(
    core: &Core,
    name: &SnapshotName,
    label: &str,
    cut: &Cut,
    await_word: impl FnOnce() -> std::result::Result<(), E>,
) -> std::result::Result<Snapshot, E> {
    core.metadata().check_open(Space::Needs)?;
    finish_copies(core, &[Copies::All])?;
    let mut tx = core.database().write().map_err(Error::from)?;
    if tx.is_taken(name).map_err(Error::from)? {
        return Err(Error::Exists.into());
    }
    let taken = tx.insert_snapshot(name, label).map_err(Error::from)?;
    tx.insert_pending(taken.epoch, cut).map_err(Error::from)?;
    await_word()?;
    tx.commit().map_err(Error::from)?;
    core.disk().sync()?;
    Ok(taken)
}

/// As [`crate::volume::Volume::settle_cut`].
pub(in crate::volume) fn settle_cut(core: &Core, id: CutId) -> Result<()> {
    let pending = core.database().read_once()?.pending()?;
    let mut mine = pending.iter().filter(|pending| pending.cut.id == id);
    mine.try_for_each(|pending| conclude(core, pending))
}

/// Settles what an unclean end left. What cannot be settled stays out of sight.
pub(in crate::volume) fn settle_cuts(core: &Core) {
    Ledger::of(core.dir()).sweep();
    let pending = core.database().read_once().and_then(|tx| tx.pending());
    let settled = pending
        .map_err(Error::from)
        .and_then(|pending| pending.iter().try_for_each(|one| conclude(core, one)));
    if let Err(error) = settled {
        log::warn!("snapshots of {} wait: {error}", core.dir().display());
    }
}

fn conclude(core: &Core, pending: &Pending) -> Result<()> {
    let ledger = Ledger::find(&pending.cut, core.dir());
    let outcome = match &ledger {
        _ if pending.is_taken => Outcome::Taken,
        Some(ledger) => ledger.conclude(pending.cut.id)?,
        None => {
            warn_of(core, pending);
            return Ok(());
        }
    };
    act(core, pending, outcome)?;
    if outcome == Outcome::Taken {
        if let Some(ledger) = ledger {
            ledger.note_settled(pending.cut.id, core.uuid());
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
    let (name, cut) = (&pending.name, &pending.cut);
    log::warn!(
        "snapshot \"{name}\" of {} waits for volume {}, which was in {} and decides whether it was taken: \
         bring that back, or remove the snapshot",
        core.dir().display(),
        cut.ledger,
        cut.ledger_dir.display()
    );
}

/// Removes a pending snapshot if nobody can tell the outcome of its cut any more, so that its name and its
/// space come back; whether there was one.
pub(in crate::volume) fn remove_stuck(core: &Core, name: &SnapshotName) -> Result<bool> {
    let pending = core.database().read_once()?.pending()?;
    let is_it = |pending: &&Pending| pending.name == *name && !pending.is_taken;
    let Some(stuck) = pending.iter().find(is_it) else {
        return Ok(false);
    };
    match Ledger::find(&stuck.cut, core.dir()) {
        // Somebody is at it.
        Some(ledger) if ledger.is_open(stuck.cut.id) => return Ok(false),
        Some(_) => {
            conclude(core, stuck)?;
            return Ok(false);
        }
        None => {}
    }
    act(core, stuck, Outcome::GivenUp)?;
    Ok(true)
}
