//! A state that arrives in a stream, which may be cut: what came is kept beside the volume, in `.receiving-NAME`,
//! which is no volume, and becomes one, or the next state of one, by one rename.
//!
//! What is kept is the segments: each record in them says which chunk it is. Tables are made anew when the stream goes
//! on.

mod joining;
mod partial;

pub use joining::Landing;

use std::fs;
use std::path::{Path, PathBuf};

use super::arriving::add_inode;
use super::config::Config;
use super::data::sharing_of;
use super::error::{Error, Result};
use super::layout::{DATABASE, SEGMENTS, restrict};
use super::lock::DirLock;
use crate::chunks::{ChunkStore, NewChunk, Stream};
use crate::durable;
use crate::meta::{ArrivedSnapshot, HashedArrival, HashedExtent};
use crate::types::{
    ChunkHash, Compression, EntryRow, InodeRow, Location, PageSums, SegmentId, XattrRow,
};
use partial::{ABOUT, JOINED, SCRATCH};

/// A volume, or a state of one, that is being received.
#[derive(Debug)]
pub struct Receiving {
    /// Where what came is.
    partial: PathBuf,
    /// What it is to become.
    target: PathBuf,
    compression: Compression,
    arrival: HashedArrival,
    chunks: ChunkStore,
    kept: u64,
    last: Option<ChunkHash>,
    _lock: DirLock,
}

impl Receiving {
    /// Begins one for the volume in `target`; whatever was left of another is removed. `about` says what it is.
    ///
    /// # Errors
    /// [`Error::InUse`] when somebody receives into it now; [`Error::NoSpace`], [`Error::Storage`].
    pub fn begin(target: &Path, about: &[u8], compression: Compression) -> Result<Self> {
        let partial = partial::of(target)?;
        partial::remove(target)?;
        partial::make(&partial)?;
        let lock = DirLock::take(&partial)?;
        durable::replace_file(&partial.join(ABOUT), about)
            .map_err(|e| Error::storage(format!("cannot write in {}", partial.display()), e))?;
        // Beyond those of the volume that it is to join, also of some that are made meanwhile.
        let first = partial::first_segment(target)?;
        Self::open((target, partial), (lock, first), compression)
    }

    /// Goes on with what was left; its chunks are verified.
    ///
    /// # Errors
    /// As [`Self::begin`], and [`Error::NotFound`] when nothing was.
    pub fn resume(target: &Path, compression: Compression) -> Result<Self> {
        let partial = partial::of(target)?;
        if Self::about(target)?.is_none() {
            return Err(Error::NotFound);
        }
        let lock = DirLock::take(&partial)?;
        partial::clear_tables(&partial)?;
        let first = partial::first_segment(target)?;
        let mut receiving = Self::open((target, partial), (lock, first), compression)?;
        let segments = receiving.partial.join(SEGMENTS);
        // Nobody else syncs what a process appended that was killed.
        ChunkStore::sync_leftovers(&segments, SegmentId::from_raw(1))?;
        partial::each_chunk(&segments, |chunk| {
            receiving.note(&chunk.hash, (&chunk.at, &chunk.sums))
        })?;
        Ok(receiving)
    }

