//! Segments that are open for reading: those that were read last stay open.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use lru::LruCache;
use rustix::fs::{Advice, fadvise};

use super::allowed::open_segments;
use super::{Error, Result, segment};
use crate::types::{Location, SegmentId, about_to_wait, wait_for_lock};

/// How many stay open, where that is allowed: 16 GiB of segments, or 8 GiB of those that are read in both ways.
const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Bytes of a read that is taken for one at random, where it is a part of a chunk: as much as databases read at a time.
const SCATTERED_BYTES: usize = 16 << 10;

/// What the host reads beside what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ReadAhead {
    /// What it takes for next: chunks that are read one after the other lie so.
    Guessed,
    /// Nothing (posix_fadvise(2), `POSIX_FADV_RANDOM`). Where pages before are in memory, by other reads at random, it would
    /// take each for a part of a sequence (Linux, mm/readahead.c) and read four times as much.
    Nothing,
}

/// The segments of one directory, by their numbers and by how they are read: the host keeps that by open file.
#[derive(Debug)]
pub(super) struct Readers {
    dir: PathBuf,
    open: Mutex<LruCache<(SegmentId, ReadAhead), Arc<File>>>,
}

impl ReadAhead {
    /// For `bytes` of the chunk at `at`.
    pub(super) fn of(at: &Location, bytes: usize) -> Self {
        if bytes <= SCATTERED_BYTES && bytes < at.stored_bytes() {
            Self::Nothing
        } else {
            Self::Guessed
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Guessed => Self::Nothing,
            Self::Nothing => Self::Guessed,
        }
    }
}

impl Readers {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            open: Mutex::new(LruCache::new(open_segments(OPEN_MAX))),
        }
    }

    /// The segment's file, which outlives its name.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Elsewhere`], [`Error::Missing`]; [`Error::Io`] when it cannot be opened.
    pub(super) fn get(&self, id: SegmentId, ahead: ReadAhead) -> Result<Arc<File>> {
        match id {
            SegmentId::LOST => return Err(Error::Lost),
            SegmentId::ELSEWHERE => return Err(Error::Elsewhere),
            _ => {}
        }
        let mut open = self.locked();
        if let Some(file) = open.get(&(id, ahead)) {
            return Ok(Arc::clone(file));
        }
        // Opened under the lock: several that miss a segment at once open it once.
        let file = match self.open(id, ahead) {
            // This process or the host may have no descriptor left: the other reads as well.
            Err(error @ Error::Io { .. }) => {
                let other = open.get(&(id, ahead.other()));
                return other.map(Arc::clone).ok_or(error);
            }
            opened => Arc::new(opened?),
        };
        open.put((id, ahead), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, id: SegmentId, ahead: ReadAhead) -> Result<File> {
        let path = segment::path_of(&self.dir, id);
        about_to_wait();
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { segment: id },
            _ => Error::Io {
                op: "open",
                path,
                source,
            },
        })?;
        if ahead == ReadAhead::Nothing
            && let Err(e) = fadvise(&file, 0, None, Advice::Random)
        {
            log::debug!("segment {id} is read with what the host takes for next: {e}");
        }
        Ok(file)
    }

    /// Closes the segment, which is about to go; who reads it goes on.
    pub(super) fn forget(&self, id: SegmentId) {
        let mut open = self.locked();
        for ahead in [ReadAhead::Guessed, ReadAhead::Nothing] {
            open.pop(&(id, ahead));
        }
    }

    fn locked(&self) -> MutexGuard<'_, LruCache<(SegmentId, ReadAhead), Arc<File>>> {
        wait_for_lock(&self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segments_that_were_read_last_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let readers = Readers::new(dir.path());
        let max = u32::try_from(OPEN_MAX.get()).unwrap();
        let id = SegmentId::from_raw;
        for number in 1..=max + 40 {
            File::create(segment::path_of(dir.path(), id(number))).unwrap();
        }
        // The first forty are read again, after all others.
        for number in (1..=max + 40).chain(1..=40) {
            readers.get(id(number), ReadAhead::Guessed).unwrap();
        }
        let open = readers.locked();
        for number in (1..=40).chain(81..=max + 40) {
            assert!(
                open.contains(&(id(number), ReadAhead::Guessed)),
                "{number} was closed"
            );
        }
        assert_eq!(open.len(), OPEN_MAX.get());
    }

    #[test]
    fn a_segment_that_goes_is_closed_however_it_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let readers = Readers::new(dir.path());
        let id = SegmentId::from_raw(1);
        File::create(segment::path_of(dir.path(), id)).unwrap();
        for ahead in [ReadAhead::Guessed, ReadAhead::Nothing] {
            readers.get(id, ahead).unwrap();
        }
        readers.forget(id);
        assert_eq!(readers.locked().len(), 0);
    }

    #[test]
    fn what_cannot_be_opened_again_is_read_as_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let readers = Readers::new(dir.path());
        let id = SegmentId::from_raw(1);
        let path = segment::path_of(dir.path(), id);
        File::create(&path).unwrap();
        let open = readers.get(id, ReadAhead::Guessed).unwrap();
        std::fs::remove_file(&path).unwrap();
        // As where no descriptor is left: the file is there, and open(2) fails.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let again = readers.get(id, ReadAhead::Nothing).unwrap();
        assert!(Arc::ptr_eq(&open, &again));
    }
}
