//! What names stored bytes: chunks, segments, epochs.

use std::fmt;

/// BLAKE3 of a chunk's plaintext: the chunk's only name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkHash([u8; Self::LEN]);

impl ChunkHash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;

    /// The name of these bytes.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(*blake3::hash(data).as_bytes())
    }

    /// A hash that was stored before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkHash({self})")
    }
}

/// A row of the chunk table: a short local stand-in for a [`ChunkHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub i64);

/// A segment file of one volume, counted from 1 and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(u32);

impl SegmentId {
    /// No segment: that of a chunk whose bytes are lost. Files that name it can be read but there.
    pub const LOST: Self = Self(0);
    /// No segment of this host: that of a chunk whose bytes are in a repository still. Segments are counted from 1, and
    /// never so far.
    pub const ELSEWHERE: Self = Self(u32::MAX);

    /// The segment of this number.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The number itself.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {:08x}", self.0)
    }
}

/// The counter that a snapshot advances; rows live in `[born, died)` epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

/// The length at which files are cut into chunks: a power of two, 4 KiB to 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkBytes(u32);

impl ChunkBytes {
    /// 128 KiB.
    pub const DEFAULT: Self = Self(128 * 1024);
    /// 1 MiB: no chunk is longer, and none takes more where it is stored.
    pub const MAX: Self = Self(1024 * 1024);

    /// The chunk length of this many bytes; `None` unless it is a power of two in range.
    #[must_use]
    pub fn new(bytes: u32) -> Option<Self> {
        let in_range = (4096..=Self::MAX.0).contains(&bytes);
        (in_range && bytes.is_power_of_two()).then_some(Self(bytes))
    }

    /// Bytes in a full chunk.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}
