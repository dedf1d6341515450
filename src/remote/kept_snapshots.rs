//! Snapshots of a repository that this host has read, kept as they lie in the store: what is published stays as it is, and
//! need not be fetched again. They only save requests.
//!
//! Each is a file that begins with the tag by which the store tells of its state: where a list tells another one, that is
//! read. They are sealed, so that what is changed here is found, and counts as not kept.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::kept_names::remove;
use super::object::ObjectId;
use super::shelf::{Key, Listed, Tag};
use super::snapshot::parts_of;
use crate::types::VolumeId;

/// Bytes of what is kept of one list at most: some ten thousand snapshots.
const BYTES_MAX: u64 = 16 << 20;

/// What is kept in a directory.
#[derive(Debug)]
pub(super) struct KeptSnapshots {
    dir: PathBuf,
}

/// Which snapshots may be kept.
#[derive(Debug)]
pub(super) struct Chosen(BTreeSet<(VolumeId, ObjectId)>);

impl Chosen {
    /// Those of a list that are kept, the same each time.
    fn of(listed: &[Listed]) -> Self {
        let parts = |one: &Listed| parts_of(&one.key).map(|parts| (parts, one.bytes));
        let mut all: Vec<_> = listed.iter().filter_map(parts).collect();
        all.sort_unstable();
        let mut room = BYTES_MAX;
        let fits = all.into_iter().take_while(|(_, bytes)| {
            room = room.saturating_sub(*bytes);
            room > 0
        });
        Self(fits.map(|(parts, _)| parts).collect())
    }

    fn has(&self, key: &Key) -> bool {
        parts_of(key).is_some_and(|parts| self.0.contains(&parts))
    }
}

impl KeptSnapshots {
    pub(super) const fn in_dir(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Removes what is kept of snapshots that a list no longer has, of one volume or of all, and says which of the list may
    /// be kept.
    pub(super) fn choose(&self, of: Option<VolumeId>, listed: &[Listed]) -> Chosen {
        let chosen = Chosen::of(listed);
        let volumes = match of {
            Some(volume) => vec![volume],
            None => names_in(&self.dir),
        };
        for volume in volumes {
            let dir = self.dir.join(volume.to_string());
            for id in names_in(&dir) {
                if !chosen.0.contains(&(volume, id)) {
                    remove(&dir.join(id.to_string()));
                }
            }
            // Only if nothing is in it.
            drop(fs::remove_dir(&dir));
        }
        chosen
    }

    /// What is kept of an object, if a list tells of the same state; and its tag.
    pub(super) fn find(&self, listed: &Listed) -> Option<(Vec<u8>, Tag)> {
        let tag = listed.tag.as_ref()?;
        let mut bytes = fs::read(self.path(&listed.key)?).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let object = bytes.split_off(end + 1);
        (bytes[..end] == *bare(tag).as_bytes()).then(|| (object, tag.clone()))
    }

    /// Keeps an object as it was read, if it is one of those that were chosen.
    pub(super) fn keep(&self, chosen: &Chosen, key: &Key, (bytes, tag): (&[u8], &Tag)) {
        if let Some(path) = self.path(key).filter(|_| chosen.has(key))
            && let Err(e) = write(&path, &[bare(tag).as_bytes(), b"\n", bytes].concat())
        {
            log::debug!("cannot keep {}: {e}", path.display());
        }
    }

    /// An object is no longer there.
    pub(super) fn forget(&self, key: &Key) {
        if let Some(path) = self.path(key) {
            remove(&path);
        }
    }

    /// By what is parsed of a name: a store may tell of any.
    fn path(&self, key: &Key) -> Option<PathBuf> {
        let (volume, id) = parts_of(key)?;
        Some(self.dir.join(volume.to_string()).join(id.to_string()))
    }
}

/// Some stores have quotation marks around it in an answer and not in a list.
fn bare(tag: &Tag) -> &str {
    tag.0.trim_matches('"')
}

/// What in a directory has names of this kind.
fn names_in<T: std::str::FromStr>(dir: &Path) -> Vec<T> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// Not durably, nor at once: what is not whole does not open.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)?;
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(bytes)
}
