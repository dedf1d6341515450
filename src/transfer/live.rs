//! What a repository needs, by what its snapshots and pins name: runs, packs, and which pieces of each pack.
//!
//! A piece takes a bit, so that of a terabyte it is some MiB. What was moved is needed at both places, as far as they are
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Error, Result};
use crate::remote::{
    self, Chain, Levels, Moved, ObjectId, PACK_FRAME_BYTES, Place, PushState, Repository, Row,
    Tables, Unread,
};

/// From so many bytes that nobody needs a pack is packed anew: what tells where its chunks went takes some as well.
const DEAD_MIN: u64 = 4096;

/// A sealed piece takes so many bytes at least.
const PIECE_MIN: u64 = 17;

/// Which pieces of a pack are needed.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// By piece, 64 in each.
    bits: Vec<u64>,
    /// Bytes that they take in the pack.
    bytes: u64,
    /// Nobody can tell which: a block that names them is damaged.
    is_unknown: bool,
}

/// What is needed.
#[derive(Debug, Default)]
pub(super) struct Needed {
    pub(super) runs: BTreeSet<ObjectId>,
    pub(super) packs: BTreeMap<ObjectId, Live>,
    /// Packs of which something tells where their chunks went, needed or not.
    pub(super) moved: BTreeSet<ObjectId>,
}

impl Live {
    /// Takes a place in; whether it was not.
    fn take(&mut self, place: &Place) -> bool {
        // No pack has so many pieces before that one: what says so would take more than a bit for each.
        if u64::from(place.piece) > u64::from(place.offset) / PIECE_MIN {
            return self.take_all();
        }
        let (word, bit) = (place.piece as usize / 64, 1 << (place.piece % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let is_new = self.bits[word] & bit == 0;
        if is_new {
            self.bits[word] |= bit;
            self.bytes += place.packed_len();
        }
        is_new
    }

    fn take_all(&mut self) -> bool {
        !std::mem::replace(&mut self.is_unknown, true)
    }

    /// Whether a piece is needed.
    pub(super) fn has(&self, piece: u32) -> bool {
        let word = self.bits.get(piece as usize / 64);
        self.is_unknown || word.is_some_and(|word| word & (1 << (piece % 64)) != 0)
    }

    /// How many pieces are.
    pub(super) fn count(&self) -> usize {
        self.bits
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether it is known which are.
    pub(super) const fn is_known(&self) -> bool {
        !self.is_unknown
    }

    /// Bytes of a pack, which is so long, that nobody needs.
    pub(super) const fn dead_bytes(&self, pack_bytes: u64) -> u64 {
        if self.is_unknown {
            return 0;
        }
        pack_bytes.saturating_sub(PACK_FRAME_BYTES + self.bytes)
    }

    /// Whether less than half of a pack, which is so long, is needed.
    pub(super) const fn is_sparse(&self, pack_bytes: u64) -> bool {
        let dead = self.dead_bytes(pack_bytes);
        dead > self.bytes && dead >= DEAD_MIN
    }
}

impl Needed {
    /// What the published snapshots need, and those that were and whose volumes are not whole yet; each run is read once.
    /// `there` are packs that were there before this was asked; `cache` is where this
    /// host keeps what it knows of the repository.
    ///
    /// # Errors
    /// [`super::Error::Remote`], also of what is damaged, as far as it hides what is needed.
    pub(super) fn of(
        (repository, cache): (&Repository, &Path),
        there: &BTreeMap<ObjectId, u64>,
    ) -> Result<Self> {
        let mut needed = Self::default();
        let all = repository.all_snapshots()?.into_iter().map(|(one, _)| one);
        let published = all.filter(|one| one.state == PushState::Published);
        let published: Vec<_> = published.map(|one| (one, ())).collect();
        for chain in Chain::of_all(&published) {
            needed.take_chain(repository, &chain)?;
        }
        let known: Vec<_> = published.iter().map(|(one, ())| one.levels()).collect();
        for snapshot in repository.pins()?.needed {
            // Most are of snapshots that are there.
            if known.contains(&snapshot.levels()) {
                continue;
            }
            let name = snapshot.name.clone();
            let chains = Chain::of_all(&[(snapshot, ())]);
            match chains
                .iter()
                .try_for_each(|chain| needed.take_chain(repository, chain))
            {
                // It had ended, what it needs was removed, and its host came back.
                Err(Error::Remote(remote::Error::Missing { object })) => {
                    log::warn!("a pin of snapshot {name} needs {object}, which is gone");
                }
                taken => taken?,
            }
        }
        needed.moved = repository.moved_packs()?;
        needed.follow((repository, cache), there)?;
        Repository::forget_kept_moves(cache, &needed.moved)?;
        Ok(needed)
    }

    /// Takes in what the snapshots of a chain name: not what only rows name in whose place others came in all of them.
    fn take_chain(&mut self, repository: &Repository, chain: &Chain<()>) -> Result<()> {
        self.runs.extend(chain.runs());
        let mut levels = Levels::of(repository, &chain.levels, Tables::Extents);
        let mut unknown = BTreeSet::new();
        let mut unread = |unread: Unread<'_>| match (unread.error, unread.packs) {
            // A collection removes nothing that may be needed, and need not know more. What lies below counts as seen.
            (remote::Error::Damaged { .. }, Some(packs)) => {
                unknown.extend(packs.iter().copied());
                Ok(())
            }
            (error, _) => Err(error),
        };
        while let Some(told) = levels.next(&mut unread)? {
            for (row, _, _) in chain.seen(told) {
                self.take_row(&row);
            }
        }
        for pack in unknown {
            self.packs.entry(pack).or_default().take_all();
        }
        Ok(())
    }

    fn take_row(&mut self, row: &Row) {
        if let Row::Extent(extent) = row {
            self.packs
                .entry(extent.place.pack)
                .or_default()
                .take(&extent.place);
        }
    }

    /// Goes on to where chunks are now: in the order in which they were moved, as often as that is.
    fn follow(
        &mut self,
        (repository, cache): (&Repository, &Path),
        there: &BTreeMap<ObjectId, u64>,
    ) -> Result<()> {
        let is_named = |id: &&ObjectId| self.packs.contains_key(id);
        let mut waiting: Vec<ObjectId> = self.moved.iter().filter(is_named).copied().collect();
        while let Some(id) = waiting.pop() {
            if there.contains_key(&id) {
                // Not for good: a collection was killed before the pack went, which loses nothing.
                match repository.read_moved(&id) {
                    Ok((moved, _)) => waiting.extend(self.take_moved(&moved)),
                    Err(remote::Error::Damaged { .. } | remote::Error::Missing { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            } else {
                match repository.keep_moved(&id, cache) {
                    Ok(moved) => waiting.extend(self.take_moved(&moved)),
                    Err(remote::Error::Missing { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Takes in where the needed chunks of a pack are; packs of which more is needed now, and that were moved as well.
    fn take_moved(&mut self, moved: &Moved) -> BTreeSet<ObjectId> {
        let mut more = BTreeSet::new();
        let Some(old) = self.packs.remove(moved.pack()) else {
            return more;
        };
        for (piece, place) in moved.places() {
            let is_new = old.has(*piece) && self.packs.entry(place.pack).or_default().take(place);
            if is_new && self.moved.contains(&place.pack) {
                more.insert(place.pack);
            }
        }
        self.packs.insert(*moved.pack(), old);
        more
    }
}
