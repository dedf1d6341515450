//! Where a chunk is in a repository.

use super::object::ObjectId;
use crate::types::ChunkBytes;

/// Where a chunk is: a sealed piece of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The pack.
    pub pack: ObjectId,
    /// Which piece of it: its nonce.
    pub piece: u32,
    /// Where in the pack it begins, in bytes.
    pub offset: u32,
    /// Bytes before they are sealed.
    pub stored_len: u32,
    /// Bytes of plaintext.
    pub len: u32,
    /// How the stored bytes relate to the plaintext.
    pub packing: Packing,
}

/// How a chunk's stored bytes relate to its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    /// They are the plaintext.
    Plain,
    /// They are a Zstandard frame (RFC 8878).
    Zstd,
}

impl Packing {
    /// The number that stands for it in objects: that of docs/format.md.
    #[must_use]
    pub const fn to_raw(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd => 2,
        }
    }

    /// The packing of this number, if this cask knows it.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Plain),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl Place {
    /// Whether there can be such a chunk.
    pub(super) const fn is_possible(&self) -> bool {
        let max = ChunkBytes::MAX.get();
        let fits = match self.packing {
            Packing::Plain => self.stored_len == self.len,
            Packing::Zstd => self.stored_len <= max,
        };
        fits && self.len > 0 && self.len <= max
    }
}
