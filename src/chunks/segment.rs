//! One segment file: an append-only run of records, written once, read at any place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use rustix::fs::fstatvfs;
use rustix::io::Errno;

use super::allowed::segment_bytes;
use super::record::{self, NewChunk, RecordHeader};
use super::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use super::{Error, Result};
use crate::types::{Location, SegmentId, about_to_wait, wait_for_lock};

/// A segment is full when the next record would end past this many bytes.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Zeros are written this far ahead of small synchronous appends: a fdatasync then need not change the
/// file's size or extents on the host, which costs a journal commit (measured in docs/decisions).
const WRITE_AHEAD_BYTES: u64 = 1024 * 1024;
/// Where less is free on the host nothing is written ahead: it may be what a reserve has just given up for others.
const FREE_BYTES_MIN: u64 = 16 * WRITE_AHEAD_BYTES;
/// A sync of at most this many bytes counts as small.
const SMALL_SYNC_BYTES: u64 = 128 * 1024;
/// From here on the host may have a write wait for its disk (balance_dirty_pages in mm/page-writeback.c).
const LONG_WRITE_BYTES: usize = 64 * 1024;

/// The file of segment `id` in `dir`.
pub(super) fn path_of(dir: &Path, id: SegmentId) -> PathBuf {
    dir.join(format!("{:08x}.seg", id.raw()))
}

/// The segment whose file has this name.
pub(super) fn id_of(file_name: &str) -> Option<SegmentId> {
    let hex = file_name
        .strip_suffix(".seg")
        .filter(|hex| hex.len() == 8)?;
    u32::from_str_radix(hex, 16).ok().map(SegmentId::from_raw)
}

