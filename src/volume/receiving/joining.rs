//! What came becomes the next snapshot and the head of a volume that is there: of a copy of it that shares its
//! segments, which takes its place at once. Whatever fails on the way, the volume is as it was.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::{JOINED, Receiving};
use crate::durable;
use crate::meta::{ArrivedSnapshot, Snapshot};
use crate::types::SnapshotName;
use crate::volume::config::Config;
use crate::volume::error::{Error, Result};
use crate::volume::handle::Volume;
use crate::volume::layout::{DATABASE, SEGMENTS, restrict};
use crate::volume::lock::DirLock;
use crate::volume::tuning::Tuning;

/// What became of a state that was received for a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// It is the volume's newest snapshot, and its head.
    Joined,
    /// The volume's head has changed since the snapshot that the state builds on; nothing was done.
    Changed,
}

impl Receiving {
    /// Makes it the newest snapshot and the head of the volume in its directory, which nobody may have open. The head
    /// must be as it was at snapshot `base`; if it is not, it is kept as the snapshot `safety`, where that is given.
    /// Durable when this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the snapshot `base`, [`Error::InUse`]; [`Error::Corrupt`] when what has come does
    /// not fit, [`Error::NoSpace`], [`Error::Storage`]. What came is kept then.
    pub fn join(
        self,
        base: &SnapshotName,
        safety: Option<&SnapshotName>,
        snapshot: &ArrivedSnapshot,
    ) -> Result<Landing> {
        // Before any row names them for good (invariant 1).
        self.keep()?;
        let lock = DirLock::take(&self.target)?;
        expect_no_cut(&self.target)?;
        let joined = self.partial.join(JOINED);
        make(&joined)?;
        let held = lock.as_fd().try_clone_to_owned();
        let held = held.map_err(|e| Error::storage("cannot hold the lock", e))?;
        let volume = Volume::open_held(&self.target, held.into(), Tuning::default(), |_| Ok(()))?;
        let copied = copy(&volume, base, safety, &joined);
        volume.close()?;
        if copied? == Landing::Changed {
            return Ok(Landing::Changed);
        }
        let own = self.arrival.segments()?;
        self.chunks.link_into(&joined.join(SEGMENTS), &own)?;
        let (path, partial, target) = (joined.join(DATABASE), self.partial, self.target);
        self.arrival.merge(&path, snapshot)?;
        let cannot = |e| Error::storage(format!("cannot change {}", target.display()), e);
        durable::sync_file(&path).map_err(cannot)?;
        Config::load(&target)?.store(&joined)?;
        durable::exchange(&joined, &target).map_err(cannot)?;
        // The volume as it was is in it now.
        if let Err(e) = fs::remove_dir_all(&partial) {
            log::warn!("cannot clear away {}: {e}", partial.display());
        }
        drop(lock);
        Ok(Landing::Joined)
    }
}

fn make(joined: &Path) -> Result<()> {
    let mut options = DirBuilder::new();
    let made = options
        .recursive(true)
        .mode(0o700)
        .create(joined.join(SEGMENTS));
    made.map_err(|e| Error::storage(format!("cannot create {}", joined.display()), e))
}

/// A record of a group snapshot would be lost.
fn expect_no_cut(target: &Path) -> Result<()> {
    let cannot = |e| Error::storage(format!("cannot read {}", target.display()), e);
    for entry in fs::read_dir(target).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if name.to_string_lossy().starts_with("cut-") {
            let why = "a snapshot of several volumes is not done with: open those volumes once";
            return Err(cannot(io::Error::other(why)));
        }
    }
    Ok(())
}

/// Copies the tables of a volume, and shares the segments that they name.
fn copy(
    volume: &Volume,
    base: &SnapshotName,
    safety: Option<&SnapshotName>,
    joined: &Path,
) -> Result<Landing> {
    let base = volume.snapshot(base)?;
    if !is_at(volume, &base)? {
        match safety {
            None => return Ok(Landing::Changed),
            Some(name) => drop(volume.take_snapshot(name, "")?),
        }
    }
    let core = &volume.core;
    // Before the database is copied: no segment that the copy names may go before it is linked (invariant 10).
    let _kept = core.gc().keep_segments();
    let path = joined.join(DATABASE);
    core.database().copy_to(&path)?;
    restrict(&path)?;
    // What the copy names was appended before it was made.
    core.disk().sync_chunks()?;
    let needed = core.database().read_once()?.segments()?;
    core.chunks().link_into(&joined.join(SEGMENTS), &needed)?;
    Ok(Landing::Joined)
}

fn is_at(volume: &Volume, base: &Snapshot) -> Result<bool> {
    Ok(volume.diff(base, None)?.is_empty())
}
