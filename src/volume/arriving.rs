//! A volume that is made of a state that arrives from elsewhere: rows first, then chunks. It is a volume when all of it
//! has come.

mod early_sync;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use early_sync::EarlySync;

use super::config::Config;
use super::data::sharing_of;
use super::error::{Error, Result};
use super::layout::{DATABASE, SEGMENTS, restrict};
use crate::chunks::{ChunkStore, NewChunk, Stream};
use crate::durable;
use crate::meta::{self, Arrival, ArrivedSnapshot, FarExtent, Home};
use crate::remote::{
    self, Bytes, Levels, ObjectId, RemoteSnapshot, Repository, Row, RunReader, Tables, Unread,
    uppermost,
};
use crate::types::{
    ChunkId, EntryRow, FarPlace, FileKind, Ino, InodeRow, RowError, SegmentId, XattrRow,
};

/// What is needed while it is made.
const SCRATCH: &str = "places.db";
/// The same, for one of several states.
const STATE: &str = "state.db";
/// Places that are looked at together.
const PLACES: u32 = 4096;

/// A volume that is being made.
#[derive(Debug)]
pub struct Arriving {
    dir: PathBuf,
    config: Config,
    arrival: Arrival,
    chunks: Arc<ChunkStore>,
    early_sync: EarlySync,
}

/// A chunk that has come.
#[derive(Debug)]
pub struct FarChunk {
    /// Which of [`Arriving::places`].
    pub id: ChunkId,
    /// Its plaintext.
    pub plain: Bytes,
}

impl Arriving {
    /// Begins one in `dir`, which must not exist; its parent must.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Storage`]; what was begun in `dir` is left there, as after all that follows.
    pub fn begin(dir: &Path, config: &Config) -> Result<Self> {
        make_dirs(dir)?;
        Self::begin_in(dir, config)
    }

    /// The same in a directory that [`make_dirs`] has made, whose volume has no tables yet. What is left of an earlier time
    /// goes.
    pub(super) fn begin_in(dir: &Path, config: &Config) -> Result<Self> {
        Self::begin_with(dir, config, |path| Arrival::begin(path, &dir.join(SCRATCH)))
    }

    /// As [`Self::begin`], of several states, the oldest first: behind the rows of each comes [`Self::end_state`], and
    /// at the end [`Self::finish_states`].
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_states(dir: &Path, config: &Config) -> Result<Self> {
        make_dirs(dir)?;
        Self::begin_with(dir, config, |path| {
            Arrival::begin_states(path, &dir.join(SCRATCH), &dir.join(STATE))
        })
    }

