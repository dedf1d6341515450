//! A repository that is open: its store, its key, and the objects that have a name of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::ability::Replacing;
use super::at_once::ask_each;
use super::kept_snapshots::KeptSnapshots;
use super::keys::{self, KeyId, KeySource, StoredKey};
use super::moved::Moves;
use super::object::{Kind, ObjectId, open_whole, seal_whole};
use super::pack::{SealedPack, chunks_of, pack_key};
use super::run::run_key;
use super::seal::MasterKey;
use super::shelf::paced::Paced;
use super::shelf::persistent::Persistent;
use super::shelf::{Key, Shelf};
use super::{Ability, Error, Found, PackedChunk, Place, PublishedRun, Result};
use crate::types::VolumeId;

/// The format of a repository that this cask writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// What tells of a volume.
const ABOUT: &str = "about";
/// Where snapshots are kept that were read.
const SNAPSHOTS_KEPT: &str = "snapshots";
/// What says that there is a repository.
const MARK: &str = "cask.json";

/// The mark, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    format: u32,
    repository: VolumeId,
}

/// What every version of the mark says.
#[derive(Debug, Deserialize)]
struct Versioned {
    format: u32,
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
    moves: Arc<Moves>,
    /// Snapshots that this host has read before.
    kept: Option<Arc<KeptSnapshots>>,
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
        let own = keys::add(&*shelf, id, &master, source)?;
        let found = Mark {
            format: FORMAT,
            repository: id,
        };
        let bytes = serde_json::to_vec_pretty(&found).map_err(|e| Error::Bug(e.to_string()))?;
        let key = Key::new(MARK);
        if ability.creates {
            let created = shelf.create(&key, bytes.into());
            if matches!(created, Err(Error::Exists { .. })) {
                own.discard(&*shelf);
            }
            created?;
        } else {
            shelf.put(&key, bytes.into())?;
        }
        Ok(Self {
            shelf,
            master,
            id,
            ability,
            moves: Arc::default(),
            kept: None,
        })
    }

    /// Opens the repository in a store with what a user gives.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::WrongKey`], [`Error::Newer`]; see [`Shelf`].
    pub fn unlock(shelf: Arc<dyn Shelf>, ability: Ability, source: &KeySource) -> Result<Self> {
        let found = mark(&*shelf)?;
        let found = found.ok_or_else(|| Error::NoRepository("the store".to_owned()))?;
        let (_, master) = keys::find(&*shelf, found.repository, source)?;
        Ok(Self {
            shelf,
            master,
            id: found.repository,
            ability,
            moves: Arc::default(),
            kept: None,
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
            moves: Arc::default(),
            kept: None,
        })
    }

    /// The same, which keeps snapshots that it reads below `cache`, and does not fetch them again.
    #[must_use]
    pub(super) fn keeping(mut self, cache: &Path) -> Self {
        self.kept = Some(Arc::new(KeptSnapshots::in_dir(cache.join(SNAPSHOTS_KEPT))));
        self
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

    /// What was read last of where chunks went.
    pub(super) fn moves(&self) -> &Moves {
        &self.moves
    }

    /// The snapshots that this host has read before.
    pub(super) fn kept(&self) -> Option<&KeptSnapshots> {
        self.kept.as_deref()
    }

    /// Its store.
    #[must_use]
    pub fn shelf(&self) -> &dyn Shelf {
        &*self.shelf
    }

    /// Lets one more passphrase or key file open it.
    ///
    /// # Errors
    /// [`Error::Setting`] of what protects nothing; see [`Shelf`].
    pub fn add_key(&self, source: &KeySource) -> Result<KeyId> {
        source.check()?;
        keys::add(&*self.shelf, self.id, &self.master, source)
    }

    /// All keys, and why some cannot be used.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn keys(&self) -> Result<Found<StoredKey>> {
        keys::all(&*self.shelf, self.id, &self.master)
    }

    /// Which key `source` opens.
    ///
    /// # Errors
    /// [`Error::WrongKey`], [`Error::Newer`] when it opens none; [`Error::Damaged`]; see [`Shelf`].
    pub fn key_of(&self, source: &KeySource) -> Result<KeyId> {
        let (key, _) = keys::find(&*self.shelf, self.id, source)?;
        KeyId::of(&key)
    }

    /// Removes a key, unless no other opens the repository. Hosts that have used it go on: they have the master key.
    ///
    /// # Errors
    /// [`Error::LastKey`]; [`Error::NotThere`]; see [`Shelf`].
    pub fn remove_key(&self, id: &KeyId) -> Result<()> {
        keys::remove(&*self.shelf, self.id, &self.master, id)
    }

    /// Stores a pack.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn put_pack(&self, pack: &mut SealedPack) -> Result<()> {
        let bytes = std::mem::take(&mut pack.bytes);
        self.shelf.put(&pack_key(&pack.id), bytes.into())
    }

    /// Stores a run.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn put_run(&self, id: ObjectId, bytes: Vec<u8>) -> Result<PublishedRun> {
        let len = bytes.len() as u64;
        self.shelf.put(&run_key(&id), bytes.into())?;
        Ok(PublishedRun { id, bytes: len })
    }

    /// A part of a pack that holds these chunks, whose places follow each other: from the first to the last.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`] when it is too short; see [`Shelf`].
    pub(super) fn get_chunks(&self, first: &Place, last: &Place) -> Result<Vec<u8>> {
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
    /// See [`Shelf`].
    pub fn packs(&self) -> Result<BTreeMap<ObjectId, u64>> {
        self.ids("pack")
    }

    fn ids(&self, dir: &str) -> Result<BTreeMap<ObjectId, u64>> {
        let listed = self.shelf.list(dir)?.into_iter();
        // What others have put there is none of ours.
        let found = listed.filter_map(|one| Some((one.key.last().parse().ok()?, one.bytes)));
        Ok(found.collect())
    }

    /// Says what a volume is called.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn put_about(&self, about: &VolumeAbout) -> Result<()> {
        let body = serde_json::to_vec(about).map_err(|e| Error::Bug(e.to_string()))?;
        let (_, bytes) = seal_whole(&self.master, Kind::About, body)?;
        self.shelf.put(&about_key(about.volume), bytes.into())
    }

    /// All volumes that were pushed. One of which nothing says what it is called has the name that its snapshots tell.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn volumes(&self) -> Result<Found<VolumeAbout>> {
        let pushed = self.pushed()?;
        let mut found = self.abouts()?;
        let named: BTreeSet<VolumeId> = found.whole.iter().map(|one| one.volume).collect();
        for volume in pushed.difference(&named) {
            let newest = self.snapshots(*volume)?.whole.pop();
            found.whole.extend(newest.map(|one| VolumeAbout {
                volume: *volume,
                name: one.volume_name,
                host: one.host,
            }));
        }
        Ok(found)
    }

    /// What is said of volumes, and what of that cannot be read.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn abouts(&self) -> Result<Found<VolumeAbout>> {
        let mut found = Found::new();
        let mut listed = self.shelf.list("vol")?;
        listed.retain(|one| one.key.last() == ABOUT);
        for read in ask_each(&*self.shelf, &listed, |one| self.read_about(&one.key)) {
            found.take(read)?;
        }
        Ok(found)
    }

    /// What is said of one volume.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Newer`]; see [`Shelf`].
    pub fn about(&self, volume: VolumeId) -> Result<VolumeAbout> {
        self.read_about(&about_key(volume))
    }

    fn read_about(&self, key: &Key) -> Result<VolumeAbout> {
        let (bytes, _) = self.shelf.get(key)?;
        let (_, body) = open_whole(&self.master, Kind::About, key, &bytes)?;
        let about: VolumeAbout =
            serde_json::from_slice(&body).map_err(|e| Error::damaged(key, e))?;
        if about_key(about.volume) != *key {
            return Err(Error::damaged(key, "it is about another volume"));
        }
        Ok(about)
    }

    /// Whether the credentials allow to delete: those of a host that only pushes need not (S3 answers alike whether the
    /// object is there or not: AWS S3 API reference, DeleteObject).
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn may_delete(&self) -> Result<bool> {
        match self.shelf.delete(&Key::new("probe/delete")) {
            Err(Error::Denied { .. }) => Ok(false),
            deleted => deleted.map(|()| true),
        }
    }

    /// Whether the store creates an object only where there is none.
    pub(super) const fn creates(&self) -> bool {
        self.ability.creates
    }

    /// Whether the store replaces an object only as it was.
    #[must_use]
    pub fn keeps_tags(&self) -> bool {
        self.ability.replaces != Replacing::Never
    }

    /// All runs, with how long they are.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn runs(&self) -> Result<BTreeMap<ObjectId, u64>> {
        self.ids("run")
    }

    /// Removes packs that nothing names.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn delete_packs(&self, ids: &[ObjectId]) -> Result<()> {
        let keys: Vec<_> = ids.iter().map(pack_key).collect();
        self.shelf.delete_all(&keys)
    }

    /// Removes runs that nothing names.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn delete_runs(&self, ids: &[ObjectId]) -> Result<()> {
        let keys: Vec<_> = ids.iter().map(run_key).collect();
        self.shelf.delete_all(&keys)
    }

    /// The present time by the store's clock, in seconds since 1970.
    ///
    /// # Errors
    /// See [`Shelf`].
    pub fn time(&self) -> Result<i64> {
        let key = Key::new(format!("probe/{}", ObjectId::random()?));
        self.shelf.put(&key, b"time".to_vec().into())?;
        let listed = self.shelf.list("probe")?;
        self.shelf.delete(&key)?;
        let found = listed.into_iter().find(|one| one.key == key);
        let found =
            found.ok_or_else(|| Error::Unfit("what was stored is in no list".to_owned()))?;
        Ok(found.modified)
    }
}

fn about_key(volume: VolumeId) -> Key {
    Key::new(format!("vol/{volume}/{ABOUT}"))
}

fn mark(shelf: &dyn Shelf) -> Result<Option<Mark>> {
    let key = Key::new(MARK);
    let bytes = match shelf.get(&key) {
        Err(Error::Missing { .. }) => return Ok(None),
        got => got?.0,
    };
    let damaged = |e| Error::damaged(&key, e);
    // Before all else: the rest of a newer one may look as it likes.
    let Versioned { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(Error::Newer {
            object: MARK.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}
