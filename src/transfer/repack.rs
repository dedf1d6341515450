//! Packs of which little is needed, packed anew: what is needed goes into new packs as it is stored, and the old ones may
//! go when it is told where that is.
//!
//! Nothing is removed here. In this order, so that it can be broken off after each request: the new packs, an index object
//! for them, where the chunks of each old pack went. Whoever finds an old pack uses it, and whoever does not finds the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Result;
use super::live::Live;
use crate::remote::{
    self, Moved, ObjectId, PackBuilder, Place, Repository, Tag, open_stored, store_index,
};
use crate::types::ChunkHash;

/// Chunks that are moved before old packs go: what is known of them is held in memory.
const CHUNKS_MAX: usize = 100_000;

/// Packs that are packed anew.
#[derive(Debug)]
pub(super) struct Repacking<'a> {
    repository: &'a Repository,
    /// The packs that were there when it was looked.
    there: &'a BTreeMap<ObjectId, u64>,
    pack: PackBuilder,
    /// What is in no index object yet.
    fresh: HashMap<ChunkHash, Place>,
    /// What was moved, and the state of what is told of that already.
    told_later: Vec<(Moved, Option<Tag>)>,
    done: Vec<ObjectId>,
    /// Bytes of the new packs.
    bytes: u64,
}

impl<'a> Repacking<'a> {
    pub(super) fn begin(
        repository: &'a Repository,
        there: &'a BTreeMap<ObjectId, u64>,
    ) -> Result<Self> {
        Ok(Self {
            repository,
            there,
            pack: PackBuilder::begin(repository.master())?,
            fresh: HashMap::new(),
            told_later: Vec::new(),
            done: Vec::new(),
            bytes: 0,
        })
    }

    /// Bytes of new packs so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Moves the chunks of a pack that are needed. A pack that is damaged stays as it is.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    pub(super) fn take(
        &mut self,
        id: &ObjectId,
        live: &Live,
        told: &BTreeSet<ObjectId>,
    ) -> Result<()> {
        let before = if told.contains(id) {
            self.read_before(id)?
        } else {
            None
        };
        let mut places = before
            .as_ref()
            .map_or_else(Vec::new, |(moved, _)| self.there_of(moved, live));
        if before.is_some() && places.len() >= live.count() {
            // One that was killed came so far.
            self.done.push(*id);
            return Ok(());
        }
        match self.move_chunks(id, live, &mut places) {
            Ok(()) => {
                let before = before.map(|(_, tag)| tag);
                self.told_later.push((Moved::of(*id, places), before));
            }
            Err(super::Error::Remote(error @ remote::Error::Damaged { .. })) => {
                log::warn!("{error}: what nobody needs of it stays");
            }
            Err(super::Error::Remote(remote::Error::Missing { .. })) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What a collection that was killed has told of a pack.
    fn read_before(&self, id: &ObjectId) -> Result<Option<(Moved, Tag)>> {
        match self.repository.read_moved(id) {
            Ok(told) => Ok(Some(told)),
            Err(remote::Error::Missing { .. }) => Ok(None),
            // The pack is there: nobody needs what was told of it.
            Err(remote::Error::Damaged { .. }) => {
                self.repository.delete_moved([id])?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The needed chunks of a pack that were moved before, and are there.
    fn there_of(&self, moved: &Moved, live: &Live) -> Vec<(u32, Place)> {
        let is_there = |(piece, place): &&(u32, Place)| {
            live.has(*piece) && self.there.contains_key(&place.pack)
        };
        moved.places().iter().filter(is_there).copied().collect()
    }

    /// Moves those that are not among `places`, and adds them.
    fn move_chunks(
        &mut self,
        id: &ObjectId,
        live: &Live,
        places: &mut Vec<(u32, Place)>,
    ) -> Result<()> {
        let (chunks, bytes) = self.repository.get_pack(id)?;
        let master = self.repository.master();
        let moved: BTreeSet<u32> = places.iter().map(|(piece, _)| *piece).collect();
        let left = |piece| live.has(piece) && !moved.contains(&piece);
        let needed = chunks.iter().filter(|chunk| left(chunk.place.piece));
        // All of them before the first is moved: of a damaged pack none is.
        let stored = needed.map(|chunk| {
            let at = chunk.place.offset as usize;
            let sealed = bytes.get(at..at + chunk.place.sealed_len());
            let stored = open_stored(master, &chunk.place, sealed.unwrap_or_default())?;
            Ok((chunk, stored))
        });
        let stored = stored.collect::<remote::Result<Vec<_>>>()?;
        if moved.len() + stored.len() < live.count() {
            return Err(super::Error::Remote(remote::Error::Damaged {
                object: format!("pack {id}"),
                what: "it has other chunks than are needed".to_owned(),
            }));
        }
        for (chunk, stored) in stored {
            let place = match self.fresh.get(&chunk.hash) {
                // Two pushes at once have sent it.
                Some(place) => *place,
                None => self.move_chunk(chunk.hash, stored, &chunk.place)?,
            };
            places.push((chunk.place.piece, place));
        }
        Ok(())
    }

    fn move_chunk(&mut self, hash: ChunkHash, stored: Vec<u8>, old: &Place) -> Result<Place> {
        let place = self
            .pack
            .push_stored(hash, stored, (old.len, old.packing))?;
        self.fresh.insert(hash, place);
        if self.pack.is_full() {
            self.end_pack()?;
        }
        Ok(place)
    }

    fn end_pack(&mut self) -> Result<()> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let fresh = PackBuilder::begin(self.repository.master())?;
        let mut sealed = std::mem::replace(&mut self.pack, fresh).finish()?;
        self.bytes += sealed.bytes.len() as u64;
        Ok(self.repository.put_pack(&mut sealed)?)
    }

    /// Whether it is time for [`Self::tell`].
    pub(super) fn is_full(&self) -> bool {
        self.fresh.len() >= CHUNKS_MAX
    }

    /// Stores what was moved, and tells where it is; the old packs, which may go.
    ///
    /// # Errors
    /// [`super::Error::Remote`]; [`remote::Error::Exists`] and [`remote::Error::Changed`] when another collection is
    /// under way.
    pub(super) fn tell(&mut self) -> Result<BTreeSet<ObjectId>> {
        self.end_pack()?;
        if !self.fresh.is_empty() {
            store_index(self.repository, &self.fresh)?;
            self.fresh.clear();
        }
        for (moved, before) in std::mem::take(&mut self.told_later) {
            self.repository.put_moved(&moved, before.as_ref())?;
            self.done.push(*moved.pack());
        }
        Ok(std::mem::take(&mut self.done).into_iter().collect())
    }
}
