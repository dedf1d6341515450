//! Segments that are open for reading: those that were read last stay open.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use lru::LruCache;

use super::allowed::open_segments;
use super::{Error, Result, segment};
use crate::types::{SegmentId, about_to_wait, wait_for_lock};

/// How many stay open, where that is allowed: 16 GiB of segments.
const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The segments of one directory, by their numbers.
#[derive(Debug)]
pub(super) struct Readers {
    dir: PathBuf,
    open: Mutex<LruCache<SegmentId, Arc<File>>>,
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
    pub(super) fn get(&self, id: SegmentId) -> Result<Arc<File>> {
        match id {
            SegmentId::LOST => return Err(Error::Lost),
            SegmentId::ELSEWHERE => return Err(Error::Elsewhere),
            _ => {}
        }
        let mut open = self.locked();
        if let Some(file) = open.get(&id) {
            return Ok(Arc::clone(file));
        }
        // Opened under the lock: several that miss a segment at once open it once.
        let file = Arc::new(self.open(id)?);
        open.put(id, Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, id: SegmentId) -> Result<File> {
        let path = segment::path_of(&self.dir, id);
        about_to_wait();
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { segment: id },
            _ => Error::Io {
                op: "open",
                path,
                source,
            },
        })
    }

    /// Closes the segment, which is about to go; who reads it goes on.
    pub(super) fn forget(&self, id: SegmentId) {
        self.locked().pop(&id);
    }

    fn locked(&self) -> MutexGuard<'_, LruCache<SegmentId, Arc<File>>> {
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
            readers.get(id(number)).unwrap();
        }
        let open = readers.locked();
        for number in (1..=40).chain(81..=max + 40) {
            assert!(open.contains(&id(number)), "{number} was closed");
        }
        assert_eq!(open.len(), OPEN_MAX.get());
    }
}
