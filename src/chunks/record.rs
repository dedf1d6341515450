//! The bytes of a segment file: its header, and the records behind it (docs/format.md).
//!
//! A record says all about its chunk, so that the chunk table can be made again from the segments.

use super::codec::pack;
use super::pages::sums_of;
use crate::types::{ChunkBytes, ChunkHash, Codec, Compression, PageSums, SegmentId};

/// Bytes of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 64;
/// Bytes of a record's header; the stored bytes follow it.
pub(super) const RECORD_HEADER_BYTES: u64 = 64;
/// Records begin at multiples of this.
pub(super) const RECORD_ALIGN: u64 = 8;

const SEGMENT_MAGIC: &[u8; 8] = b"CASKSEG1";
const RECORD_MAGIC: &[u8; 4] = b"CkRc";
/// Bytes of either header, as an array has them.
pub(super) const HEADER_LEN: usize = 64;
/// [`RECORD_ALIGN`], as an index has it.
pub(super) const ALIGN: usize = 8;

// Byte map of a record header; what is not named is zero.
const CODEC_AT: usize = 4;
const PLAIN_LEN_AT: usize = 8;
const STORED_LEN_AT: usize = 12;
const HASH_AT: usize = 16;
const HASH_END: usize = HASH_AT + ChunkHash::LEN;
const HEADER_SUM_AT: usize = HEADER_LEN - 4;

/// A chunk that is ready to be stored.
#[derive(Debug, Clone)]
pub struct NewChunk<'a> {
    /// Its name.
    pub hash: ChunkHash,
    /// The checksums of its pages.
    pub sums: PageSums,
    /// Its plaintext.
    pub data: &'a [u8],
    packed: Option<(Codec, Vec<u8>)>,
}

impl<'a> NewChunk<'a> {
    /// Hashes `data`.
    #[must_use]
    pub fn of(data: &'a [u8]) -> Self {
        Self {
            hash: ChunkHash::of(data),
            sums: sums_of(data),
            data,
            packed: None,
        }
    }

    /// Has it stored packed, if that makes it shorter by a tenth.
    pub fn pack(&mut self, compression: Compression) {
        self.packed = pack(compression, self.data);
    }

    /// The bytes that are stored, and how they relate to the plaintext.
    pub(super) fn stored(&self) -> (Codec, &[u8]) {
        match &self.packed {
            Some((codec, bytes)) => (*codec, bytes),
            None => (Codec::Plain, self.data),
        }
    }
}

/// A record header as found in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) codec: Codec,
    pub(super) len: u32,
    pub(super) stored_len: u32,
    pub(super) hash: ChunkHash,
}

impl RecordHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..RECORD_MAGIC.len()].copy_from_slice(RECORD_MAGIC);
        bytes[CODEC_AT] = self.codec.to_raw();
        put_u32(&mut bytes, PLAIN_LEN_AT, self.len);
        put_u32(&mut bytes, STORED_LEN_AT, self.stored_len);
        bytes[HASH_AT..HASH_END].copy_from_slice(self.hash.as_bytes());
        let sum = crc32c::crc32c(&bytes[..HEADER_SUM_AT]);
        put_u32(&mut bytes, HEADER_SUM_AT, sum);
        bytes
    }

    /// The header in these bytes; `None` when there is none, a damaged one, or one of a chunk that cannot be: who
    /// reads on sets its lengths aside.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        // The magic before the sum: a scan asks this of every eighth byte of a segment.
        if &bytes[..RECORD_MAGIC.len()] != RECORD_MAGIC
            || get_u32(bytes, HEADER_SUM_AT) != crc32c::crc32c(&bytes[..HEADER_SUM_AT])
        {
            return None;
        }
        let hash = bytes[HASH_AT..HASH_END].try_into().ok()?;
        let header = Self {
            codec: Codec::from_raw(bytes[CODEC_AT])?,
            len: get_u32(bytes, PLAIN_LEN_AT),
            stored_len: get_u32(bytes, STORED_LEN_AT),
            hash: ChunkHash::from_bytes(hash),
        };
        let longest = header.len.max(header.stored_len);
        (longest <= ChunkBytes::MAX.get()).then_some(header)
    }
}

/// The header of a new segment's file.
pub(super) fn encode_segment_header(id: SegmentId) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..SEGMENT_MAGIC.len()].copy_from_slice(SEGMENT_MAGIC);
    put_u32(&mut bytes, 8, id.raw());
    let sum = crc32c::crc32c(&bytes[..HEADER_SUM_AT]);
    put_u32(&mut bytes, HEADER_SUM_AT, sum);
    bytes
}

/// Whether these bytes are the header of segment `id`.
pub(super) fn is_segment_header(bytes: &[u8; HEADER_LEN], id: SegmentId) -> bool {
    *bytes == encode_segment_header(id)
}

fn put_u32(bytes: &mut [u8; HEADER_LEN], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_header_survives_a_round_trip_and_any_flipped_bit_is_seen() {
        let header = RecordHeader {
            codec: Codec::Plain,
            len: 5,
            stored_len: 5,
            hash: ChunkHash::of(b"hello"),
        };
        let bytes = header.encode();
        assert_eq!(RecordHeader::decode(&bytes), Some(header));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_more_than_a_chunk_can_hold_is_none() {
        let header = |len, stored_len| RecordHeader {
            codec: Codec::Lz4,
            len,
            stored_len,
            hash: ChunkHash::of(b"hello"),
        };
        let max = ChunkBytes::MAX.get();
        let decoded = |len, stored_len| RecordHeader::decode(&header(len, stored_len).encode());
        assert!(decoded(max, max).is_some());
        assert_eq!(decoded(max + 1, 5), None);
        assert_eq!(decoded(5, u32::MAX), None);
    }
}
