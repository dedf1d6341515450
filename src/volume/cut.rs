//! This volume's part in one cut across several volumes.
//!
//! Whoever takes the cut first has every volume hold its changes, then lets each commit a snapshot that is
//! *pending*, then decides in the [`Ledger`], then has each volume settle: keep the snapshot, or remove it. A
//! volume that finds a pending snapshot when it is opened settles it (docs/decisions/0009-one-cut.md).

use super::core::Space;
use super::ledger::{Ledger, Outcome};
use super::{Error, Result, Volume};
use crate::meta::{Copies, Pending, Snapshot};
use crate::types::{Cut, CutId, SnapshotName};

impl Volume {
    /// Takes a snapshot that is pending, for `cut`. Every change of the volume waits while `await_word` does,
    /// which returns when all volumes of the cut wait; on its error nothing has happened. The snapshot is
    /// durable when this returns.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken, [`Error::NoSpace`], I/O errors; those of `await_word`.
    pub fn prepare_cut<E: From<Error>>(
        &self,
        name: &SnapshotName,
        label: &str,
        cut: &Cut,
        await_word: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<Snapshot, E> {
        self.core.check_open(Space::Needs)?;
        self.core.finish_copies(&[Copies::All])?;
        let mut tx = self.core.database.write().map_err(Error::from)?;
        if tx.is_taken(name).map_err(Error::from)? {
            return Err(Error::Exists.into());
        }
        let taken = tx.insert_snapshot(name, label).map_err(Error::from)?;
        tx.insert_pending(taken.epoch, cut).map_err(Error::from)?;
        await_word()?;
        tx.commit().map_err(Error::from)?;
        self.core.sync()?;
        Ok(taken)
    }

    /// Acts on the outcome of a cut; gives it up if it is not decided.
    ///
    /// # Errors
    /// I/O errors: what is pending stays so.
    pub fn settle_cut(&self, id: CutId) -> Result<()> {
        let pending = self.core.database.read_once()?.pending()?;
        let mut mine = pending.iter().filter(|pending| pending.cut.id == id);
        mine.try_for_each(|pending| self.conclude(pending))
    }

    /// Settles what an unclean end left. What cannot be settled stays out of sight.
    pub(super) fn settle_cuts(&self) {
        Ledger::of(&self.dir).sweep();
        let pending = self.core.database.read_once().and_then(|tx| tx.pending());
        let settled = pending
            .map_err(Error::from)
            .and_then(|pending| pending.iter().try_for_each(|one| self.conclude(one)));
        if let Err(error) = settled {
            log::warn!("snapshots of {} wait: {error}", self.dir.display());
        }
    }

    fn conclude(&self, pending: &Pending) -> Result<()> {
        let ledger = Ledger::find(&pending.cut, &self.dir);
        let outcome = match &ledger {
            _ if pending.is_taken => Outcome::Taken,
            Some(ledger) => ledger.conclude(pending.cut.id)?,
            None => {
                self.warn_of(pending);
                return Ok(());
            }
        };
        self.act(pending, outcome)?;
        if outcome == Outcome::Taken {
            if let Some(ledger) = ledger {
                ledger.note_settled(pending.cut.id, self.config.uuid);
            }
            self.core
                .change(Space::Frees, |tx| Ok(tx.delete_pending(pending.epoch)?))?;
        }
        Ok(())
    }

    /// Keeps the snapshot or removes it, durably: afterwards the outcome may be forgotten.
    fn act(&self, pending: &Pending, outcome: Outcome) -> Result<()> {
        self.core.change(Space::Frees, |tx| match outcome {
            Outcome::Taken => Ok(tx.take_pending(pending.epoch)?),
            Outcome::GivenUp => Ok(tx.delete_snapshot(pending.epoch)?),
        })?;
        if outcome == Outcome::GivenUp {
            self.core.residents.call_backlog();
        }
        self.core.sync()
    }

    fn warn_of(&self, pending: &Pending) {
        let (name, cut) = (&pending.name, &pending.cut);
        log::warn!(
            "snapshot \"{name}\" of {} waits for volume {}, which was in {} and decides whether it was taken: \
             bring that back, or remove the snapshot",
            self.dir.display(),
            cut.ledger,
            cut.ledger_dir.display()
        );
    }

    /// Removes a pending snapshot if nobody can tell the outcome of its cut any more, so that its name and its
    /// space come back; whether there was one.
    pub(super) fn remove_stuck(&self, name: &SnapshotName) -> Result<bool> {
        let pending = self.core.database.read_once()?.pending()?;
        let is_it = |pending: &&Pending| pending.name == *name && !pending.is_taken;
        let Some(stuck) = pending.iter().find(is_it) else {
            return Ok(false);
        };
        match Ledger::find(&stuck.cut, &self.dir) {
            // Somebody is at it.
            Some(ledger) if ledger.is_open(stuck.cut.id) => return Ok(false),
            Some(_) => {
                self.conclude(stuck)?;
                return Ok(false);
            }
            None => {}
        }
        self.act(stuck, Outcome::GivenUp)?;
        Ok(true)
    }
}
