//! A repository that is open: its store, its key, and the objects that have a name of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ability::Replacing;
use super::keys::{self, KeySource};
use super::object::{Kind, ObjectId, open_whole, seal_whole};
use super::pack::{SealedPack, chunks_of, pack_key};
use super::run::run_key;
use super::seal::MasterKey;
use super::shelf::paced::Paced;
use super::shelf::persistent::Persistent;
use super::shelf::{Key, Shelf, Tag};
use super::snapshot::{PushState, RemoteSnapshot, SNAPSHOTS, dir_of};
use super::{Ability, Error, Found, PackedChunk, Place, PublishedRun, Result};
use crate::types::VolumeId;

/// The format of a repository that this cask writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// What says that there is a repository.
const MARK: &str = "cask.json";

/// The mark, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    format: u32,
    repository: VolumeId,
}

/// What a volume is called, where it was pushed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAbout {
    /// Which volume.
    pub volume: VolumeId,
    /// Its name.
    pub name: String,
    /// The host.
    pub host: String,
}

/// An open repository.
#[derive(Debug, Clone)]
pub struct Repository {
    shelf: Arc<dyn Shelf>,
    master: MasterKey,
    id: VolumeId,
    ability: Ability,
}

impl Repository {
    /// Makes a repository in a store that has none, which `source` opens.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one; see [`Shelf`].
    pub fn create(shelf: Arc<dyn Shelf>, source: &KeySource) -> Result<Self> {
        Self::create_in(shelf, Ability::FULL, source)
    }

    /// As [`Self::create`], in a store that can do less.
    ///
    /// # Errors
    /// See there.
    pub fn create_in(shelf: Arc<dyn Shelf>, ability: Ability, source: &KeySource) -> Result<Self> {
        source.check()?;
        if mark(&*shelf)?.is_some() {
            return Err(Error::Exists {
                object: MARK.to_owned(),
            });
        }
        let (id, master) = (VolumeId::random(), MasterKey::random()?);
        // The key first: what has a mark can be opened. One whose mark another was faster to write opens nothing.
        keys::add(&*shelf, id, &master, source)?;
        let found = Mark {
            format: FORMAT,
            repository: id,
        };
        let bytes = serde_json::to_vec_pretty(&found).map_err(|e| Error::Bug(e.to_string()))?;
        let key = Key::new(MARK);
        if ability.creates {
            shelf.create(&key, bytes)?;
        } else {
            shelf.put(&key, bytes)?;
        }
        Ok(Self {
            shelf,
            master,
            id,
            ability,
        })
    }

    /// Opens the repository in a store with what a user gives.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongKey`], [`Error::Newer`]; see [`Shelf`].
    pub fn unlock(shelf: Arc<dyn Shelf>, ability: Ability, source: &KeySource) -> Result<Self> {
        let found = mark(&*shelf)?;
        let found = found.ok_or_else(|| Error::NoRepository("the store".to_owned()))?;
        let master = keys::find(&*shelf, found.repository, source)?;
        Ok(Self {
            shelf,
            master,
            id: found.repository,
            ability,
        })
    }

    /// Opens a repository that is known.
    ///
    /// # Errors
    /// [`Error::OtherRepository`], [`Error::NoRepository`], [`Error::Newer`]; see [`Shelf`].
    pub fn open(
        shelf: Arc<dyn Shelf>,
        ability: Ability,
        id: VolumeId,
        master: MasterKey,
    ) -> Result<Self> {
        let found = mark(&*shelf)?;
        let found = found.ok_or_else(|| Error::NoRepository("the store".to_owned()))?;
        if found.repository != id {
            return Err(Error::OtherRepository {
                found: found.repository.to_string(),
                known: id.to_string(),
            });
        }
        Ok(Self {
            shelf,
            master,
            id,
            ability,
        })
    }

    /// The same, which sends no more than so many bytes a second.
    #[must_use]
    pub fn paced(mut self, bytes_a_second: u64) -> Self {
        self.shelf = Arc::new(Paced::new(self.shelf, bytes_a_second));
        self
    }