    fn begin_with(
        dir: &Path,
        config: &Config,
        begin: impl FnOnce(&Path) -> meta::Result<Arrival>,
    ) -> Result<Self> {
        let segments = dir.join(SEGMENTS);
        for name in [DATABASE, SCRATCH, STATE] {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let left = dir.join(format!("{name}{suffix}"));
                match fs::remove_file(&left) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::storage(
                            format!("cannot remove {}", left.display()),
                            e,
                        ));
                    }
                    Ok(()) | Err(_) => {}
                }
            }
        }
        let path = dir.join(DATABASE);
        let arrival = begin(&path)?;
        restrict(&path)?;
        let chunks = Arc::new(ChunkStore::open(&segments, SegmentId::from_raw(1))?);
        Ok(Self {
            dir: dir.to_owned(),
            config: config.clone(),
            arrival,
            early_sync: EarlySync::of(Arc::clone(&chunks)),
            chunks,
        })
    }

    /// Adds the rows of a snapshot, a block at a time.
    ///
    /// # Errors
    /// Those of `each_block`; [`Error::Remote`], also where rows make no sense; [`Error::NoSpace`], [`Error::Storage`].
    pub fn take_rows(
        &mut self,
        repository: &Repository,
        snapshot: &RemoteSnapshot,
        mut each_block: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        if !snapshot.deltas.is_empty() {
            return self.take_levels(repository, snapshot, each_block);
        }
        for run in &snapshot.runs {
            let reader = RunReader::open(repository.shelf(), repository.master(), &run.id);
            let reader = reader.map_err(remote)?;
            for number in 0..reader.blocks() {
                for row in reader.block(number).map_err(remote)? {
                    let taken = self.take_row(&row);
                    taken.map_err(|error| name_run(error, &run.id, number))?;
                }
                each_block()?;
            }
        }
        Ok(())
    }

    /// The same of runs that lie above each other.
    fn take_levels(
        &mut self,
        repository: &Repository,
        snapshot: &RemoteSnapshot,
        mut each_block: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut levels = Levels::of(repository, &snapshot.levels(), Tables::All);
        let (mut inodes, mut bytes, mut last) = (0, 0, None);
        let mut unread = |unread: Unread<'_>| Err(unread.error);
        while let Some(told) = levels.next(&mut unread).map_err(remote)? {
            let Some((row, place)) = uppermost(told) else {
                continue;
            };
            if let Row::Inode(inode) = &row {
                inodes += 1;
                bytes += inode.allocated;
            }
            let taken = self.take_row(&row);
            taken.map_err(|error| name_run(error, &place.run, place.block))?;
            if last.replace(place) != Some(place) {
                each_block()?;
            }
        }
        if (inodes, bytes) != (snapshot.inodes, snapshot.bytes) {
            return Err(remote(remote::Error::Damaged {
                object: format!("snapshot {}", snapshot.name),
                what: format!(
                    "its runs have {inodes} inodes in place of {}",
                    snapshot.inodes
                ),
            }));
        }
        Ok(())
    }

    fn take_row(&mut self, row: &Row) -> Result<()> {
        match row {
            Row::Inode(row) => self.inode(row),
            Row::Entry(row) => self.entry(row),
            Row::Xattr(row) => self.xattr(row),
            Row::Extent(row) => self.extent(&FarExtent {
                ino: Ino::from_raw(row.ino),
                off: row.off,
                len: row.len,
                chunk_off: row.chunk_off,
                place: row.place.to_far(),
            }),
        }
    }

    /// Has the volume fetch all chunks when they are needed.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn leave_chunks(&self) -> Result<()> {
        let mut after = None;
        loop {
            let places = self.places(after.as_ref(), PLACES)?;
            let Some((last, _)) = places.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (place, id) in &places {
                self.leave(place, *id)?;
            }
        }
    }

    /// Adds an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there can be no such inode, [`Error::NoSpace`], [`Error::Storage`].
    pub fn inode(&self, row: &InodeRow) -> Result<()> {
        add_inode(&self.arrival, row)
    }

    /// Adds a directory entry.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn entry(&self, row: &EntryRow) -> Result<()> {
        Ok(self.arrival.entry(row)?)
    }

    /// Adds an extended attribute.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn xattr(&self, row: &XattrRow) -> Result<()> {
        Ok(self.arrival.xattr(row)?)
    }

    /// Adds an extent.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn extent(&mut self, extent: &FarExtent) -> Result<()> {
        Ok(self.arrival.extent(extent)?)
    }

    /// How many chunks the extents name, and the bytes that are stored of them.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn place_count(&self) -> Result<(u64, u64)> {
        Ok(self.arrival.place_count()?)
    }

    /// The next chunks that are to come, in the order of their packs.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn places(&self, after: Option<&FarPlace>, limit: u32) -> Result<Vec<(FarPlace, ChunkId)>> {
        Ok(self.arrival.places(after, limit)?)
    }

    /// Has the volume fetch a chunk when it is needed.
    ///
    /// # Errors
    /// As [`Self::inode`].
    fn leave(&self, place: &FarPlace, id: ChunkId) -> Result<()> {
        Ok(self.arrival.leave(place, id)?)
    }

    /// Stores chunks that have come.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Storage`].
    pub fn store(&self, chunks: &[FarChunk]) -> Result<()> {
        let mut ready: Vec<_> = chunks.iter().map(|one| NewChunk::of(&one.plain)).collect();
        for chunk in &mut ready {
            chunk.pack(self.config.compression);
        }
        let placed = self
            .chunks
            .append(Stream::Fresh, &ready.iter().collect::<Vec<_>>())?;
        for ((chunk, new), at) in chunks.iter().zip(&ready).zip(&placed.places) {
            let sharing = sharing_of(chunk.plain.len());
            self.arrival
                .chunk(chunk.id, &new.hash, (at, &new.sums), sharing)?;
        }
        let stored = placed.places.iter().map(|at| u64::from(at.stored_len));
        self.early_sync.appended(stored.sum());
        Ok(())
    }

    /// Makes it a volume, durable. Numbers below `numbers` are not given out in it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what has come does not fit, [`Error::NoSpace`], [`Error::Storage`].
    pub fn finish(self, numbers: u64) -> Result<()> {
        let store = |dir: &Path, config: &Config| config.store(dir);
        self.finish_with(|arrival| arrival.finish(numbers), store)
    }

    /// The same; `note` makes a volume of the directory, by what it notes.
    pub(super) fn finish_by(
        self,
        numbers: u64,
        note: impl FnOnce(&Path, &Config) -> Result<()>,
    ) -> Result<()> {
        self.finish_with(|arrival| arrival.finish(numbers), note)
    }

    /// All rows of a state have come: it is the next snapshot.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is a snapshot of its name, [`Error::NoSpace`], [`Error::Storage`].
    pub fn end_state(&self, snapshot: &ArrivedSnapshot) -> Result<()> {
        Ok(self.arrival.end_state(snapshot)?)
    }

    /// Makes it a volume whose head is the last of the states, durable.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_states(self) -> Result<()> {
        self.finish_with(Arrival::finish_states, |dir, config| config.store(dir))
    }

    fn finish_with(
        self,
        finish: impl FnOnce(Arrival) -> meta::Result<()>,
        note: impl FnOnce(&Path, &Config) -> Result<()>,
    ) -> Result<()> {
        let path = self.dir.join(DATABASE);
        self.early_sync.end()?;
        // Before any row names them for good (invariant 1).
        self.chunks.sync(Stream::Fresh, |synced| synced)?;
        self.chunks.trim();
        finish(self.arrival)?;
        let cannot = |e| Error::storage(format!("cannot sync {}", self.dir.display()), e);
        durable::sync_file(&path).map_err(cannot)?;
        // Last: what has no configuration is no volume.
        note(&self.dir, &self.config)?;
        debug_assert!(
            [SCRATCH, STATE]
                .iter()
                .all(|name| fs::symlink_metadata(self.dir.join(name)).is_err()),
            "what was needed meanwhile is gone"
        );
        durable::sync_parent(&self.dir).map_err(cannot)
    }
}

