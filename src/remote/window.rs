//! Chunks of a pack that lie close together, and come with one request.

use std::collections::HashMap;

use super::moved::Moved;
use super::pack::{open_chunks, pack_key};
use super::place::{Packing, Place};
use super::repository::Repository;
use super::{Bytes, Error, ObjectId, Result};
use crate::types::FarPlace;

/// Bytes between two chunks that are fetched with them: a request of its own takes longer.
const GAP_BYTES: u64 = 64 * 1024;
/// Bytes that are fetched with one request, where nobody waits for the first of them.
pub const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// What came for a window.
#[derive(Debug)]
pub struct Fetched {
    /// The plaintext of each chunk, in order: parts of what was fetched, all of which stays while one of them does.
    pub plain: Vec<Bytes>,
    /// Bytes that were fetched for them.
    pub bytes: u64,
}

impl Place {
    /// The place that a row of a volume tells; `None` when it is stored in a way that no pack has.
    #[must_use]
    pub fn of_far(far: &FarPlace) -> Option<Self> {
        Some(Self {
            pack: ObjectId::from_bytes(far.pack),
            piece: far.piece,
            offset: far.offset,
            stored_len: far.stored_len,
            len: far.len,
            packing: Packing::from_raw(far.codec)?,
        })
    }

    /// The same for a row.
    #[must_use]
    pub const fn to_far(&self) -> FarPlace {
        FarPlace {
            pack: *self.pack.as_bytes(),
            piece: self.piece,
            offset: self.offset,
            stored_len: self.stored_len,
            len: self.len,
            codec: self.packing.to_raw(),
        }
    }

    /// Where its sealed bytes end in the pack.
    const fn end(&self) -> u64 {
        self.offset as u64 + self.sealed_len() as u64
    }

    /// Whether it comes with a window from `first` to `last` that shall have `bytes_max` at most.
    #[must_use]
    pub fn extends(&self, (first, last): (&Self, &Self), bytes_max: u64) -> bool {
        let offset = u64::from(self.offset);
        first.pack == self.pack
            && offset >= last.end()
            && offset - last.end() <= GAP_BYTES
            && self.end() - u64::from(first.offset) <= bytes_max
    }
}

impl Repository {
    /// Fetches chunks of one pack, whose places follow each other, and verifies them; where they were moved, from there.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`]; see [`super::Shelf`].
    pub fn fetch(&self, window: &[Place]) -> Result<Fetched> {
        self.fetch_after(0, window)
    }

    /// The same, of chunks that were moved so often.
    fn fetch_after(&self, moves: usize, window: &[Place]) -> Result<Fetched> {
        let Some(first) = window.first() else {
            return Err(Error::Bug("a window has no chunks".to_owned()));
        };
        if let Some(moved) = self.known_moved(&first.pack) {
            return self.fetch_moved(moves, window, &moved);
        }
        // A pack that was packed anew goes only after it is told where its chunks went: asked about that first, it might
        // be gone a moment later.
        match self.fetch_there(window) {
            Err(gone @ Error::Missing { .. }) => match self.moved_from(&first.pack)? {
                Some(moved) => self.fetch_moved(moves, window, &moved),
                None => Err(gone),
            },
            fetched => fetched,
        }
    }

    fn fetch_moved(&self, moves: usize, window: &[Place], moved: &Moved) -> Result<Fetched> {
        if moves == Moved::TIMES_MAX {
            let what = "its chunks were moved again and again";
            return Err(Error::damaged(pack_key(moved.pack()), what));
        }
        let places = window.iter().map(|old| moved.follow(old));
        let mut places = places.collect::<Result<Vec<Place>>>()?;
        let now = places.clone();
        places.sort_unstable_by_key(|place| (place.pack, place.offset));
        places.dedup();
        let mut fetched = HashMap::new();
        let mut bytes = 0;
        for window in windows(places, |place| place) {
            let came = self.fetch_after(moves + 1, &window)?;
            bytes += came.bytes;
            fetched.extend(window.into_iter().zip(came.plain));
        }
        // Equal chunks of a pack may be one chunk now.
        let plain = now.iter().filter_map(|place| fetched.get(place).cloned());
        Ok(Fetched {
            plain: plain.collect(),
            bytes,
        })
    }

    fn fetch_there(&self, window: &[Place]) -> Result<Fetched> {
        let (Some(first), Some(last)) = (window.first(), window.last()) else {
            return Err(Error::Bug("a window has no chunks".to_owned()));
        };
        let sealed = self.get_chunks(first, last)?;
        let bytes = sealed.len() as u64;
        let plain = open_chunks(self.master(), window, sealed)?;
        Ok(Fetched { plain, bytes })
    }
}

/// Groups chunks, which come in the order of their places, to what is fetched together.
pub fn windows<T>(
    chunks: impl IntoIterator<Item = T>,
    place_of: impl Fn(&T) -> &Place,
) -> Vec<Vec<T>> {
    let fits = |window: &[T], place: &Place| {
        let ends = window.first().zip(window.last());
        let ends = ends.map(|(first, last)| (place_of(first), place_of(last)));
        ends.is_some_and(|ends| place.extends(ends, WINDOW_BYTES))
    };
    let mut windows: Vec<Vec<T>> = Vec::new();
    for chunk in chunks {
        match windows.last_mut() {
            Some(window) if fits(window, place_of(&chunk)) => window.push(chunk),
            _ => windows.push(vec![chunk]),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pack: u8, offset: u32, len: u32) -> Place {
        Place {
            pack: ObjectId::from_bytes([pack; 32]),
            piece: offset,
            offset,
            stored_len: len,
            len,
            packing: Packing::Plain,
        }
    }

    #[test]
    fn neighbours_are_fetched_together() {
        let chunks = [
            place(0, 64, 1000),
            place(0, 1080, 1000),
            place(0, 60_000, 1000),
            place(0, 200_000, 1_000_000),
            place(0, 1_200_016, 1_000_000),
            place(0, 2_200_032, 1_000_000),
            place(0, 3_200_048, 1_000_000),
            place(0, 4_200_064, 1_000_000),
            place(1, 64, 10),
        ];
        let windows = windows(chunks, |place| place);
        let counts: Vec<usize> = windows.iter().map(Vec::len).collect();
        assert_eq!(counts, [3, 4, 1, 1]);
    }
}
