//! Where the chunks of a pack are that was packed anew: what names the old pack is not written again, and whoever finds it
//! gone goes on from here.
//!
//! Written once, before the pack goes, and for good: what a reader has seen of it stays true. A chunk may have been moved
//! again since, so readers follow.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use super::object::{Kind, ObjectId, open_whole, seal_whole};
use super::place::{Packing, Place};
use super::shelf::{Key, Tag};
use super::{Error, Repository, Result};
use crate::durable;

/// Where they are.
const DIR: &str = "moved";
/// Bytes of a chunk: old piece, number of the pack, piece, offset, stored and plain length, packing.
const ENTRY_BYTES: usize = 6 * 4 + 1;
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
    fn get(&self, pack: &ObjectId) -> Option<Arc<Moved>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|one| one.pack == *pack).map(Arc::clone)
    }

    fn keep(&self, moved: &Arc<Moved>) {
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

    fn encode(&self) -> Vec<u8> {
        let (mut packs, mut numbers) = (Vec::new(), HashMap::new());
        let mut entries = Vec::with_capacity(self.places.len() * ENTRY_BYTES);
        for (old, place) in &self.places {
            let pack = *numbers.entry(place.pack).or_insert_with(|| {
                packs.push(place.pack);
                packs.len() - 1
            });
            for word in [
                *old,
                // There are fewer packs than chunks of one.
                u32::try_from(pack).unwrap_or(u32::MAX),
                place.piece,
                place.offset,
                place.stored_len,
                place.len,
            ] {
                entries.extend(word.to_le_bytes());
            }
            entries.push(place.packing.to_raw());
        }
        let mut body = self.pack.as_bytes().to_vec();
        body.extend(u32::try_from(packs.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend(packs.iter().flat_map(|id| *id.as_bytes()));
        body.extend(entries);
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (pack, rest) = body.split_first_chunk::<{ ObjectId::LEN }>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let bytes = (u32::from_le_bytes(*count) as usize).checked_mul(ObjectId::LEN)?;
        let (packs, entries) = rest.split_at_checked(bytes)?;
        let packs = packs.as_chunks::<{ ObjectId::LEN }>().0;
        let entries = entries.chunks(ENTRY_BYTES).map(|entry| {
            let word = |n: usize| {
                let bytes = entry.get(4 * n..4 * n + 4)?;
                Some(u32::from_le_bytes(bytes.try_into().ok()?))
            };
            let place = Place {
                pack: ObjectId::from_bytes(*packs.get(word(1)? as usize)?),
                piece: word(2)?,
                offset: word(3)?,
                stored_len: word(4)?,
                len: word(5)?,
                packing: Packing::from_raw(*entry.get(ENTRY_BYTES - 1)?)?,
            };
            place.is_possible().then_some((word(0)?, place))
        });
        let places: Vec<_> = entries.collect::<Option<_>>()?;
        let is_sorted = places.is_sorted_by(|(a, _), (b, _)| a < b);
        is_sorted.then_some(Self {
            pack: ObjectId::from_bytes(*pack),
            places,
        })
    }
}

impl Repository {
    /// The packs that were packed anew, and of which something tells where their chunks went.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn moved_packs(&self) -> Result<BTreeSet<ObjectId>> {
        let listed = self.shelf().list(DIR)?.into_iter();
        Ok(listed
            .filter_map(|one| one.key.last().parse().ok())
            .collect())
    }

    /// Where the chunks of a pack went, and what that state of the object is told by.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not packed anew; [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn read_moved(&self, pack: &ObjectId) -> Result<(Moved, Tag)> {
        let (bytes, tag) = self.shelf().get(&key_of(pack))?;
        Ok((self.open_moved(pack, &bytes)?, tag))
    }

    fn open_moved(&self, pack: &ObjectId, bytes: &[u8]) -> Result<Moved> {
        let key = key_of(pack);
        let (_, body) = open_whole(self.master(), Kind::Moved, &key, bytes)?;
        let moved = Moved::decode(&body);
        let moved = moved.ok_or_else(|| Error::damaged(&key, "it cannot be read"))?;
        if moved.pack != *pack {
            return Err(Error::damaged(&key, "it is of another pack"));
        }
        Ok(moved)
    }

    /// Where the chunks of a pack went that is gone: what is told of that does not change any more, and is kept in `dir` as
    /// it was stored.
    ///
    /// # Errors
    /// Those of [`Self::read_moved`]; [`Error::Host`].
    pub fn keep_moved(&self, pack: &ObjectId, dir: &Path) -> Result<Moved> {
        let dir = dir.join(DIR);
        let path = dir.join(pack.to_string());
        let kept = fs::read(&path).ok();
        // What is no longer whole is fetched again.
        if let Some(moved) = kept.and_then(|bytes| self.open_moved(pack, &bytes).ok()) {
            return Ok(moved);
        }
        let (bytes, _) = self.shelf().get(&key_of(pack))?;
        let moved = self.open_moved(pack, &bytes)?;
        let stored = fs::create_dir_all(&dir).and_then(|()| durable::replace_file(&path, &bytes));
        stored.map_err(|e| Error::host(format!("keep {}", path.display()), e))?;
        Ok(moved)
    }

    /// Removes what is kept in `dir` of packs of which nothing tells any more.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn forget_kept_moves(dir: &Path, told: &BTreeSet<ObjectId>) -> Result<()> {
        let dir = dir.join(DIR);
        let cannot = |e| Error::host(format!("clean up {}", dir.display()), e);
        let entries = match fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(cannot)?,
        };
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if !name.parse().is_ok_and(|id| told.contains(&id)) {
                // Another may have done the same.
                drop(fs::remove_file(&path));
            }
        }
        Ok(())
    }

    /// Where the chunks of a pack went that is gone; `None` when nothing tells.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn moved_from(&self, pack: &ObjectId) -> Result<Option<Arc<Moved>>> {
        if let Some(known) = self.moves().get(pack) {
            return Ok(Some(known));
        }
        match self.read_moved(pack) {
            Ok((moved, _)) => {
                let moved = Arc::new(moved);
                self.moves().keep(&moved);
                Ok(Some(moved))
            }
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was read before of it, without a request.
    pub(super) fn known_moved(&self, pack: &ObjectId) -> Option<Arc<Moved>> {
        self.moves().get(pack)
    }

    /// Tells where the chunks of a pack are, in the place of what `before` tells, if there was something.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Changed`] when another has told meanwhile, where the store decides that; see
    /// [`super::Shelf`].
    pub fn put_moved(&self, moved: &Moved, before: Option<&Tag>) -> Result<()> {
        let key = key_of(&moved.pack);
        let (_, bytes) = seal_whole(self.master(), Kind::Moved, moved.encode())?;
        let stored = match before {
            None if self.creates() => self.shelf().create(&key, bytes.into()).map(drop),
            Some(tag) if self.keeps_tags() => {
                self.shelf().replace(&key, bytes.into(), tag).map(drop)
            }
            None | Some(_) => self.shelf().put(&key, bytes.into()),
        };
        match stored {
            // The answer of a first try may have been lost: nobody else draws the same new packs.
            Err(error @ (Error::Exists { .. } | Error::Changed { .. })) => {
                let is_this = self.read_moved(&moved.pack)?.0 == *moved;
                if is_this { Ok(()) } else { Err(error) }
            }
            stored => stored,
        }
    }

    /// Nothing names the pack any more.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn delete_moved(&self, pack: &ObjectId) -> Result<()> {
        self.shelf().delete(&key_of(pack))
    }
}

fn key_of(pack: &ObjectId) -> Key {
    Key::new(format!("{DIR}/{pack}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
