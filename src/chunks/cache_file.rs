//! Files of chunks that are in packs of a repository: what a host has read of a part of a pack, as records that name and
//! prove their chunks (docs/format.md).
//!
//! Nothing of such a file is believed: a record counts by the digest of its place and bytes, so that a file may be torn,
//! damaged, renamed or removed at any time. Which files there are, and for how long, others decide.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::codec::unpack;
use super::record::NewChunk;
use crate::types::{ChunkBytes, Codec, FarPlace, Timestamp, about_to_wait};

/// Bytes of a pack whose chunks share a file.
const PART_BYTES: u32 = 1024 * 1024;
/// A file takes no more records from here on: parts of a pack that are packed well unpack to many times their length.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A file that was used so long ago at most is not marked as used once more.
const USED_EVERY: Duration = Duration::from_secs(1);
/// What is read to look at a header: those of small chunks lie close together.
const LOOK_BYTES: usize = 4096;

const MAGIC: &[u8; 4] = b"CkFr";
const HEADER_LEN: usize = 64;

// Byte map of a record's header; what is not named is zero.
const CODEC_AT: usize = 4;
const LEN_AT: usize = 8;
const STORED_LEN_AT: usize = 12;
const DIGEST_AT: usize = 16;
const DIGEST_END: usize = 48;
const PIECE_AT: usize = 48;
const OFFSET_AT: usize = 52;

/// What a record says of itself, before it is proved.
#[derive(Debug, Clone, Copy)]
struct Header {
    bytes: [u8; HEADER_LEN],
    codec: Codec,
    len: u32,
    stored_len: u32,
    piece: u32,
    offset: u32,
}

/// The name of the file that a chunk is kept in.
#[must_use]
pub fn cache_file_name(place: &FarPlace) -> String {
    let pack: String = place.pack.iter().map(|b| format!("{b:02x}")).collect();
    format!("{pack}-{}", place.offset / PART_BYTES)
}