    /// What is being received for `target`, or was when it was cut: what [`Self::begin`] was told.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn about(target: &Path) -> Result<Option<Vec<u8>>> {
        partial::about(target)
    }

    /// How many chunks are left of what was cut, and the last of them, verified. Needs no space.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nothing is; [`Error::InUse`] when somebody receives into it now; [`Error::Storage`].
    pub fn left(target: &Path) -> Result<(u64, Option<ChunkHash>)> {
        let partial = partial::of(target)?;
        if Self::about(target)?.is_none() {
            return Err(Error::NotFound);
        }
        let _lock = DirLock::take(&partial)?;
        let (mut kept, mut last) = (0, None);
        partial::each_chunk(&partial.join(SEGMENTS), |chunk| {
            kept += 1;
            last = Some(chunk.hash);
            Ok(())
        })?;
        Ok((kept, last))
    }

    /// Removes what was left; whether something was.
    ///
    /// # Errors
    /// [`Error::InUse`] when somebody receives into it now; [`Error::Storage`].
    pub fn abort(target: &Path) -> Result<bool> {
        partial::remove(target)
    }

    fn open(
        (target, partial): (&Path, PathBuf),
        (lock, first): (DirLock, SegmentId),
        compression: Compression,
    ) -> Result<Self> {
        let path = partial.join(DATABASE);
        let arrival = HashedArrival::begin(&path, &partial.join(SCRATCH))?;
        restrict(&path)?;
        let chunks = ChunkStore::open(&partial.join(SEGMENTS), first)?;
        Ok(Self {
            partial,
            target: target.to_owned(),
            compression,
            arrival,
            chunks,
            kept: 0,
            last: None,
            _lock: lock,
        })
    }

    /// How many chunks have come, in their order, and the last of them.
    #[must_use]
    pub const fn kept(&self) -> (u64, Option<ChunkHash>) {
        (self.kept, self.last)
    }

    /// Adds an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there can be no such inode, [`Error::NoSpace`], [`Error::Storage`].
    pub fn inode(&self, row: &InodeRow) -> Result<()> {
        add_inode(self.arrival.rows(), row)
    }

    /// Adds a directory entry.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn entry(&self, row: &EntryRow) -> Result<()> {
        Ok(self.arrival.rows().entry(row)?)
    }

    /// Adds an extended attribute.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn xattr(&self, row: &XattrRow) -> Result<()> {
        Ok(self.arrival.rows().xattr(row)?)
    }

    /// Adds an extent.
    ///
    /// # Errors
    /// As [`Self::inode`].
    pub fn extent(&self, extent: &HashedExtent) -> Result<()> {
        Ok(self.arrival.extent(extent)?)
    }

    /// Stores chunks that have come, by their names; those that are there already are passed over.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Storage`].
    pub fn store(&mut self, chunks: &[(ChunkHash, Vec<u8>)]) -> Result<()> {
        for (hash, plain) in chunks {
            if self.arrival.is_here(hash)? {
                continue;
            }
            let mut chunk = NewChunk::of(plain);
            chunk.pack(self.compression);
            let placed = self.chunks.append(Stream::Fresh, &[&chunk])?;
            for at in &placed.places {
                self.note(hash, (at, &chunk.sums))?;
            }
        }
        Ok(())
    }

    fn note(&mut self, hash: &ChunkHash, (at, sums): (&Location, &PageSums)) -> Result<()> {
        if self.arrival.is_here(hash)? {
            return Ok(());
        }
        self.arrival
            .chunk(hash, (at, sums), sharing_of(at.len as usize))?;
        self.kept += 1;
        self.last = Some(*hash);
        Ok(())
    }

    /// Makes what came durable, so that the stream can go on also after the host lost power.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn keep(&self) -> Result<()> {
        self.chunks.sync(Stream::Fresh, |synced| synced)?;
        self.chunks.trim();
        Ok(())
    }

    /// Makes it the volume in its directory, which must not exist, or be empty. Durable when this returns.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Corrupt`] when what has come does not fit, [`Error::NoSpace`], [`Error::Storage`].
    /// What came is kept then.
    pub fn finish(self, config: &Config, snapshot: &ArrivedSnapshot) -> Result<()> {
        // Before any row names them for good (invariant 1).
        self.keep()?;
        self.arrival.finish(snapshot)?;
        let cannot = |e| Error::storage(format!("cannot create {}", self.target.display()), e);
        durable::sync_file(&self.partial.join(DATABASE)).map_err(cannot)?;
        config.store(&self.partial)?;
        fs::remove_file(self.partial.join(ABOUT)).map_err(cannot)?;
        durable::sync_dir(&self.partial).map_err(cannot)?;
        super::store::place(&self.partial, &self.target)
    }
}