/// Bytes that the records of these chunks take, from an aligned place on.
pub(super) fn bytes_of(chunks: &[&NewChunk<'_>]) -> u64 {
    let record = |chunk: &&NewChunk<'_>| RECORD_HEADER_BYTES + chunk.stored().1.len() as u64;
    chunks
        .iter()
        .map(|chunk| record(chunk).next_multiple_of(RECORD_ALIGN))
        .sum()
}

fn header_of(chunk: &NewChunk<'_>) -> RecordHeader {
    // A chunk is far below 4 GiB: what it is cut from is one request.
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let (codec, stored) = chunk.stored();
    RecordHeader {
        codec,
        len: len(chunk.data),
        stored_len: len(stored),
        hash: chunk.hash,
    }
}

/// A segment that takes records.
#[derive(Debug)]
pub(super) struct OpenSegment {
    id: SegmentId,
    path: PathBuf,
    file: File,
    ends: Mutex<Ends>,
    /// Held over each write. The kernel's own lock of a file makes those who wait for it burn their time: eight
    /// threads that append side by side are six times slower than in turn (docs/decisions, 7).
    turn: Mutex<()>,
    /// Bytes of records that are whole in the file, and of those the ones that were synced.
    appended: AtomicU64,
    synced: AtomicU64,
    durable_to: AtomicU64,
}

#[derive(Debug)]
struct Ends {
    /// Where the next record goes.
    next: u64,
    /// Up to where zeros were written ahead, if past `next`.
    zeroed: u64,
    /// Places that were given and whose appends have not ended.
    under_way: BTreeSet<u64>,
}

impl Ends {
    /// Every append that was to a place before this has ended.
    fn written(&self) -> u64 {
        self.under_way.first().copied().unwrap_or(self.next)
    }
}

impl OpenSegment {
    /// Makes the file of segment `id`, or none on an error. Neither the file nor its directory entry is synced
    /// yet.
    pub(super) fn create(dir: &Path, id: SegmentId) -> Result<Self> {
        let path = path_of(dir, id);
        let mut options = File::options();
        let made = options
            .read(true)
            .write(true)
            // Never into a file that is there (invariant 3), however its number came to be given again.
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let io = |source| Error::Io {
            op: "create",
            path: path.clone(),
            source,
        };
        let file = made.map_err(io)?;
        if let Err(error) = file.write_all_at(&record::encode_segment_header(id), 0) {
            // A segment without its header would be damage to whoever checks the volume next.
            if let Err(error) = std::fs::remove_file(&path) {
                log::warn!("cannot remove {}: {error}", path.display());
            }
            return Err(io(error));
        }
        Ok(Self {
            id,
            file,
            ends: Mutex::new(Ends {
                next: SEGMENT_HEADER_BYTES,
                zeroed: 0,
                under_way: BTreeSet::new(),
            }),
            turn: Mutex::default(),
            appended: AtomicU64::new(SEGMENT_HEADER_BYTES),
            synced: AtomicU64::new(0),
            durable_to: AtomicU64::new(0),
            path,
        })
    }

    pub(super) const fn id(&self) -> SegmentId {
        self.id
    }

    /// Reserves room for `bytes` of records; `None` when the segment is full. [`Self::write`] must follow.
    pub(super) fn reserve(&self, bytes: u64) -> Option<u64> {
        let mut ends = self.ends();
        let at = ends.next;
        (at + bytes <= segment_bytes(SEGMENT_BYTES_MAX)).then(|| {
            ends.next = at + bytes;
            let is_new = ends.under_way.insert(at);
            debug_assert!(is_new, "invariant 3: {at} was given twice");
            at
        })
    }

    /// Writes the chunks' records from `at` on, a place that [`Self::reserve`] gave for all of them.
    ///
    /// One system call for all of them. A failed write leaves a gap, which readers never see and the scanner
    /// steps over.
    pub(super) fn write(&self, at: u64, chunks: &[&NewChunk<'_>]) -> Result<Vec<Location>> {
        let written = self.write_records(at, chunks);
        // After a failed write, too: a place that stayed under way would hold the sync mark back for ever.
        let was_given = self.ends().under_way.remove(&at);
        debug_assert!(was_given, "invariant 3: nobody was given {at}");
        written
    }

    fn write_records(&self, at: u64, chunks: &[&NewChunk<'_>]) -> Result<Vec<Location>> {
        static PADDING: [u8; record::ALIGN] = [0; record::ALIGN];
        let headers: Vec<_> = chunks
            .iter()
            .map(|chunk| header_of(chunk).encode())
            .collect();
        let mut slices = Vec::with_capacity(chunks.len() * 3);
        let mut locations = Vec::with_capacity(chunks.len());
        let mut end = at;
        for (chunk, header) in chunks.iter().zip(&headers) {
            let padding = usize::try_from(end.next_multiple_of(RECORD_ALIGN) - end).unwrap_or(0);
            slices.extend([&PADDING[..padding], header, chunk.stored().1].map(IoSlice::new));
            let offset = end.next_multiple_of(RECORD_ALIGN) + RECORD_HEADER_BYTES;
            let RecordHeader {
                codec,
                len,
                stored_len,
                ..
            } = header_of(chunk);
            locations.push(Location {
                segment: self.id,
                offset,
                len,
                stored_len,
                codec,
            });
            end = offset + u64::from(stored_len);
        }
        self.write_all(&mut slices, at)
            .map_err(|e| self.io("append to", e))?;
        // A sum, not an end: of two appends the one that began later may end first.
        self.appended.fetch_add(end - at, Ordering::Release);
        Ok(locations)
    }

    fn write_all(&self, mut slices: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
        if slices.iter().map(|slice| slice.len()).sum::<usize>() >= LONG_WRITE_BYTES {
            about_to_wait();
        }
        // ext4 takes the inode's lock for each write: threads that wait here wait asleep, those that wait there spin
        // (docs/decisions/0007-appends-in-turn.md).
        let _turn = wait_for_lock(&self.turn);
        // Drops what is empty in front: were there nothing else, `Ok(0)` would be taken for a failure below.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match rustix::io::pwritev(&self.file, slices, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(done) => {
                    IoSlice::advance_slices(&mut slices, done);
                    at += done as u64;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Whether it holds, or is about to hold, what no sync has covered.
    pub(super) fn is_dirty(&self) -> bool {
        // In this order: an append that ends in between is seen by the second look.
        let under_way = !self.ends().under_way.is_empty();
        under_way || self.appended.load(Ordering::Acquire) > self.synced.load(Ordering::Acquire)
    }

    /// An offset before which all records are durable.
    pub(super) fn durable_to(&self) -> u64 {
        self.durable_to.load(Ordering::Acquire)
    }

    /// Whether an append ended that no sync has covered.
    pub(super) fn has_unsynced(&self) -> bool {
        self.appended.load(Ordering::Acquire) > self.synced.load(Ordering::Acquire)
    }

    /// Makes the records that were whole before this call durable, though not the file's directory
    /// entry. One caller at a time.
    pub(super) fn sync(&self) -> Result<()> {
        // In this order: an append that ended before the first line is counted by the second, so the sync covers it.
        let written = self.ends().written();
        let appended = self.appended.load(Ordering::Acquire);
        let before = self.synced.load(Ordering::Acquire);
        if appended > before {
            // Before the sync, which so makes the new length durable with the records, by one commit of the host's
            // journal.
            if appended - before <= SMALL_SYNC_BYTES {
                self.write_ahead();
            }
            rustix::fs::fdatasync(&self.file).map_err(|e| self.io("sync", e.into()))?;
            self.synced.fetch_max(appended, Ordering::Release);
        }
        // Also without a sync: places whose write failed hold nothing that could be lost.
        self.durable_to.fetch_max(written, Ordering::Release);
        Ok(())
    }

    /// Gives back the zeros past the end; no small appends are to follow.
    pub(super) fn trim(&self) {
        let mut ends = self.ends();
        if ends.zeroed <= ends.next {
            return;
        }
        // Under the lock, so that nobody is given a place past `next` meanwhile; appends under way are before it.
        match self.file.set_len(ends.next) {
            Ok(()) => ends.zeroed = 0,
            Err(error) => log::debug!("cannot trim {}: {error}", self.path.display()),
        }
    }

    /// Writes zeros past the end. Only saves time: a failure is for the next append to find.
    fn write_ahead(&self) {
        static ZEROS: [u8; 1024 * 1024] = [0; 1024 * 1024];
        // Held over the write: no append may be given a place that zeros are being written to.
        let mut ends = self.ends();
        // Renewed when little is left, not at each sync.
        if ends.zeroed >= ends.next + WRITE_AHEAD_BYTES / 16 {
            return;
        }
        if !self.has_free(FREE_BYTES_MIN) {
            return;
        }
        let start = ends.next.max(ends.zeroed);
        let zeros = &ZEROS[..usize::try_from(SEGMENT_BYTES_MAX - start)
            .unwrap_or(0)
            .min(ZEROS.len())];
        // Written, not set aside by fallocate(2): ext4 changes its journal again when an unwritten extent becomes a
        // written one.
        match self.file.write_all_at(zeros, start) {
            Ok(()) => ends.zeroed = start + zeros.len() as u64,
            Err(error) => {
                log::debug!("cannot write ahead in {}: {error}", self.path.display());
                // A quota does not show in what is free. What came of it is for others; appends are before it.
                drop(self.file.set_len(start));
            }
        }
    }

    fn has_free(&self, bytes: u64) -> bool {
        fstatvfs(&self.file).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) >= bytes)
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        // Held over writing ahead.
        wait_for_lock(&self.ends)
    }

    fn io(&self, op: &'static str, source: io::Error) -> Error {
        Error::Io {
            op,
            path: self.path.clone(),
            source,
        }
    }
}