    /// The same, which asks again until then when the store cannot be reached.
    #[must_use]
    pub fn persistent(mut self, until: Instant) -> Self {
        self.shelf = Arc::new(Persistent::new(self.shelf, until));
        self
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> VolumeId {
        self.id
    }

    /// Its key.
    #[must_use]
    pub const fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Its store.
    #[must_use]
    pub fn shelf(&self) -> &dyn Shelf {
        &*self.shelf
    }

    /// Lets one more passphrase or key file open it.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn add_key(&self, source: &KeySource) -> Result<()> {
        source.check()?;
        keys::add(&*self.shelf, self.id, &self.master, source)
    }

    /// Stores a pack.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn put_pack(&self, pack: &mut SealedPack) -> Result<()> {
        let bytes = std::mem::take(&mut pack.bytes);
        self.shelf.put(&pack_key(&pack.id), bytes)
    }

    /// Stores a run.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn put_run(&self, id: ObjectId, bytes: Vec<u8>) -> Result<PublishedRun> {
        let len = bytes.len() as u64;
        self.shelf.put(&run_key(&id), bytes)?;
        Ok(PublishedRun { id, bytes: len })
    }

    /// A part of a pack that holds these chunks, whose places follow each other: from the first to the last.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`] when it is too short; see [`Shelf`].
    pub fn get_chunks(&self, first: &Place, last: &Place) -> Result<Vec<u8>> {
        let key = pack_key(&first.pack);
        let end = u64::from(last.offset) + last.sealed_len() as u64;
        let bytes = self.shelf.get_range(&key, first.offset.into()..end)?;
        if bytes.len() as u64 != end - u64::from(first.offset) {
            return Err(Error::damaged(&key, "it is shorter than was stored"));
        }
        Ok(bytes)
    }

    /// What is in a pack, by its trailer.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`]; see [`Shelf`].
    pub fn get_pack(&self, id: &ObjectId) -> Result<(Vec<PackedChunk>, Vec<u8>)> {
        let (bytes, _) = self.shelf.get(&pack_key(id))?;
        Ok((chunks_of(&self.master, id, &bytes)?, bytes))
    }

    /// All packs, with how long they are.
    ///
    /// # Errors
    /// [`Error::Damaged`] when there is something else among them; see [`Shelf`].
    pub fn packs(&self) -> Result<BTreeMap<ObjectId, u64>> {
        let listed = self.shelf.list("pack")?.into_iter();
        let packs = listed.map(|one| match one.key.last().parse() {
            Ok(id) => Ok((id, one.bytes)),
            Err(error) => Err(Error::damaged(&one.key, error)),
        });
        packs.collect()
    }

    /// Says what a volume is called.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn put_about(&self, about: &VolumeAbout) -> Result<()> {
        let body = serde_json::to_vec(about).map_err(|e| Error::Bug(e.to_string()))?;
        let (_, bytes) = seal_whole(&self.master, Kind::About, body)?;
        self.shelf.put(&about_key(about.volume), bytes)
    }

    /// What the volumes that were pushed are called.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn volumes(&self) -> Result<Found<VolumeAbout>> {
        let mut found = Found::new();
        for listed in self.shelf.list("vol")? {
            found.take(self.about(&listed.key))?;
        }
        Ok(found)
    }

    fn about(&self, key: &Key) -> Result<VolumeAbout> {
        let (bytes, _) = self.shelf.get(key)?;
        let (_, body) = open_whole(&self.master, Kind::About, key, &bytes)?;
        let about: VolumeAbout =
            serde_json::from_slice(&body).map_err(|e| Error::damaged(key, e))?;
        if about_key(about.volume) != *key {
            return Err(Error::damaged(key, "it is about another volume"));
        }
        Ok(about)
    }

    /// All volumes that have snapshots, whether it is known what they are called or not.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn pushed(&self) -> Result<BTreeSet<VolumeId>> {
        let listed = self.shelf.list(SNAPSHOTS)?;
        let parts = listed
            .iter()
            .filter_map(|one| one.key.as_str().split('/').nth(1));
        Ok(parts.filter_map(|part| part.parse().ok()).collect())
    }

    /// All snapshots of a volume, the oldest first, also those whose push has not ended.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn snapshots(&self, volume: VolumeId) -> Result<Found<RemoteSnapshot>> {
        let mut found = Found::new();
        for listed in self.shelf.list(&dir_of(volume))? {
            let read = self.shelf.get(&listed.key);
            found.take(
                read.and_then(|(bytes, _)| RemoteSnapshot::open(&self.master, &listed.key, &bytes)),
            )?;
        }
        let snapshots = &mut found.whole;
        snapshots.sort_by(|a, b| (a.created, &a.started).cmp(&(b.created, &b.started)));
        Ok(found)
    }

    /// Which index objects cannot be read: without them pushes fail.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn damaged_indexes(&self) -> Result<Vec<Error>> {
        let mut found = Found::new();
        for listed in self.shelf.list("index")? {
            found.take(self.look_at_index(&listed.key))?;
        }
        Ok(found.damaged)
    }

    fn look_at_index(&self, key: &Key) -> Result<()> {
        let (bytes, _) = self.shelf.get(key)?;
        let (id, _) = open_whole(&self.master, Kind::Index, key, &bytes)?;
        if id.to_string() != key.last() {
            return Err(Error::damaged(key, "it is another index"));
        }
        Ok(())
    }

    /// Says that a snapshot is being pushed. The tag is what [`Self::publish`] needs.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn intend(&self, snapshot: &RemoteSnapshot) -> Result<Tag> {
        debug_assert_eq!(snapshot.state, PushState::Pending, "it is not there yet");
        let bytes = snapshot.seal(&self.master)?;
        if self.ability.creates {
            match self.shelf.create(&snapshot.key(), bytes) {
                // The answer of a first try was lost: nobody else has that name.
                Err(Error::Exists { .. }) => return Ok(self.read(snapshot)?.1),
                created => return created,
            }
        }
        // Its name is random: nobody else has it.
        self.shelf.put(&snapshot.key(), bytes)?;
        Ok(Tag(String::new()))
    }

    /// Lets all see a snapshot, unless somebody has ended its push.
    ///
    /// # Errors
    /// [`Error::Changed`] then; see [`Shelf`].
    pub fn publish(&self, snapshot: &RemoteSnapshot, tag: &Tag) -> Result<()> {
        let bytes = snapshot.seal(&self.master)?;
        if self.ability.replaces == Replacing::Never || tag.0.is_empty() {
            return self.shelf.put(&snapshot.key(), bytes);
        }
        match self.shelf.replace(&snapshot.key(), bytes, tag) {
            // The answer of a first try may have been lost.
            Err(Error::Changed { object }) => match self.read(snapshot)? {
                (found, _) if found == *snapshot => Ok(()),
                _ => Err(Error::Changed { object }),
            },
            replaced => replaced.map(drop),
        }
    }

    fn read(&self, snapshot: &RemoteSnapshot) -> Result<(RemoteSnapshot, Tag)> {
        let key = snapshot.key();
        let (bytes, tag) = self.shelf.get(&key)?;
        Ok((RemoteSnapshot::open(&self.master, &key, &bytes)?, tag))
    }

    /// Removes what a push that was given up has said.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn withdraw(&self, snapshot: &RemoteSnapshot) -> Result<()> {
        self.shelf.delete(&snapshot.key())
    }
}

fn about_key(volume: VolumeId) -> Key {
    Key::new(format!("vol/{volume}/about"))
}

fn mark(shelf: &dyn Shelf) -> Result<Option<Mark>> {
    let key = Key::new(MARK);
    let bytes = match shelf.get(&key) {
        Err(Error::Missing { .. }) => return Ok(None),
        got => got?.0,
    };
    let found: Mark = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&key, e))?;
    if found.format > FORMAT {
        return Err(Error::Newer {
            object: MARK.to_owned(),
            found: found.format,
            known: FORMAT,
        });
    }
    Ok(Some(found))
}
