//! All segments of a volume: appends go to the open one, reads to any, syncs to those that need it.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::codec::unpack;
use super::pages::{PAGE_BYTES, first_bad_page, widen};
use super::pread::read_exact;
use super::readers::{ReadAhead, Readers};
use super::scattered::Scattered;
use super::segment::{self, OpenSegment};
use super::stream::{Appending, Placed, Stream, StreamState, SyncMark};
use super::survey::{Survey, link_or_copy, list};
use super::unpacked::Unpacked;
use super::{Error, NewChunk, Result};
use crate::durable;
use crate::types::{ChunkHash, Codec, Location, PageSums, SegmentId, about_to_wait, wait_for_lock};

/// The segments of one volume.
#[derive(Debug)]
pub struct ChunkStore {
    dir: PathBuf,
    appending: Mutex<Appending>,
    readers: Readers,
    scattered: Scattered,
    unpacked: Unpacked,
    /// The directory, open for syncing: there may be no descriptor left when it is needed.
    opened: File,
    /// Held over a sync: the kernel tells of a lost write once, and whoever syncs beside must not miss it.
    /// One sync of a stream at a time: the collector's must not keep an fsync(2) waiting.
    syncing: [Mutex<()>; 2],
    /// One at a time makes the directory durable and concludes: an error is reported once.
    concluding: Mutex<()>,
    /// Segments that were made, and those of them whose directory entry is durable.
    made: AtomicU32,
    made_synced: AtomicU32,
}

impl ChunkStore {
    /// Opens the segments in `dir`, an existing directory; new ones get numbers past all that are there
    /// and from `next` on.
    ///
    /// # Errors
    /// [`Error::Io`] where the host fails.
    pub fn open(dir: &Path, next: SegmentId) -> Result<Self> {
        let io = |source| Error::Io {
            op: "list",
            path: dir.to_owned(),
            source,
        };
        let mut next = next.raw();
        for found in list(dir).map_err(io)? {
            next = next.max(found.id.raw().saturating_add(1));
        }
        let next = SegmentId::from_raw(next);
        Ok(Self {
            dir: dir.to_owned(),
            appending: Mutex::new(Appending {
                fresh: StreamState::default(),
                moved: StreamState::default(),
                next,
                let_go: Vec::new(),
            }),
            readers: Readers::new(dir),
            scattered: Scattered::default(),
            unpacked: Unpacked::default(),
            opened: File::open(dir).map_err(io)?,
            syncing: Default::default(),
            concluding: Mutex::default(),
            made: AtomicU32::new(0),
            made_synced: AtomicU32::new(0),
        })
    }

    /// Makes durable what an earlier process left in the segments in `dir` from `from` on: it may have ended
    /// before it synced them.
    ///
    /// # Errors
    /// [`Error::Io`] where the host fails.
    pub fn sync_leftovers(dir: &Path, from: SegmentId) -> Result<()> {
        let io = |source| Error::Io {
            op: "sync",
            path: dir.to_owned(),
            source,
        };
        for entry in fs::read_dir(dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let id = entry.file_name().to_str().and_then(segment::id_of);
            if id.is_some_and(|id| id >= from) {
                durable::sync_file(&entry.path()).map_err(io)?;
            }
        }
        durable::sync_dir(dir).map_err(io)
    }

    /// The number that the next segment gets.
    #[must_use]
    pub fn next_segment(&self) -> SegmentId {
        self.appending().next
    }

