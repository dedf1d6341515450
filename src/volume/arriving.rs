//! A volume that is made of a state that arrives from elsewhere: rows first, then chunks. It is a volume when all of it
//! has come.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::data::SHARED_BYTES_MIN;
use super::error::{Error, Result};
use super::layout::{DATABASE, SEGMENTS, restrict};
use crate::chunks::{ChunkStore, NewChunk, Stream};
use crate::durable;
use crate::meta::{self, Arrival, ArrivedSnapshot, FarExtent, Home, Sharing};
use crate::types::{
    ChunkId, EntryRow, FarPlace, FileKind, Ino, InodeRow, RowError, SegmentId, XattrRow,
};

/// What is needed while it is made.
const SCRATCH: &str = "places.db";
/// The same, for one of several states.
const STATE: &str = "state.db";

/// A volume that is being made.
#[derive(Debug)]
pub struct Arriving {
    dir: PathBuf,
    config: Config,
    arrival: Arrival,
    chunks: ChunkStore,
}

/// A chunk that has come.
#[derive(Debug)]
pub struct FarChunk {
    /// Which of [`Arriving::places`].
    pub id: ChunkId,
    /// Its plaintext.
    pub plain: Vec<u8>,
}

impl Arriving {
    /// Begins one in `dir`, which must not exist; its parent must.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Storage`]; what was begun in `dir` is left there, as after all that follows.
    pub fn begin(dir: &Path, config: &Config) -> Result<Self> {
        Self::begin_with(dir, config, |path| Arrival::begin(path, &dir.join(SCRATCH)))
    }

    /// As [`Self::begin`], of several states, the oldest first: behind the rows of each comes [`Self::end_state`], and
    /// at the end [`Self::finish_states`].
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_states(dir: &Path, config: &Config) -> Result<Self> {
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
        for made in [dir, &segments] {
            let result = DirBuilder::new().mode(0o700).create(made);
            result.map_err(|e| Error::storage(format!("cannot create {}", made.display()), e))?;
        }
        let path = dir.join(DATABASE);
        let arrival = begin(&path)?;
        restrict(&path)?;
        Ok(Self {
            dir: dir.to_owned(),
            config: config.clone(),
            arrival,
            chunks: ChunkStore::open(&segments, SegmentId::from_raw(1))?,
        })
    }

    /// Adds an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there can be no such inode, [`Error::NoSpace`], [`Error::Storage`].
    pub fn inode(&self, row: &InodeRow) -> Result<()> {
        let attr = row
            .attr()
            .map_err(|e: RowError| Error::Corrupt(e.to_string()))?;
        let home = Home {
            parent: Ino::from_raw(row.parent),
            cookie: row.cookie,
        };
        let is_link = attr.kind == FileKind::Symlink;
        let target = is_link.then_some(row.target.as_slice());
        Ok(self.arrival.inode(&attr, home, target)?)
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
    pub fn leave(&self, place: &FarPlace, id: ChunkId) -> Result<()> {
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
            let sharing = if chunk.plain.len() >= SHARED_BYTES_MIN {
                Sharing::Indexed
            } else {
                Sharing::Unindexed
            };
            self.arrival
                .chunk(chunk.id, &new.hash, (at, &new.sums), sharing)?;
        }
        Ok(())
    }

    /// Makes it a volume, durable. Numbers below `numbers` are not given out in it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what has come does not fit, [`Error::NoSpace`], [`Error::Storage`].
    pub fn finish(self, numbers: u64) -> Result<()> {
        self.finish_with(|arrival| arrival.finish(numbers))
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
        self.finish_with(Arrival::finish_states)
    }

    fn finish_with(self, finish: impl FnOnce(Arrival) -> meta::Result<()>) -> Result<()> {
        let path = self.dir.join(DATABASE);
        // Before any row names them for good (invariant 1).
        self.chunks.sync(Stream::Fresh, |synced| synced)?;
        self.chunks.trim();
        finish(self.arrival)?;
        let cannot = |e| Error::storage(format!("cannot sync {}", self.dir.display()), e);
        durable::sync_file(&path).map_err(cannot)?;
        // Last: what has no configuration is no volume.
        self.config.store(&self.dir)?;
        debug_assert!(
            [SCRATCH, STATE]
                .iter()
                .all(|name| fs::symlink_metadata(self.dir.join(name)).is_err()),
            "what was needed meanwhile is gone"
        );
        durable::sync_parent(&self.dir).map_err(cannot)
    }
}
