//! Reads a segment without any table: finds every whole record, and so every chunk that it holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::codec::unpack;
use super::pages::sums_of;
use super::record::{self, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES};
use super::{Error, Result, segment};
use crate::types::{ChunkHash, Location, PageSums, SegmentId};

const WINDOW_BYTES: usize = 64 * 1024;

/// A chunk that a segment was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedChunk {
    /// Its name, verified against its bytes.
    pub hash: ChunkHash,
    /// Where it is.
    pub at: Location,
    /// The checksums of its pages.
    pub sums: PageSums,
}

/// Calls `found` for every whole record of segment `id` in `dir`, in file order.
///
/// Gaps, zeros written ahead and damaged records are stepped over: the next record is looked for at
/// every multiple of the alignment. What looks like a record inside a gap is one, since its content
/// must match its name.
///
/// # Errors
/// [`Error::Missing`], [`Error::Corrupt`] when the file does not begin as this segment, [`Error::Io`].
pub fn scan(dir: &Path, id: SegmentId, found: impl FnMut(ScannedChunk)) -> Result<()> {
    let (file, path) = open(dir, id)?;
    let io = |source| Error::Io {
        op: "read",
        path: path.clone(),
        source,
    };
    let mut header = [0; 64];
    let whole = file.metadata().map_err(io)?.len() >= SEGMENT_HEADER_BYTES;
    if whole {
        file.read_exact_at(&mut header, 0).map_err(io)?;
    }
    if !whole || !record::is_segment_header(&header, id) {
        return Err(Error::Corrupt {
            segment: id,
            offset: 0,
            what: "its header does not match",
        });
    }
    records(&file, id, found).map_err(io)
}

/// As [`scan`], whatever the file begins with.
///
/// # Errors
/// [`Error::Missing`], [`Error::Io`].
pub fn sift(dir: &Path, id: SegmentId, found: impl FnMut(ScannedChunk)) -> Result<()> {
    let (file, path) = open(dir, id)?;
    records(&file, id, found).map_err(|source| Error::Io {
        op: "read",
        path,
        source,
    })
}

fn open(dir: &Path, id: SegmentId) -> Result<(File, PathBuf)> {
    let path = segment::path_of(dir, id);
    match File::open(&path) {
        Ok(file) => Ok((file, path)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::Missing { segment: id }),
        Err(source) => Err(Error::Io {
            op: "open",
            path,
            source,
        }),
    }
}

fn records(file: &File, id: SegmentId, mut found: impl FnMut(ScannedChunk)) -> io::Result<()> {
    let end = file.metadata()?.len();
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some((place, header)) = next_header(file, at, end)? {
        match read_record(file, id, place, &header, end)? {
            Some(chunk) => {
                let len = RECORD_HEADER_BYTES + u64::from(header.stored_len);
                at = place + len.next_multiple_of(RECORD_ALIGN);
                found(chunk);
            }
            // Not as far as its header says: what a damaged length would step over may hold whole records.
            None => at = place + RECORD_ALIGN,
        }
    }
    Ok(())
}

/// The first place from `at` on where a record header stands.
fn next_header(file: &File, mut at: u64, end: u64) -> io::Result<Option<(u64, RecordHeader)>> {
    const HEADER: usize = record::HEADER_LEN;
    let mut window = vec![0; WINDOW_BYTES];
    while at + RECORD_HEADER_BYTES <= end {
        let len = usize::try_from(end - at)
            .unwrap_or(usize::MAX)
            .min(window.len());
        file.read_exact_at(&mut window[..len], at)?;
        let mut inside = 0;
        while let Some(bytes) = window[..len].get(inside..inside + HEADER) {
            let header = <&[u8; HEADER]>::try_from(bytes)
                .ok()
                .and_then(RecordHeader::decode);
            if let Some(header) = header {
                return Ok(Some((at + inside as u64, header)));
            }
            inside += record::ALIGN;
        }
        // A header that the window's end cuts is found by the next window, which begins with it.
        at += inside as u64;
    }
    Ok(None)
}

fn read_record(
    file: &File,
    id: SegmentId,
    place: u64,
    header: &RecordHeader,
    end: u64,
) -> io::Result<Option<ScannedChunk>> {
    let offset = place + RECORD_HEADER_BYTES;
    // A write that a power cut left half: the header is there, and the file ends before the bytes do.
    if offset + u64::from(header.stored_len) > end {
        return Ok(None);
    }
    let mut stored = vec![0; usize::try_from(header.stored_len).unwrap_or(0)];
    file.read_exact_at(&mut stored, offset)?;
    let len = usize::try_from(header.len).unwrap_or(0);
    let Some(plain) = unpack(header.codec, stored, len) else {
        return Ok(None);
    };
    // A file's content can look like a record; it cannot have the hash of other bytes.
    let same = ChunkHash::of(&plain) == header.hash && plain.len() as u64 == u64::from(header.len);
    Ok(same.then(|| ScannedChunk {
        hash: header.hash,
        at: Location {
            segment: id,
            offset,
            len: header.len,
            stored_len: header.stored_len,
            codec: header.codec,
        },
        sums: sums_of(&plain),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{ChunkStore, NewChunk, Stream};
    use super::*;

    #[test]
    fn the_chunk_table_can_be_made_again_around_a_damaged_record() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path(), SegmentId::from_raw(1)).unwrap();
        let datas: Vec<Vec<u8>> = (1..50_u8).map(|i| vec![i; usize::from(i) * 1000]).collect();
        let places: Vec<_> = datas
            .iter()
            .map(|data| {
                let at = store
                    .append(Stream::Fresh, &[&NewChunk::of(data)])
                    .unwrap()
                    .places[0];
                store.sync(Stream::Fresh, std::convert::identity).unwrap();
                at
            })
            .collect();
        let file = File::options()
            .write(true)
            .open(dir.path().join("00000001.seg"))
            .unwrap();
        file.write_all_at(b"damage", places[7].offset + 10).unwrap();
        file.write_all_at(b"damage", places[20].offset - 30)
            .unwrap();
        let mut found = Vec::new();
        scan(dir.path(), SegmentId::from_raw(1), |c| found.push(c)).unwrap();
        let expected: Vec<_> = (0..places.len())
            .filter(|i| ![7, 20].contains(i))
            .map(|i| (places[i], ChunkHash::of(&datas[i]), sums_of(&datas[i])))
            .collect();
        let found: Vec<_> = found.into_iter().map(|c| (c.at, c.hash, c.sums)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_is_no_segment_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("00000002.seg")).unwrap();
        let result = scan(dir.path(), SegmentId::from_raw(2), |_| {});
        assert!(matches!(result, Err(Error::Corrupt { .. })));
    }
}
