//! What a volume was: snapshots, what changed between them, clones and rollbacks made from them, and snapshots of
//! several volumes at once.

mod clone;
pub(super) mod commit_record;
mod diff;
pub(super) mod frozen;
pub(super) mod group_snapshot;
pub(super) mod paths;
pub(super) mod reading;
mod rollback;
mod scheduled;
pub(super) mod snapshot;

pub use commit_record::{CommitRecords, Outcome};
pub use diff::{Change, ChangeKind};
pub use frozen::{Changed, Frozen};
pub use reading::{Moment, Reading, Seek};
pub use scheduled::Scheduled;

use std::path::Path;

use super::config::Config;
use super::error::{Error, Result};
use super::handle::Volume;
use crate::meta::{Hold, Snapshot, SnapshotBytes};
use crate::types::{Epoch, Group, GroupId, SnapshotName};

impl Volume {
    /// Takes a snapshot: it holds every operation that was acknowledged, and is durable when this returns.
    /// Its cost does not depend on what the volume holds.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken, [`Error::NoSpace`], [`Error::Storage`].
    pub fn take_snapshot(&self, name: &SnapshotName, label: &str) -> Result<Snapshot> {
        snapshot::take_snapshot(&self.core, name, label)
    }

    /// Takes a snapshot as [`Self::take_snapshot`] does, if anything has changed since the snapshot `since`, or
    /// that is gone; none if not.
    ///
    /// # Errors
    /// As there.
    pub fn take_changed_snapshot(
        &self,
        name: &SnapshotName,
        label: &str,
        since: &SnapshotName,
    ) -> Result<Option<Snapshot>> {
        snapshot::take_changed_snapshot(&self.core, name, label, since)
    }

    /// All snapshots, the oldest first.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        snapshot::snapshots(&self.core)
    }

    /// All snapshots, the oldest first, and the bytes that each holds. Looks at every extent once.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn measured_snapshots(&self) -> Result<Vec<(Snapshot, SnapshotBytes)>> {
        snapshot::measured_snapshots(&self.core)
    }

    /// The snapshot of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn snapshot(&self, name: &SnapshotName) -> Result<Snapshot> {
        snapshot::snapshot(&self.core, name)
    }

    /// Forbids or allows the removal of a snapshot.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Storage`].
    pub fn hold_snapshot(&self, name: &SnapshotName, hold: Hold) -> Result<()> {
        snapshot::hold_snapshot(&self.core, name, hold)
    }

    /// Removes a snapshot; its space comes back in the background.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Held`], [`Error::Storage`].
    pub fn remove_snapshot(&self, name: &SnapshotName) -> Result<()> {
        snapshot::remove_snapshot(&self.core, name)
    }

    /// Makes the head what it was at snapshot `to`, in one transaction, after taking the snapshot `safety` of
    /// what it is; returns that. Newer snapshots stay.
    ///
    /// Nobody may have the volume mounted: the kernel would go on with what it knows.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`] when `safety` is taken, [`Error::NoSpace`], [`Error::Storage`].
    pub fn rollback(&self, to: &SnapshotName, safety: &SnapshotName) -> Result<Snapshot> {
        rollback::rollback(&self.core, to, safety)
    }

    /// The differences between snapshot `from` and snapshot `to`, or the head, sorted by path.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `to` is older than `from`; [`Error::Unwanted`] when whoever asked is gone
    /// ([`crate::types::while_wanted`]); [`Error::Storage`].
    pub fn diff(&self, from: &Snapshot, to: Option<&Snapshot>) -> Result<Vec<Change>> {
        diff::diff(&self.core, from, to)
    }

    /// Makes in `dir`, which must not exist, a writable volume that holds what snapshot `from` holds, or the
    /// head. Afterwards neither volume knows of the other.
    ///
    /// Segments are shared by hard links, or copied where the filesystem has none: they are only ever
    /// appended to, and what the clone refers to is in them already.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NoSpace`], [`Error::Storage`]; what was begun in `dir` is left there.
    pub fn clone_into(&self, from: Option<&Snapshot>, dir: &Path, config: &Config) -> Result<()> {
        clone::clone_into(&self.core, from, dir, config)
    }

    /// Takes a snapshot that is pending, for `group`. Every change of the volume waits while `await_word` does,
    /// which returns when all volumes of the group wait; on its error nothing has happened. The snapshot is
    /// durable when this returns.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken, [`Error::NoSpace`], [`Error::Storage`]; those of `await_word`.
    pub fn prepare_in_group<E: From<Error>>(
        &self,
        name: &SnapshotName,
        label: &str,
        group: &Group,
        await_word: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<Snapshot, E> {
        group_snapshot::prepare_in_group(&self.core, name, label, group, await_word)
    }

    /// Acts on the outcome of a group snapshot; gives it up if it is not decided.
    ///
    /// # Errors
    /// [`Error::Storage`]: what is pending stays so.
    pub fn conclude_in_group(&self, id: GroupId) -> Result<()> {
        group_snapshot::conclude_in_group(&self.core, id)
    }

    /// The state at the snapshot of this epoch; once that is removed, nothing is found in it.
    #[must_use]
    pub fn frozen(&self, at: Epoch) -> Frozen<'_> {
        frozen::frozen(&self.core, at)
    }

    /// Keeps the volume as it is now, at the cost of a snapshot that need not be durable.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] where nothing changes any more, [`Error::NoSpace`], [`Error::OverLimit`], [`Error::Storage`].
    pub fn moment(&self) -> Result<Moment<'_>> {
        reading::moment(&self.core)
    }
}
