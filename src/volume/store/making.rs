//! Who makes a volume says so by a file beside it, `.making-UUID`, which they hold locked: what nobody makes any
//! more is told from what somebody does, also after a kill.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::names::{FRESH, unique};
use crate::types::VolumeId;
use crate::volume::error::{Error, Result};

const NOTE: &str = ".making-";

/// A volume that is being made, until this is dropped.
#[derive(Debug)]
pub(super) struct Making {
    fresh: PathBuf,
    note: PathBuf,
    _held: File,
}

impl Making {
    /// Notes that a volume is made in `volumes`. Needs the store's lock.
    pub(super) fn begin(volumes: &Path) -> Result<Self> {
        let fresh = volumes.join(unique(FRESH));
        let note = note_of(&fresh).ok_or(Error::Invalid)?;
        let cannot = |e| Error::storage(format!("cannot create {}", note.display()), e);
        let mut options = File::options();
        let options = options.write(true).create_new(true).mode(0o600);
        let held = options.open(&note).map_err(cannot)?;
        flock(&held, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
        Ok(Self {
            fresh,
            note,
            _held: held,
        })
    }

    /// Where the volume is made.
    pub(super) fn fresh(&self) -> &Path {
        &self.fresh
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.note) {
            log::warn!("cannot remove {}: {e}", self.note.display());
        }
    }
}

/// The note of what is made in `fresh`.
fn note_of(fresh: &Path) -> Option<PathBuf> {
    let uuid = fresh.file_name()?.to_str()?.strip_prefix(FRESH)?;
    Some(fresh.with_file_name(format!("{NOTE}{uuid}")))
}

/// Whether somebody makes the volume in `fresh`.
pub(super) fn is_made(fresh: &Path) -> bool {
    note_of(fresh).is_some_and(|note| is_held(&note))
}

fn is_held(note: &Path) -> bool {
    let held = File::open(note)
        .and_then(|note| Ok(flock(&note, FlockOperation::NonBlockingLockExclusive)?));
    held.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
}

/// Whoever made the volume may have come first: it is done without the store's lock then.
fn remove_note(note: &Path) -> io::Result<()> {
    match fs::remove_file(note) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes the notes among `unnamed` of those who were killed. Needs the store's lock.
pub(super) fn clear_away(unnamed: &[PathBuf]) {
    for path in unnamed {
        let name = path.file_name().and_then(|name| name.to_str());
        let uuid = name.and_then(|name| name.strip_prefix(NOTE));
        let is_note = uuid.is_some_and(|uuid| uuid.parse::<VolumeId>().is_ok());
        if is_note
            && !is_held(path)
            && let Err(e) = remove_note(path)
        {
            log::warn!("cannot clear away {}: {e}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_its_maker_has_removed_is_no_failure() {
        let volumes = tempfile::tempdir().unwrap();
        let making = Making::begin(volumes.path()).unwrap();
        let note = making.note.clone();
        assert!(note.exists() && is_held(&note));
        drop(making);
        assert!(!note.exists() && !is_held(&note));
        remove_note(&note).unwrap();
    }
}
