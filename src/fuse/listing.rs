//! READDIR and READDIRPLUS: `.`, `..` and a directory's entries, as many as fit into one answer.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use crate::types::{Attr, FileKind, Ino};
use crate::volume::{DirEntry, Error, FIRST_COOKIE, Frozen, Volume};

/// Entries read in one go: most answers of one page hold fewer.
const BATCH: usize = 48;
const DOT: u64 = FIRST_COOKIE - 2;
const DOT_DOT: u64 = FIRST_COOKIE - 1;

/// A state of a volume whose directories can be listed.
pub(super) trait State {
    fn parent(&self, dir: Ino) -> Result<Ino, Error>;
    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>, Error>;
}

impl State for Volume {
    fn parent(&self, dir: Ino) -> Result<Ino, Error> {
        self.parent(dir)
    }

    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>, Error> {
        self.list(dir, after, limit)
    }
}

impl State for Frozen<'_> {
    fn parent(&self, dir: Ino) -> Result<Ino, Error> {
        self.parent(dir)
    }

    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>, Error> {
        self.list(dir, after, limit)
    }
}

/// An entry as it goes into an answer.
pub(super) enum Listed<'a> {
    /// `.` or `..`, which the kernel does not count as told of.
    Dots(Ino),
    /// Any other.
    Entry(&'a Attr),
}

impl Listed<'_> {
    pub(super) const fn ino(&self) -> Ino {
        match self {
            Self::Dots(ino) => *ino,
            Self::Entry(attr) => attr.ino,
        }
    }

    pub(super) const fn kind(&self) -> FileKind {
        match self {
            Self::Dots(_) => FileKind::Directory,
            Self::Entry(attr) => attr.kind,
        }
    }
}

/// Calls `add` with each entry that comes after place `after`, until it breaks: place, name, entry. `.` and `..` come
/// first, at the two lowest places; the others from the highest place down.
pub(super) fn each_entry(
    state: &impl State,
    dir: Ino,
    after: u64,
    mut add: impl FnMut(u64, &OsStr, &Listed<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let parent = state.parent(dir)?;
    for (cookie, name, ino) in [(DOT, ".", dir), (DOT_DOT, "..", parent)] {
        if after < cookie && add(cookie, name.as_ref(), &Listed::Dots(ino)).is_break() {
            return Ok(());
        }
    }
    let mut after = after.max(DOT_DOT);
    loop {
        let entries = state.list(dir, after, BATCH)?;
        for entry in &entries {
            let name = OsStr::from_bytes(entry.name.as_bytes());
            if add(entry.cookie, name, &Listed::Entry(&entry.attr)).is_break() {
                return Ok(());
            }
            after = entry.cookie;
        }
        if entries.len() < BATCH {
            return Ok(());
        }
    }
}
