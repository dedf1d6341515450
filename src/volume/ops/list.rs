//! Listing directories by place: a place stays valid while other names come and go.
//!
//! The order is from the highest place down. A name that is made while a directory is read gets a place above all
//! others, behind its reader: so reading ends, whatever the reader itself creates, links or renames there.

use crate::meta::ListedEntry;
use crate::types::{Attr, FileKind, Ino, NameBuf};
use crate::volume::core::Core;
use crate::volume::durability::refusal_record::{as_seen, seen};
use crate::volume::error::{Error, Result};
use crate::volume::metadata::inode;

/// Entries' places are this and greater: 1 and 2 are left for `.` and `..`.
pub const FIRST_COOKIE: u64 = 3;

/// One entry of a directory; `.` and `..` are not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its place.
    pub cookie: u64,
    /// Its name.
    pub name: NameBuf,
    /// What it names.
    pub attr: Attr,
}

/// As [`crate::volume::Volume::list`].
pub(super) fn list(core: &Core, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
    seen(core, || {
        let tx = core.database().read()?;
        if inode(&tx, dir)?.attr.kind != FileKind::Directory {
            return Err(Error::NotDirectory);
        }
        let entries = tx.list(dir, below(after), limit)?.into_iter();
        let seen = entries.map(DirEntry::from).map(|entry| DirEntry {
            attr: as_seen(core, entry.attr),
            ..entry
        });
        Ok(seen.collect())
    })
}

/// The place below which the entries are that come after this one.
pub(in crate::volume) const fn below(after: u64) -> u64 {
    if after < FIRST_COOKIE {
        // SQLite's largest integer: above every place.
        i64::MAX.cast_unsigned()
    } else {
        after
    }
}

impl From<ListedEntry> for DirEntry {
    fn from(entry: ListedEntry) -> Self {
        Self {
            cookie: entry.cookie,
            name: entry.name,
            attr: entry.inode.attr,
        }
    }
}
