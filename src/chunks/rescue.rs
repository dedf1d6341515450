//! What a check and a repair need of segments that may be damaged: whether they still describe themselves, what is on
//! the disk, and the pages that are whole.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use super::codec::unpack;
use super::pages::{PAGE_BYTES, sums_of};
use super::record::{self, HEADER_LEN, RECORD_HEADER_BYTES, RecordHeader};
use super::{ChunkStore, Error, Result, segment};
use crate::types::{ChunkHash, Codec, Location, PageSums, SegmentId};

/// Neighbouring pages of a chunk that are as they were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholePages {
    /// Where in the chunk they are.
    pub range: Range<usize>,
    /// Their bytes.
    pub bytes: Vec<u8>,
}

impl ChunkStore {
    /// Whether the segment's file begins as it should.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub fn has_header(&self, id: SegmentId) -> Result<bool> {
        let found = self.header_at(id, 0)?;
        Ok(found.is_some_and(|bytes| record::is_segment_header(&bytes, id)))
    }

    /// Whether the record of the chunk at `at` says what it holds, so that the chunk table could be made again.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub fn is_described(&self, at: &Location, hash: &ChunkHash) -> Result<bool> {
        let Some(place) = at.offset.checked_sub(RECORD_HEADER_BYTES) else {
            return Ok(false);
        };
        let expected = RecordHeader {
            codec: at.codec,
            len: at.len,
            stored_len: at.stored_len,
            hash: *hash,
        };
        let found = self.header_at(at.segment, place)?;
        Ok(found.and_then(|bytes| RecordHeader::decode(&bytes)) == Some(expected))
    }

    fn header_at(&self, id: SegmentId, place: u64) -> Result<Option<[u8; HEADER_LEN]>> {
        let file = self.reader(id)?;
        let mut bytes = [0; HEADER_LEN];
        match File::read_exact_at(&file, &mut bytes, place) {
            Ok(()) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(Error::Io {
                op: "read",
                path: segment::path_of(self.dir(), id),
                source,
            }),
        }
    }

    /// Reads a chunk from the disk, not from what the host or this process has of it in memory, and verifies it.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn reread(&self, at: &Location, sums: &PageSums, hash: &ChunkHash) -> Result<()> {
        let file = self.reader(at.segment)?;
        let len = NonZeroU64::new(at.stored_len.into());
        // Only advice: bytes that are not on the disk yet stay in memory.
        if let Err(error) = fadvise(&*file, at.offset, len, Advice::DontNeed) {
            log::debug!("the host keeps {} in memory: {error}", at.segment);
        }
        let mut stored = vec![0; at.stored_bytes()];
        self.read_stored(at, 0, &mut stored)?;
        let plain = unpack(at.codec, stored, at.plain_bytes());
        // Both: reads go by the sums, and those are of a row that can be damaged, too.
        let is_whole = |plain: &Vec<u8>| ChunkHash::of(plain) == *hash && sums_of(plain) == *sums;
        if plain.as_ref().is_some_and(is_whole) {
            return Ok(());
        }
        Err(Error::Corrupt {
            segment: at.segment,
            offset: at.offset,
            what: "the bytes are not those that were stored",
        })
    }

    /// The pages of a damaged chunk that are whole. Of one that was packed there are none.
    ///
    /// # Errors
    /// [`Error::Io`] other than those of a medium that lost the bytes.
    pub fn whole_pages(&self, at: &Location, sums: &PageSums) -> Result<Vec<WholePages>> {
        let mut found: Vec<WholePages> = Vec::new();
        if at.codec != Codec::Plain {
            return Ok(found);
        }
        let len = at.plain_bytes();
        // One by one: a read of several fails with the first that is damaged.
        for start in (0..len).step_by(PAGE_BYTES) {
            let mut page = vec![0; PAGE_BYTES.min(len - start)];
            match self.read(at, sums, start, &mut page) {
                Ok(()) => join(&mut found, start, &page),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

fn join(found: &mut Vec<WholePages>, start: usize, page: &[u8]) {
    match found.last_mut().filter(|run| run.range.end == start) {
        Some(run) => {
            run.range.end += page.len();
            run.bytes.extend_from_slice(page);
        }
        None => found.push(WholePages {
            range: start..start + page.len(),
            bytes: page.to_vec(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NewChunk, Stream};
    use super::*;

    #[test]
    fn pages_around_a_damaged_one_are_saved() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path(), SegmentId::from_raw(1)).unwrap();
        let data: Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let chunk = NewChunk::of(&data);
        let at = store.append(Stream::Fresh, &[&chunk]).unwrap().places[0];
        let path = segment::path_of(dir.path(), at.segment);
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(b"damage", at.offset + 5000).unwrap();
        let whole = store.whole_pages(&at, &chunk.sums).unwrap();
        let ranges: Vec<_> = whole.iter().map(|run| run.range.clone()).collect();
        assert_eq!(ranges, [0..4096, 8192..20_000]);
        assert!(whole.iter().all(|run| run.bytes == data[run.range.clone()]));
        assert!(store.has_header(at.segment).unwrap());
        assert!(store.is_described(&at, &chunk.hash).unwrap());
        file.write_all_at(b"damage", at.offset - 40).unwrap();
        file.write_all_at(b"damage", 0).unwrap();
        assert!(!store.has_header(at.segment).unwrap());
        assert!(!store.is_described(&at, &chunk.hash).unwrap());
    }
}
