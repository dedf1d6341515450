//! Where a chunk is that a volume names and does not have: in a pack of a repository.

use super::{ChunkHash, Codec, Location, PageSums, SegmentId};

/// A chunk's place in a pack, as rows of the chunk table tell it: [`SegmentId::ELSEWHERE`], with the piece and where it
/// begins as the offset, and the pack in the place of checksums, which are not known before the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FarPlace {
    /// The pack.
    pub pack: [u8; Self::PACK_BYTES],
    /// Which piece of it.
    pub piece: u32,
    /// Where in the pack it begins, in bytes.
    pub offset: u32,
    /// Bytes stored.
    pub stored_len: u32,
    /// Bytes of plaintext.
    pub len: u32,
    /// How they are stored: the number of a [`Codec`].
    pub codec: u8,
}

impl FarPlace {
    /// Bytes of a pack's name.
    pub const PACK_BYTES: usize = 32;

    /// What a row says that is [`Location::is_elsewhere`]; `None` of any other, or one that is damaged.
    #[must_use]
    pub fn of(at: &Location, sums: &PageSums) -> Option<Self> {
        let pack = sums.as_bytes().try_into().ok()?;
        at.is_elsewhere().then(|| Self {
            pack,
            piece: u32::try_from(at.offset >> 32).unwrap_or_default(),
            offset: u32::try_from(at.offset & u64::from(u32::MAX)).unwrap_or_default(),
            stored_len: at.stored_len,
            len: at.len,
            codec: at.codec.to_raw(),
        })
    }

    /// What its row says of where it is; `None` when it is stored in a way that this cask does not know.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        Some(Location {
            segment: SegmentId::ELSEWHERE,
            offset: u64::from(self.piece) << 32 | u64::from(self.offset),
            len: self.len,
            stored_len: self.stored_len,
            codec: Codec::from_raw(self.codec)?,
        })
    }

    /// What its row has for checksums.
    #[must_use]
    pub fn sums(&self) -> PageSums {
        PageSums::from_bytes(self.pack.as_slice())
    }

    /// What it is called until its content is known: no content has that name.
    #[must_use]
    pub fn stand_in(&self) -> ChunkHash {
        let mut name = self.pack.to_vec();
        name.extend(self.piece.to_le_bytes());
        ChunkHash::of(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_place() {
        let far = FarPlace {
            pack: [7; 32],
            piece: u32::MAX,
            offset: 64,
            stored_len: 10,
            len: 4096,
            codec: 2,
        };
        let at = far.location().unwrap();
        assert!(at.is_elsewhere());
        assert_eq!(FarPlace::of(&at, &far.sums()), Some(far));
        let there = Location {
            segment: SegmentId::from_raw(1),
            ..at
        };
        assert_eq!(FarPlace::of(&there, &far.sums()), None);
    }
}