/// The directory of a volume, and that of its segments.
pub(super) fn make_dirs(dir: &Path) -> Result<()> {
    for made in [dir, &dir.join(SEGMENTS)] {
        let result = DirBuilder::new().mode(0o700).create(made);
        result.map_err(|e| Error::storage(format!("cannot create {}", made.display()), e))?;
    }
    Ok(())
}

/// Adds an inode to the rows that arrive.
pub(super) fn add_inode(rows: &Arrival, row: &InodeRow) -> Result<()> {
    let attr = row
        .attr()
        .map_err(|e: RowError| Error::Corrupt(e.to_string()))?;
    let home = Home {
        parent: Ino::from_raw(row.parent),
        cookie: row.cookie,
    };
    let is_link = attr.kind == FileKind::Symlink;
    let target = is_link.then_some(row.target.as_slice());
    Ok(rows.inode(&attr, home, target)?)
}

fn remote(error: remote::Error) -> Error {
    Error::Remote(Arc::new(error))
}

/// A row that makes no sense is damage of the repository, and none of the volume that is being made.
fn name_run(error: Error, id: &ObjectId, block: usize) -> Error {
    match error {
        Error::Corrupt(what) => remote(remote::Error::Damaged {
            object: format!("run {id}"),
            what: format!("block {block}: {what}"),
        }),
        error => error,
    }
}
