//! What becomes of a group snapshot: commit records in the directory of the volume that coordinates it.
//!
//! Name | what is true
//! --- | ---
//! `cut-<id>.open` | it is not decided
//! `cut-<id>` | it is taken: each volume keeps its snapshot
//! neither | it is given up: each volume removes its snapshot
//!
//! The one step that takes a group snapshot, and the one that gives it up, are renames of the same name: of those that
//! try, one wins. A record is a directory with a file for each volume that has not heard of the outcome yet;
//! the last one to remove its file removes the record.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::durable;
use crate::types::{Group, GroupId, VolumeId};
use crate::volume::config::Config;
use crate::volume::error::{Error, Result};

const PREFIX: &str = "cut-";
const OPEN: &str = ".open";
/// A record that is being removed.
const VOID: &str = ".void";

/// The records in a volume's directory.
#[derive(Debug)]
pub struct CommitRecords {
    dir: PathBuf,
}

/// What became of a group snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every volume keeps its snapshot.
    Taken,
    /// No volume does.
    GivenUp,
}

impl CommitRecords {
    /// The records in the volume directory `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The records of the volume that decides `group`: where it was, or beside there, or beside `near`.
    pub(super) fn find(group: &Group, near: &Path) -> Option<Self> {
        let is_it =
            |dir: &PathBuf| Config::load(dir).is_ok_and(|found| found.uuid == group.coordinator);
        let beside = [&group.coordinator_dir, near]
            .into_iter()
            .flat_map(siblings);
        let dir = std::iter::once(group.coordinator_dir.clone())
            .chain(beside)
            .find(is_it);
        dir.map(|dir| Self { dir })
    }

    /// Notes a group snapshot of `parts` that is not decided.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn begin(&self, id: GroupId, parts: &[VolumeId]) -> Result<()> {
        let record = self.path(id, OPEN);
        let made = DirBuilder::new().mode(0o700).create(&record);
        let made = made.and_then(|()| {
            let mut options = File::options();
            let options = options.write(true).create_new(true).mode(0o600);
            for part in parts {
                options.open(record.join(part.to_string()))?;
            }
            // The files, not yet the record: one that a power cut takes was not decided, and counts as given up.
            durable::sync_dir(&record)
        });
        made.map_err(|e| self.cannot("note", id, e))
    }

    /// Takes a group snapshot, durably, unless it was given up meanwhile.
    ///
    /// # Errors
    /// [`Error::Storage`]: the outcome is what [`Self::conclude`] says.
    pub fn take(&self, id: GroupId) -> Result<Outcome> {
        match durable::rename(&self.path(id, OPEN), &self.path(id, "")) {
            Ok(()) => Ok(Outcome::Taken),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Outcome::GivenUp),
            Err(e) => Err(self.cannot("take", id, e)),
        }
    }

    /// The outcome of a group snapshot; one that is not decided is given up, for whoever asks waits no longer.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn conclude(&self, id: GroupId) -> Result<Outcome> {
        let void = self.path(id, VOID);
        match durable::rename(&self.path(id, OPEN), &void) {
            Ok(()) => {
                discard(&void);
                return Ok(Outcome::GivenUp);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(self.cannot("conclude", id, e)),
        }
        let taken = self.path(id, "").try_exists();
        if !taken.map_err(|e| self.cannot("conclude", id, e))? {
            return Ok(Outcome::GivenUp);
        }
        // Whoever took it may have died before that was durable.
        durable::sync_dir(&self.dir).map_err(|e| self.cannot("conclude", id, e))?;
        Ok(Outcome::Taken)
    }

    /// Whether a group snapshot is not decided.
    pub(super) fn is_open(&self, id: GroupId) -> bool {
        self.path(id, OPEN).exists()
    }

    /// Volume `part` has acted on the outcome, durably.
    pub(super) fn note_concluded(&self, id: GroupId, part: VolumeId) {
        let record = self.path(id, "");
        match fs::remove_file(record.join(part.to_string())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot note that {part} has concluded group snapshot {id}: {e}");
            }
            Ok(()) | Err(_) => remove_if_done_with(&record),
        }
    }

    /// Gives up what is not decided and clears leftovers away. Nobody can be at a group snapshot of a volume that is only
    /// being opened.
    pub(super) fn sweep(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            match name.strip_prefix(PREFIX) {
                Some(id) if id.ends_with(OPEN) || id.ends_with(VOID) => discard(&entry.path()),
                Some(_) => remove_if_done_with(&entry.path()),
                None => {}
            }
        }
    }

    fn path(&self, id: GroupId, suffix: &str) -> PathBuf {
        self.dir.join(format!("{PREFIX}{id}{suffix}"))
    }

    fn cannot(&self, what: &str, id: GroupId, source: io::Error) -> Error {
        let dir = self.dir.display();
        Error::storage(format!("cannot {what} cut {id} in {dir}"), source)
    }
}

fn siblings(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = dir.parent().and_then(|parent| fs::read_dir(parent).ok());
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

/// Removes a record that nobody needs any more.
fn remove_if_done_with(record: &Path) {
    // Only the last one succeeds: rmdir(2) leaves what is not empty.
    if let Err(e) = fs::remove_dir(record)
        && !matches!(
            e.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
        )
    {
        log::warn!("cannot clear away {}: {e}", record.display());
    }
}

fn discard(record: &Path) {
    if let Err(e) = fs::remove_dir_all(record) {
        log::warn!("cannot clear away {}: {e}", record.display());
    }
}