    /// Appends chunks and returns their places, in order. They are whole in the file when this returns, and
    /// durable after a [`Self::sync`] of their stream that begins later.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing then refers to what was written.
    pub fn append(&self, stream: Stream, chunks: &[&NewChunk<'_>]) -> Result<Placed> {
        if chunks.is_empty() {
            return Ok(Placed {
                places: Vec::new(),
                _segment: None,
            });
        }
        let (segment, at) = self.reserve(stream, segment::bytes_of(chunks))?;
        let places = segment.write(at, chunks)?;
        Ok(Placed {
            places,
            _segment: Some(segment),
        })
    }

    fn reserve(&self, stream: Stream, bytes: u64) -> Result<(Arc<OpenSegment>, u64)> {
        let mut appending = self.appending();
        if let Some(open) = &appending.state_of(stream).open
            && let Some(at) = open.reserve(bytes)
        {
            return Ok((Arc::clone(open), at));
        }
        about_to_wait();
        let id = appending.next;
        // Before the file is made: a number whose file could not be made is not given out again (invariant 7).
        appending.next = SegmentId::from_raw(id.raw() + 1);
        debug_assert!(
            appending.next > id,
            "invariant 7: {id} would be given out again"
        );
        let fresh = Arc::new(OpenSegment::create(&self.dir, id)?);
        self.made.fetch_add(1, Ordering::Release);
        let line = appending.state_of(stream);
        if let Some(full) = line.open.replace(Arc::clone(&fresh)) {
            line.full.push(full);
        }
        // Only where a file may have less than a request takes (RLIMIT_FSIZE).
        let at = fresh.reserve(bytes).ok_or_else(|| Error::Io {
            op: "append to",
            path: self.dir.clone(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "larger than a segment"),
        })?;
        Ok((fresh, at))
    }

    /// Reads `out.len()` bytes of the chunk at `at`, from its byte `start` on, and verifies them.
    ///
    /// # Errors
    /// [`Error::Missing`] when the segment is gone, [`Error::Corrupt`] when the bytes are not those
    /// that were stored, [`Error::Io`]. `out` then holds nothing to use.
    pub fn read(&self, at: &Location, sums: &PageSums, start: usize, out: &mut [u8]) -> Result<()> {
        match at.codec {
            Codec::Plain => self.read_plain(at, sums, start, out),
            Codec::Lz4 | Codec::Zstd => {
                let plain = self.unpacked(at, sums)?;
                let wanted = plain.get(start..start + out.len());
                out.copy_from_slice(wanted.ok_or_else(|| too_short(at))?);
                Ok(())
            }
        }
    }

    /// The plaintext of the chunk at `at`, verified by its name.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn read_named(&self, at: &Location, hash: &ChunkHash) -> Result<Vec<u8>> {
        let mut stored = vec![0; at.stored_bytes()];
        self.read_stored(at, 0, &mut stored)?;
        let plain = unpack(at.codec, stored, at.plain_bytes());
        plain
            .filter(|plain| ChunkHash::of(plain) == *hash)
            .ok_or_else(|| corrupt(at, "its hash does not match"))
    }

    /// Whether the chunk at `at` lies within its segment.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Corrupt`], [`Error::Io`].
    pub fn reach(&self, at: &Location) -> Result<()> {
        let file = self.reader(at.segment)?;
        let found = file.metadata().map_err(|source| Error::Io {
            op: "look at",
            path: segment::path_of(&self.dir, at.segment),
            source,
        })?;
        if at.offset + u64::from(at.stored_len) > found.len() {
            return Err(corrupt(at, "the file ends too early"));
        }
        Ok(())
    }

    /// Whether all that was placed lies within its segment: only then may rows name it.
    #[must_use]
    pub fn has_whole(&self, placed: &Placed) -> bool {
        let lacks = |at| matches!(self.reach(at), Err(e) if !matches!(e, Error::Io { .. }));
        !placed.places.iter().any(lacks)
    }

    /// A packed chunk can only be read whole: those that were read last are kept, for who reads on.
    fn unpacked(&self, at: &Location, sums: &PageSums) -> Result<Arc<[u8]>> {
        let key = (at.segment, at.offset);
        if let Some(plain) = self.unpacked.get(key) {
            return Ok(plain);
        }
        let mut stored = vec![0; at.stored_bytes()];
        self.read_stored(at, 0, &mut stored)?;
        let plain = unpack(at.codec, stored, at.plain_bytes());
        let plain = plain.ok_or_else(|| corrupt(at, "it cannot be unpacked"))?;
        if first_bad_page(sums, 0, &plain).is_some() {
            return Err(corrupt(at, "a page's checksum does not match"));
        }
        Ok(self.unpacked.put(key, plain.into()))
    }

