//! Where the chunks of a pack are that was packed anew: what names the old pack is not written again, and whoever finds it
//! gone goes on from here.
//!
//! Written once, before the pack goes, and for good: what a reader has seen of it stays true. A chunk may have been moved
//! again since, so readers follow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::object::ObjectId;
use super::pack_list::{self, PLACE_BYTES, PackList};
use super::place::Place;
use super::shelf::Key;
use super::{Error, Result};

/// Where they are.
pub(super) const DIR: &str = "moved";
/// Bytes of a chunk: old piece, and where it is.
const ENTRY_BYTES: usize = 4 + PLACE_BYTES;
/// Chunks of packs that were moved, held in memory: some 6 MiB.
const KNOWN_MAX: usize = 100_000;

/// Where the chunks of one pack went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pack: ObjectId,
    /// By the old piece, in their order.
    places: Vec<(u32, Place)>,
}

/// What was read last of it.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<VecDeque<Arc<Moved>>>);

impl Moves {
    pub(super) fn get(&self, pack: &ObjectId) -> Option<Arc<Moved>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|one| one.pack == *pack).map(Arc::clone)
    }

    pub(super) fn keep(&self, moved: &Arc<Moved>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_front(Arc::clone(moved));
        let mut chunks = 0;
        known.retain(|one| {
            chunks += one.places.len();
            chunks <= KNOWN_MAX
        });
    }
}

impl Moved {
    /// How often chunks are moved that a reader finds: what says more goes round in circles.
    pub const TIMES_MAX: usize = 64;

    /// Where the chunks of `pack` went, by their old pieces.
    #[must_use]
    pub fn of(pack: ObjectId, mut places: Vec<(u32, Place)>) -> Self {
        places.sort_unstable_by_key(|(piece, _)| *piece);
        Self { pack, places }
    }

    /// The old pack.
    #[must_use]
    pub const fn pack(&self) -> &ObjectId {
        &self.pack
    }

    /// The old pieces, and where each is now.
    #[must_use]
    pub fn places(&self) -> &[(u32, Place)] {
        &self.places
    }

    /// Where a piece is now, if it was moved.
    #[must_use]
    pub fn get(&self, piece: u32) -> Option<&Place> {
        let at = self
            .places
            .binary_search_by_key(&piece, |(piece, _)| *piece);
        self.places.get(at.ok()?).map(|(_, place)| place)
    }

    /// Where the chunk is now that was at `old`.
    ///
    /// # Errors
    /// [`Error::Damaged`] when this does not tell, or of a chunk of another length.
    pub fn follow(&self, old: &Place) -> Result<Place> {
        let found = self.get(old.piece).filter(|found| found.len == old.len);
        found.copied().ok_or_else(|| {
            let what = format!("it does not tell of chunk {}", old.piece);
            Error::damaged(key_of(&self.pack), what)
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut packs = PackList::default();
        let mut entries = Vec::with_capacity(self.places.len() * ENTRY_BYTES);
        for (old, place) in &self.places {
            entries.extend(old.to_le_bytes());
            packs.write(place, &mut entries);
        }
        let mut body = self.pack.as_bytes().to_vec();
        packs.finish(&entries, &mut body);
        body
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let (pack, rest) = body.split_first_chunk::<{ ObjectId::LEN }>()?;
        let (packs, entries) = pack_list::split(rest)?;
        let entries = entries.chunks(ENTRY_BYTES).map(|entry| {
            let (old, place) = entry.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*old), pack_list::read(&packs, place)?))
        });
        let places: Vec<_> = entries.collect::<Option<_>>()?;
        let is_sorted = places.is_sorted_by(|(a, _), (b, _)| a < b);
        is_sorted.then_some(Self {
            pack: ObjectId::from_bytes(*pack),
            places,
        })
    }
}

/// What tells where the chunks of a pack went.
pub(super) fn key_of(pack: &ObjectId) -> Key {
    Key::new(format!("{DIR}/{pack}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Packing;

    fn place(number: u32) -> Place {
        Place {
            pack: ObjectId::from_bytes([u8::try_from(number % 3).unwrap(); 32]),
            piece: number,
            offset: 64 + number,
            stored_len: 10,
            len: 20 + number,
            packing: Packing::Zstd,
        }
    }

    #[test]
    fn what_was_moved_is_found_and_nothing_else() {
        let pack = ObjectId::from_bytes([9; 32]);
        let places = (0..50).rev().map(|number| (2 * number, place(number)));
        let moved = Moved::of(pack, places.collect());
        let body = moved.encode();
        assert_eq!(Moved::decode(&body), Some(moved.clone()));
        assert!((0..body.len()).all(|len| Moved::decode(&body[..len]) != Some(moved.clone())));
        let old = |piece, len| Place {
            pack,
            piece,
            len,
            ..place(0)
        };
        assert_eq!(moved.follow(&old(14, 27)).unwrap(), place(7));
        assert!(moved.follow(&old(14, 26)).is_err(), "of another length");
        assert!(moved.follow(&old(15, 27)).is_err());
    }
}