/// Reads a chunk, verified, and marks the file as used: its time of modification says when that was last. `None` when
/// there is no such file, or it has no such chunk.
///
/// # Errors
/// [`ErrorKind::InvalidData`] when the file is damaged; what the host says of it otherwise.
pub fn read_cached(path: &Path, place: &FarPlace) -> io::Result<Option<Vec<u8>>> {
    about_to_wait();
    let file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut found = None;
    walk(&file, |at, header| {
        if header.is_of(place) {
            found = Some((at, *header));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let Some((at, header)) = found else {
        return Ok(None);
    };
    let mut stored = vec![0; usize::try_from(header.stored_len).unwrap_or(0)];
    file.read_exact_at(&mut stored, at + HEADER_LEN as u64)?;
    if header.digest(&place.pack, &stored) != header.bytes[DIGEST_AT..DIGEST_END] {
        return Err(damaged());
    }
    let len = usize::try_from(header.len).unwrap_or(0);
    let plain = unpack(header.codec, stored, len).ok_or_else(damaged)?;
    if let Err(error) = mark_used(&file) {
        log::debug!("{} goes sooner than it should: {error}", path.display());
    }
    Ok(Some(plain))
}

/// Adds those of some chunks of one file that it does not have; the bytes that it grew by. Nothing is synced: what a
/// power cut leaves of it is proved, or it is not.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is no such directory; [`ErrorKind::InvalidData`] when the file is damaged;
/// [`ErrorKind::WriteZero`] when it took a part of it only, and others that the host has: the file is to be removed then.
pub fn append_cached(path: &Path, chunks: &[(FarPlace, NewChunk<'_>)]) -> io::Result<u64> {
    let mut options = File::options();
    let options = options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path)?;
    let mut has = BTreeSet::new();
    walk(&file, |_, header| {
        has.insert((header.piece, header.offset));
        ControlFlow::Continue(())
    })?;
    let mut records = Vec::new();
    for (place, chunk) in chunks {
        if has.insert((place.piece, place.offset)) {
            let (header, stored) = record_of(place, chunk);
            records.extend_from_slice(&header);
            records.extend_from_slice(stored);
        }
    }
    let grown = file.metadata()?.len() + records.len() as u64;
    if records.is_empty() || grown > FILE_BYTES_MAX {
        return Ok(0);
    }
    // One write, which the kernel puts behind those of other servers as a whole; of a server that is killed in it a part
    // may be there.
    if file.write(&records)? < records.len() {
        return Err(ErrorKind::WriteZero.into());
    }
    Ok(records.len() as u64)
}

/// Shows the headers of all records that are there whole. A last one that is not may be about to be written.
fn walk(file: &File, mut see: impl FnMut(u64, &Header) -> ControlFlow<()>) -> io::Result<()> {
    let end = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(LOOK_BYTES, file);
    let mut at = 0;
    while at + HEADER_LEN as u64 <= end {
        let mut bytes = [0; HEADER_LEN];
        reader.read_exact(&mut bytes)?;
        let header = Header::decode(bytes).ok_or_else(damaged)?;
        let next = at + HEADER_LEN as u64 + u64::from(header.stored_len);
        if next > end || see(at, &header).is_break() {
            return Ok(());
        }
        reader.seek_relative(i64::from(header.stored_len))?;
        at = next;
    }
    Ok(())
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it is damaged")
}

fn mark_used(file: &File) -> io::Result<()> {
    let now = Timestamp::now().to_system();
    let before = file.metadata()?.modified()?;
    // One that lies in the future would never go.
    if now.duration_since(before).is_ok_and(|age| age < USED_EVERY) {
        return Ok(());
    }
    file.set_modified(now)
}

/// The header of a chunk's record, and the bytes that follow it.
fn record_of<'c>(place: &FarPlace, chunk: &'c NewChunk<'_>) -> ([u8; HEADER_LEN], &'c [u8]) {
    let (codec, stored) = chunk.stored();
    let mut bytes = [0; HEADER_LEN];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[CODEC_AT] = codec.to_raw();
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    put_u32(&mut bytes, LEN_AT, len(chunk.data));
    put_u32(&mut bytes, STORED_LEN_AT, len(stored));
    put_u32(&mut bytes, PIECE_AT, place.piece);
    put_u32(&mut bytes, OFFSET_AT, place.offset);
    let digest = digest_of(&bytes, &place.pack, stored);
    bytes[DIGEST_AT..DIGEST_END].copy_from_slice(&digest);
    (bytes, stored)
}

impl Header {
    /// `None` where no record begins, or one of a chunk that cannot be: who reads on sets its lengths aside.
    fn decode(bytes: [u8; HEADER_LEN]) -> Option<Self> {
        let header = Self {
            codec: Codec::from_raw(bytes[CODEC_AT])?,
            len: u32_at(&bytes, LEN_AT),
            stored_len: u32_at(&bytes, STORED_LEN_AT),
            piece: u32_at(&bytes, PIECE_AT),
            offset: u32_at(&bytes, OFFSET_AT),
            bytes,
        };
        let max = ChunkBytes::MAX.get();
        let is_possible = header.len <= max && header.stored_len <= max;
        (bytes.starts_with(MAGIC) && is_possible).then_some(header)
    }

    const fn is_of(&self, place: &FarPlace) -> bool {
        self.piece == place.piece && self.offset == place.offset && self.len == place.len
    }

    fn digest(&self, pack: &[u8; FarPlace::PACK_BYTES], stored: &[u8]) -> [u8; 32] {
        digest_of(&self.bytes, pack, stored)
    }
}

/// Of all that a record says, the pack that its file is about, and what is stored.
fn digest_of(
    header: &[u8; HEADER_LEN],
    pack: &[u8; FarPlace::PACK_BYTES],
    stored: &[u8],
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..DIGEST_AT]);
    hasher.update(&header[DIGEST_END..]);
    hasher.update(pack);
    hasher.update(stored);
    *hasher.finalize().as_bytes()
}

fn put_u32(bytes: &mut [u8; HEADER_LEN], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn u32_at(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Compression;

    fn place(piece: u32) -> FarPlace {
        FarPlace {
            pack: [7; 32],
            piece,
            offset: piece * 100_000,
            stored_len: 90_000,
            len: 100_000,
            codec: 2,
        }
    }

    fn plain(piece: u32) -> Vec<u8> {
        let bytes = (0_u32..25_000).map(|word| word.wrapping_mul(piece * 2 + 1) % (piece + 7));
        bytes.flat_map(u32::to_le_bytes).collect()
    }

    fn add(path: &Path, pieces: std::ops::Range<u32>, compression: Compression) -> u64 {
        let plain: Vec<_> = pieces.clone().map(plain).collect();
        let chunks = pieces.zip(&plain).map(|(piece, plain)| {
            let mut chunk = NewChunk::of(plain);
            chunk.pack(compression);
            (place(piece), chunk)
        });
        append_cached(path, &chunks.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_was_added_is_read_and_added_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(cache_file_name(&place(1)));
        assert!(read_cached(&path, &place(1)).unwrap().is_none());
        assert!(add(&path, 0..3, Compression::None) > 300_000);
        assert!(add(&path, 1..6, Compression::Zstd(1)) > 0);
        assert_eq!(add(&path, 0..6, Compression::None), 0);
        for piece in 0..6 {
            assert!(read_cached(&path, &place(piece)).unwrap() == Some(plain(piece)));
        }
        assert!(read_cached(&path, &place(6)).unwrap().is_none());
        // Of another pack it proves nothing.
        let other = FarPlace {
            pack: [8; 32],
            ..place(1)
        };
        assert_ne!(cache_file_name(&other), cache_file_name(&place(1)));
        assert!(read_cached(&path, &other).is_err());
        assert_ne!(cache_file_name(&place(11)), cache_file_name(&place(1)));
    }

    fn replace(path: &Path, bytes: &[u8]) {
        File::create(path).unwrap().write_all(bytes).unwrap();
    }

    /// Whatever byte is another one, or missing: nothing else is ever read.
    #[test]
    fn what_is_damaged_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        add(&path, 0..3, Compression::Zstd(1));
        let whole = std::fs::read(&path).unwrap();
        let step = whole.len() / 400 + 1;
        for at in (0..HEADER_LEN).chain((0..whole.len()).step_by(step)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            for bytes in [&damaged[..], &whole[..at]] {
                replace(&path, bytes);
                for piece in 0..3 {
                    let read = read_cached(&path, &place(piece)).unwrap_or_default();
                    assert!(read.is_none_or(|read| read == plain(piece)), "{at}");
                }
            }
        }
    }

    /// Behind a record that a killed server left half written, none is believed that is not whole.
    #[test]
    fn behind_a_torn_record_nothing_wrong_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        add(&path, 0..2, Compression::None);
        let whole = std::fs::read(&path).unwrap();
        replace(&path, &whole[..whole.len() - 1000]);
        assert!(read_cached(&path, &place(1)).unwrap().is_none());
        add(&path, 1..3, Compression::None);
        assert!(read_cached(&path, &place(0)).unwrap() == Some(plain(0)));
        assert!((1..3).all(|piece| read_cached(&path, &place(piece)).is_err()));
    }
}