    fn read_plain(
        &self,
        at: &Location,
        sums: &PageSums,
        start: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let wanted = start..start + out.len();
        let pages = widen(wanted.clone(), at.plain_bytes());
        if pages.end < wanted.end {
            return Err(too_short(at));
        }
        // Nearly always: the kernel reads whole pages. The caller's buffer is then read into directly.
        if pages == wanted {
            return self.read_pages(at, sums, &pages, out);
        }
        let mut whole = vec![0; pages.len()];
        self.read_pages(at, sums, &pages, &mut whole)?;
        out.copy_from_slice(&whole[wanted.start - pages.start..wanted.end - pages.start]);
        Ok(())
    }

    fn read_pages(
        &self,
        at: &Location,
        sums: &PageSums,
        pages: &Range<usize>,
        out: &mut [u8],
    ) -> Result<()> {
        self.read_stored(at, pages.start, out)?;
        match first_bad_page(sums, pages.start / PAGE_BYTES, out) {
            None => Ok(()),
            Some(_) => Err(corrupt(at, "a page's checksum does not match")),
        }
    }

    /// Reads stored bytes of the chunk at `at`, from its byte `start` on.
    pub(super) fn read_stored(&self, at: &Location, start: usize, out: &mut [u8]) -> Result<()> {
        let ahead = ReadAhead::of(at, out.len());
        let file = self.readers.get(at.segment, ahead)?;
        let offset = at.offset + start as u64;
        let read = match ahead {
            ReadAhead::Guessed => read_exact(&file, out, offset).map(drop),
            ReadAhead::Nothing => self.scattered.read(&file, out, offset),
        };
        match read {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(corrupt(at, "the file ends too early"))
            }
            Err(source) => Err(Error::Io {
                op: "read",
                path: segment::path_of(&self.dir, at.segment),
                source,
            }),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn reader(&self, id: SegmentId) -> Result<Arc<File>> {
        self.readers.get(id, ReadAhead::Guessed)
    }

    /// Whether a chunk of `stream` was appended whose file no sync has covered. The name of a new file may not be durable
    /// even where this says no: only [`Self::sync`] vouches for all.
    #[must_use]
    pub fn has_unsynced(&self, stream: Stream) -> bool {
        let mut appending = self.appending();
        let mut segments = appending.state_of(stream).all();
        segments.any(|segment| segment.has_unsynced())
    }

    /// Makes every chunk of `stream` durable whose append had returned; runs `conclude` with the outcome before
    /// anyone else may sync.
    ///
    /// Whoever appends to [`Stream::Moved`] syncs it before anything names what was appended, so that nobody
    /// else has to wait for it.
    ///
    /// # Errors
    /// [`Error::Io`]: what was not synced must then be taken for lost (fsync(2) reports an error once).
    pub fn sync<E>(
        &self,
        stream: Stream,
        conclude: impl FnOnce(Result<SyncMark>) -> std::result::Result<SyncMark, E>,
    ) -> std::result::Result<SyncMark, E> {
        let [fresh, moved] = &self.syncing;
        let syncing = match stream {
            Stream::Fresh => fresh,
            Stream::Moved => moved,
        };
        let _alone = wait_for_lock(syncing);
        // Lock order: `syncing` of the stream, `concluding`, `appending`. The files are synced before the second is
        // taken, so that nobody's fsync(2) waits for a gigabyte that the collector moved.
        let made = self.sync_segments(stream);
        let _concluding = wait_for_lock(&self.concluding);
        conclude(made.and_then(|made| self.sync_alone(stream, made)))
    }

    /// Returns how many segments had been made before.
    fn sync_segments(&self, stream: Stream) -> Result<u32> {
        let segments: Vec<_> = self.appending().state_of(stream).all().cloned().collect();
        // After the list, before the directory is synced: a segment that is made later has its name synced by a later
        // call.
        let made = self.made.load(Ordering::Acquire);
        for segment in &segments {
            segment.sync()?;
        }
        Ok(made)
    }

    /// Makes the names of the segments durable that were `made`, and lets go of those that are full.
    fn sync_alone(&self, stream: Stream, made: u32) -> Result<SyncMark> {
        if made > self.made_synced.load(Ordering::Acquire) {
            let synced = self.opened.sync_all();
            synced.map_err(|source| Error::Io {
                op: "sync",
                path: self.dir.clone(),
                source,
            })?;
            self.made_synced.store(made, Ordering::Release);
        }
        let mut appending = self.appending();
        appending
            .let_go
            // Nobody holds these any more, and nobody can again.
            .retain(|segment| segment.strong_count() > 0);
        let full = std::mem::take(&mut appending.state_of(stream).full);
        // One that was appended to after the list was taken, or became full since, waits for the next sync.
        let (dirty, clean): (Vec<_>, Vec<_>) = full.into_iter().partition(|s| s.is_dirty());
        appending.state_of(stream).full = dirty;
        for segment in clean {
            segment.trim();
            // A writer that has not committed yet holds it still (`Placed`): only then is it no candidate of the
            // collector.
            appending.let_go.push(Arc::downgrade(&segment));
        }
        Ok(appending.mark())
    }

    /// Has the next append of each stream begin a new segment.
    pub fn seal(&self) {
        let mut appending = self.appending();
        for stream in [Stream::Fresh, Stream::Moved] {
            let line = appending.state_of(stream);
            line.full.extend(line.open.take());
        }
    }

    /// Gives back what was written ahead of the segments that take records: there will be no more.
    pub fn trim(&self) {
        let appending = self.appending();
        for segment in appending.fresh.all().chain(appending.moved.all()) {
            segment.trim();
        }
    }

    /// The segments that are there.
    ///
    /// # Errors
    /// [`Error::Io`] where the host fails.
    pub fn survey(&self) -> Result<Survey> {
        // In this order: what is made after the listing is not in it.
        let mut found = list(&self.dir).map_err(|source| Error::Io {
            op: "list",
            path: self.dir.clone(),
            source,
        })?;
        let appending = self.appending();
        let busy = appending.busy();
        let bytes = found.iter().map(|segment| segment.bytes).sum();
        let shared = found.iter().filter(|segment| segment.links > 1);
        let shared_bytes = shared.map(|segment| segment.bytes).sum();
        found.retain(|segment| !busy.contains(&segment.id) && segment.id < appending.next);
        Ok(Survey {
            bytes,
            shared_bytes,
            sealed: found,
        })
    }

    /// Gives these segments a second name in `dir`, an empty directory, or copies them where that can't be;
    /// durable when this returns.
    ///
    /// # Errors
    /// [`Error::Io`] where the host fails.
    pub fn link_into(&self, dir: &Path, segments: &[SegmentId]) -> Result<()> {
        for &id in segments {
            let (from, to) = (segment::path_of(&self.dir, id), segment::path_of(dir, id));
            link_or_copy(&from, &to).map_err(|source| Error::Io {
                op: "share",
                path: from,
                source,
            })?;
        }
        let synced = durable::sync_dir(dir);
        synced.map_err(|source| Error::Io {
            op: "sync",
            path: dir.to_owned(),
            source,
        })
    }

    /// Removes a segment. Readers that have it open go on.
    ///
    /// # Errors
    /// [`Error::Io`]; a segment that is gone already is none.
    pub fn remove(&self, id: SegmentId) -> Result<()> {
        // Here going on would lose data for good.
        assert!(
            !self.appending().busy().contains(&id),
            "invariant 10: a writer may still name a record of {id}"
        );
        let path = segment::path_of(&self.dir, id);
        let removed = fs::remove_file(&path);
        // After its name is gone: a read in between would open it again, and keep its space.
        self.readers.forget(id);
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::Io {
                op: "remove",
                path,
                source: e,
            }),
            _ => Ok(()),
        }
    }

    fn appending(&self) -> MutexGuard<'_, Appending> {
        // Held where a segment is made or made shorter.
        wait_for_lock(&self.appending)
    }
}

fn corrupt(at: &Location, what: &'static str) -> Error {
    Error::Corrupt {
        segment: at.segment,
        offset: at.offset,
        what,
    }
}

fn too_short(at: &Location) -> Error {
    corrupt(at, "it is shorter than what refers to it")
}

#[cfg(test)]
mod tests;
