//! Where and how a chunk is stored, as the chunk table and the chunk store tell each other.

use super::{ChunkBytes, SegmentId};

/// Bytes that the record of a chunk of `stored_len` bytes takes in its segment: a header of 64, the stored
/// bytes, and what is missing to a multiple of 8.
#[must_use]
pub const fn record_bytes(stored_len: u32) -> u64 {
    (64 + stored_len as u64).next_multiple_of(8)
}

/// How a chunk's stored bytes relate to its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// They are the plaintext.
    Plain,
    /// They are an LZ4 block.
    Lz4,
    /// They are a Zstandard frame.
    Zstd,
}

impl Codec {
    /// The number that stands for it on disk.
    #[must_use]
    pub const fn to_raw(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    /// The codec of this number, if this cask knows it.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Plain),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Where a chunk's stored bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The segment.
    pub segment: SegmentId,
    /// Where in the segment's file the stored bytes begin.
    pub offset: u64,
    /// Bytes of plaintext.
    pub len: u32,
    /// Bytes stored.
    pub stored_len: u32,
    /// How they are stored.
    pub codec: Codec,
}

impl Location {
    /// Whether the bytes are known to be lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.segment == SegmentId::LOST
    }

    /// Whether the bytes are in a repository still.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.segment == SegmentId::ELSEWHERE
    }

    /// Whether the bytes are in no segment of the volume.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.is_lost() || self.is_elsewhere()
    }

    /// How many bytes to set aside for the plaintext. A damaged row may say more than a chunk can hold; reading what
    /// it says then fails.
    #[must_use]
    pub fn plain_bytes(&self) -> usize {
        possible(self.len)
    }

    /// How many bytes to set aside for the stored bytes, with the same bound.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        possible(self.stored_len)
    }
}

fn possible(len: u32) -> usize {
    len.min(ChunkBytes::MAX.get()) as usize
}

/// CRC-32C of each 4 KiB page of a chunk's plaintext, four little-endian bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSums(Box<[u8]>);

impl PageSums {
    /// Sums in this form.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The sums as they are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
