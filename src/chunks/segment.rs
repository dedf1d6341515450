//! One segment file: an append-only run of records, written once, read at any place.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record::{self, NewChunk, RecordHeader};
use super::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use super::{Error, Result};
use crate::types::{Codec, Location, SegmentId};

/// A segment is full when the next record would end past this many bytes.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Zeros are written this far ahead of small synchronous appends: a fdatasync then need not change the
/// file's size or extents on the host, which costs a journal commit (measured in docs/decisions).
const WRITE_AHEAD_BYTES: u64 = 1024 * 1024;
/// A sync of at most this many bytes counts as small.
const SMALL_SYNC_BYTES: u64 = 128 * 1024;

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

/// A segment that takes records.
#[derive(Debug)]
pub(super) struct OpenSegment {
    id: SegmentId,
    path: PathBuf,
    file: File,
    ends: Mutex<Ends>,
    /// Bytes of records that are whole in the file, and of those the ones that were synced.
    appended: AtomicU64,
    synced: AtomicU64,
}

#[derive(Debug)]
struct Ends {
    /// Where the next record goes.
    next: u64,
    /// Up to where zeros were written ahead, if past `next`.
    zeroed: u64,
}

impl OpenSegment {
    /// Makes the file of segment `id`. Neither the file nor its directory entry is synced yet.
    pub(super) fn create(dir: &Path, id: SegmentId) -> Result<Self> {
        let path = path_of(dir, id);
        let mut options = File::options();
        let made = options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let io = |source| Error::Io {
            op: "create",
            path: path.clone(),
            source,
        };
        let file = made.map_err(io)?;
        file.write_all_at(&record::encode_segment_header(id), 0)
            .map_err(io)?;
        Ok(Self {
            id,
            file,
            ends: Mutex::new(Ends {
                next: SEGMENT_HEADER_BYTES,
                zeroed: 0,
            }),
            appended: AtomicU64::new(SEGMENT_HEADER_BYTES),
            synced: AtomicU64::new(0),
            path,
        })
    }

    pub(super) const fn id(&self) -> SegmentId {
        self.id
    }

    /// Reserves room for a record of `stored_len` bytes; `None` when the segment is full.
    pub(super) fn reserve(&self, stored_len: u64) -> Option<u64> {
        let needed = (RECORD_HEADER_BYTES + stored_len).next_multiple_of(RECORD_ALIGN);
        let mut ends = self.ends();
        let at = ends.next;
        (at + needed <= SEGMENT_BYTES_MAX).then(|| {
            ends.next = at + needed;
            at
        })
    }

    /// Writes the chunk's record at `at`, a place that [`Self::reserve`] gave.
    ///
    /// A failed write leaves a gap, which readers never see and the scanner steps over.
    pub(super) fn write(&self, at: u64, chunk: &NewChunk<'_>) -> Result<Location> {
        let len = u32::try_from(chunk.data.len())
            .map_err(|e| self.io("append to", io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        let header = RecordHeader {
            codec: Codec::Plain,
            len,
            stored_len: len,
            hash: chunk.hash,
        };
        self.write_pair(at, &header.encode(), chunk.data)
            .map_err(|e| self.io("append to", e))?;
        let offset = at + RECORD_HEADER_BYTES;
        self.appended
            .fetch_add(RECORD_HEADER_BYTES + u64::from(len), Ordering::Release);
        Ok(Location {
            segment: self.id,
            offset,
            len,
            stored_len: len,
            codec: Codec::Plain,
        })
    }

    fn write_pair(&self, at: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        let both = [IoSlice::new(header), IoSlice::new(data)];
        let done = rustix::io::pwritev(&self.file, &both, at)?;
        if let Some(rest) = done.checked_sub(header.len()) {
            return self.file.write_all_at(&data[rest..], at + done as u64);
        }
        self.file.write_all_at(&header[done..], at + done as u64)?;
        self.file.write_all_at(data, at + header.len() as u64)
    }

    /// Whether anything was appended since the last sync.
    pub(super) fn is_dirty(&self) -> bool {
        self.appended.load(Ordering::Acquire) > self.synced.load(Ordering::Acquire)
    }

    /// Makes the records that were whole before this call durable, though not the file's directory
    /// entry, and returns the offset that all of them end before.
    pub(super) fn sync(&self) -> Result<u64> {
        let end = self.ends().next;
        let appended = self.appended.load(Ordering::Acquire);
        let before = self.synced.load(Ordering::Acquire);
        if appended > before {
            if appended - before <= SMALL_SYNC_BYTES {
                self.write_ahead();
            }
            rustix::fs::fdatasync(&self.file).map_err(|e| self.io("sync", e.into()))?;
            self.synced.fetch_max(appended, Ordering::Release);
        }
        Ok(end)
    }

    /// Writes zeros past the end. Only saves time: a failure is for the next append to find.
    fn write_ahead(&self) {
        static ZEROS: [u8; 1024 * 1024] = [0; 1024 * 1024];
        // Held over the write: no append may be given a place that zeros are being written to.
        let mut ends = self.ends();
        if ends.zeroed >= ends.next + WRITE_AHEAD_BYTES / 16 {
            return;
        }
        let start = ends.next.max(ends.zeroed);
        let zeros = &ZEROS[..usize::try_from(SEGMENT_BYTES_MAX - start)
            .unwrap_or(0)
            .min(ZEROS.len())];
        match self.file.write_all_at(zeros, start) {
            Ok(()) => ends.zeroed = start + zeros.len() as u64,
            Err(error) => log::debug!("cannot write ahead in {}: {error}", self.path.display()),
        }
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, op: &'static str, source: io::Error) -> Error {
        Error::Io {
            op,
            path: self.path.clone(),
            source,
        }
    }
}
