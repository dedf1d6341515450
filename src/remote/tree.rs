//! A snapshot in a repository as a tree that can be read, without a volume of it: what is looked at is fetched.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use lru::LruCache;
use parking_lot::Mutex;

use super::window::windows;
use super::{Error, Place, PlacedRow, RemoteSnapshot, Repository, Result, SnapshotRows};
use crate::types::{Attr, Ino, InodeRow, Name, NameBuf};

/// Chunks that are held: 32 MiB of large ones.
const CHUNKS_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Requests at once.
const AT_ONCE: usize = 4;
/// Who reads on gets so much more than was asked for, by several requests at once.
const AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// A snapshot that was pushed.
#[derive(Debug)]
pub struct PushedTree {
    repository: Repository,
    rows: SnapshotRows,
    chunks: Mutex<LruCache<Place, Arc<[u8]>>>,
    /// The file that was read last, and up to where.
    last: Mutex<(Ino, u64)>,
}

impl PushedTree {
    /// Opens a snapshot that is published.
    ///
    /// # Errors
    /// Those of [`SnapshotRows::open`].
    pub fn open(repository: &Repository, snapshot: &RemoteSnapshot) -> Result<Self> {
        let rows = SnapshotRows::open(repository, snapshot)?;
        // Every path begins there.
        rows.bring(Ino::ROOT.raw())?;
        Ok(Self {
            repository: repository.clone(),
            rows,
            chunks: Mutex::new(LruCache::new(CHUNKS_MAX)),
            last: Mutex::new((Ino::from_raw(0), 0)),
        })
    }

    /// Its rows.
    #[must_use]
    pub const fn rows(&self) -> &SnapshotRows {
        &self.rows
    }

    /// The attributes of an inode, if there is one.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`]; see [`super::Shelf`]. So do all that follow.
    pub fn attr(&self, ino: Ino) -> Result<Option<Attr>> {
        let row = self.rows.inode(ino.raw())?;
        row.map(|row| attr_of(&row)).transpose()
    }

    /// What has this name in a directory.
    ///
    /// # Errors
    /// See [`Self::attr`].
    pub fn lookup(&self, dir: Ino, name: &Name) -> Result<Option<Attr>> {
        match self.rows.entry(dir.raw(), name.as_bytes())? {
            Some(row) => {
                // A directory is looked into next, and a file is read. What is here is told also while the rest cannot be
                // had.
                let brought = self.rows.bring(row.ino);
                let attr = self.attr(Ino::from_raw(row.ino));
                let attr = attr.map_err(|error| brought.err().unwrap_or(error))?;
                attr.ok_or_else(|| damaged("an entry leads nowhere"))
                    .map(Some)
            }
            None => Ok(None),
        }
    }

    /// What a directory holds, by name.
    ///
    /// # Errors
    /// See [`Self::attr`].
    pub fn list(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>> {
        let entries = self.rows.entries(dir.raw())?.into_iter();
        let found = entries.map(|entry| {
            let name = Name::parse(&entry.name).map_err(|_| damaged("a name is none"))?;
            let attr = self.attr(Ino::from_raw(entry.ino))?;
            let attr = attr.ok_or_else(|| damaged("an entry leads nowhere"))?;
            Ok((name.to_owned(), attr))
        });
        found.collect()
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// See [`Self::attr`].
    pub fn target(&self, link: Ino) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.inode(link.raw())?.map(|row| row.target))
    }

    /// All extended attributes, by name.
    ///
    /// # Errors
    /// See [`Self::attr`].
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let rows = self.rows.xattrs(ino.raw())?.into_iter();
        Ok(rows.map(|row| (row.name, row.value)).collect())
    }

    /// The next bytes of a file from `from` on that are no hole.
    ///
    /// # Errors
    /// See [`Self::attr`].
    pub fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>> {
        let found = self.rows.next_extent(file.raw(), from)?;
        Ok(found.map(|row| row.off.max(from)..row.off + row.len))
    }

    /// At most `len` bytes of `file` from `offset` on; none at its end.
    ///
    /// # Errors
    /// See [`Self::attr`].
    pub fn read(&self, file: &Attr, offset: u64, len: usize) -> Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64).min(file.size).max(offset);
        let file = file.ino;
        let goes_on = std::mem::replace(&mut *self.last.lock(), (file, end)) == (file, offset);
        let wanted = offset..end;
        let fetched = if goes_on {
            offset..end.saturating_add(AHEAD_BYTES)
        } else {
            wanted.clone()
        };
        let extents = self.rows.extents(file.raw(), &fetched)?;
        let is_needed = |row: &&PlacedRow| row.off < end;
        let needed: Vec<PlacedRow> = extents.iter().filter(is_needed).copied().collect();
        if needed.iter().any(|row| self.held(&row.place).is_none()) {
            self.fetch(extents.iter().map(|row| row.place).collect())?;
        }
        self.filled(&wanted, &needed)
    }

    fn held(&self, place: &Place) -> Option<Arc<[u8]>> {
        self.chunks.lock().get(place).cloned()
    }

    /// Fetches what is not held, neighbours together and several at once.
    fn fetch(&self, places: BTreeSet<Place>) -> Result<()> {
        let lacking = places.into_iter().filter(|one| self.held(one).is_none());
        for some in windows(lacking, |place| place).chunks(AT_ONCE) {
            self.fetch_some(some)?;
        }
        Ok(())
    }

    fn fetch_some(&self, windows: &[Vec<Place>]) -> Result<()> {
        let repository = &self.repository;
        let fetched: Result<Vec<_>> = thread::scope(|scope| {
            let fetch = |window| {
                let thread = thread::Builder::new();
                thread.spawn_scoped(scope, move || repository.fetch(window))
            };
            let threads = windows.iter().map(|one| fetch(one.as_slice()));
            let threads: Vec<_> = threads.collect();
            let joined = threads.into_iter().map(|thread| {
                let thread = thread.map_err(|e| Error::host("start a thread that fetches", e))?;
                let panicked = |_| Error::Bug("a thread that fetches panicked".to_owned());
                thread.join().map_err(panicked)?
            });
            joined.collect()
        });
        for (window, fetched) in windows.iter().zip(fetched?) {
            let mut chunks = self.chunks.lock();
            for (place, plain) in window.iter().zip(fetched.plain) {
                chunks.put(*place, Arc::from(&plain[..]));
            }
        }
        Ok(())
    }

    fn filled(&self, range: &Range<u64>, extents: &[PlacedRow]) -> Result<Vec<u8>> {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let mut bytes = vec![0; at(range.end - range.start)];
        for row in extents {
            let start = row.off.max(range.start);
            let end = (row.off + row.len).min(range.end);
            let skip = at(row.chunk_off + (start - row.off));
            let plain = match self.held(&row.place) {
                Some(plain) => plain,
                // More was fetched than is held.
                None => {
                    self.fetch(BTreeSet::from([row.place]))?;
                    let again = self.held(&row.place);
                    again.ok_or_else(|| Error::Bug("what was fetched is not held".to_owned()))?
                }
            };
            let out = bytes.get_mut(at(start - range.start)..at(end - range.start));
            let from = out
                .as_ref()
                .and_then(|out| plain.get(skip..skip + out.len()));
            let (out, from) = out
                .zip(from)
                .ok_or_else(|| damaged("an extent does not fit its chunk"))?;
            out.copy_from_slice(from);
        }
        Ok(bytes)
    }
}

fn attr_of(row: &InodeRow) -> Result<Attr> {
    row.attr().map_err(|e| damaged(&e.to_string()))
}

fn damaged(what: &str) -> Error {
    Error::damaged("a run", what)
}
