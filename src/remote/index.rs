//! Which chunks a repository has, and where: what a push has to know, and a repair that looks for chunks; a pull has not.
//!
//! An index object tells of the packs of one push, or of a part of it. This host keeps those that it has seen in a
//! directory, as sorted entries that are searched on the disk: a terabyte takes some hundred MiB of it, and little memory.

mod fetch;
mod journal;
mod lookup;
mod sorted;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::kept_names::KeptNames;
use super::mark::condemned_of;
use super::object::{Kind, ObjectId, seal_whole};
use super::place::Place;
use super::repository::Repository;
use super::shelf::{Key, Listed};
use super::{Error, Found, PackedChunk, Result, SealedPack};
use crate::types::ChunkHash;
use fetch::{DIR, Fetched, fetch, fetch_all, keep, read};
use journal::{Ended, Journal};
pub use lookup::Lookup;
use sorted::{Room, Sorted, make_dir};

/// Chunks that are held in memory before they become an index object.
const FRESH_MAX: usize = 100_000;

/// Index objects from which small ones are put together: each is asked about each chunk.
const OBJECTS_MAX: usize = 32;

/// The chunks of a repository, as far as this host knows.
#[derive(Debug)]
pub struct Index {
    dir: PathBuf,
    /// Its packs stay for as long as this push is under way.
    lookup: Lookup,
    /// What more of it is held open.
    room: Room,
    /// Runs that are about to be removed.
    condemned_runs: BTreeSet<ObjectId>,
    /// What is in no index object yet.
    fresh: HashMap<ChunkHash, Place>,
    journal: Journal,
}

impl Index {
    /// Fetches what is new to this host; `dir` is where it is kept. What is condemned or gone does not count as there.
    ///
    /// In this order, after what is intended was said: the marks and the index, then the packs. A collection that was not
    /// seen in the marks sees the intention, and waits; what one has removed that has ended is no longer among the packs.
    /// The index is a hint only: a push that was given up may store one that tells of packs that are gone.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`], [`Error::Host`]; see [`super::Shelf`].
    pub fn load(repository: &Repository, dir: &Path) -> Result<Self> {
        let kept = dir.join(DIR);
        let cannot = |e| Error::host(format!("clean up {}", kept.display()), e);
        let names = KeptNames::now_in(&kept).map_err(cannot)?;
        let listed = repository.shelf().list(DIR)?;
        let condemned = condemned_of(repository.marks_among(&listed)?);
        let Fetched { known, room, lacks } = fetch_all(repository, &kept, &listed)?;
        lacks.into_iter().try_for_each(pass_over)?;
        let listed: HashSet<&str> = listed.iter().map(|one| one.key.last()).collect();
        names.remove_unless(|id| listed.contains(id.to_string().as_str()));
        let there = present(repository, &condemned.packs)?;
        let pushes = dir.join("pushes");
        let journal = Journal::begin(&pushes)?;
        let ended = Ended::in_dir(&pushes)?;
        let mut index = Self {
            dir: kept,
            lookup: Lookup::of(known, there),
            room,
            condemned_runs: condemned.runs,
            fresh: HashMap::new(),
            journal,
        };
        index.take_over(&ended.chunks())?;
        // After what they say was noted anew: a kill in between loses nothing.
        ended.remove()?;
        Ok(index)
    }

    /// What a push that ended has sent, as far as it is there still.
    fn take_over(&mut self, left: &[PackedChunk]) -> Result<()> {
        for pack in left.chunk_by(|a, b| a.place.pack == b.place.pack) {
            let Some(first) = pack.first() else {
                continue;
            };
            let id = first.place.pack;
            if !self.has_pack(&id) {
                continue;
            }
            self.journal.note(pack)?;
            self.fresh
                .extend(pack.iter().map(|chunk| (chunk.hash, chunk.place)));
        }
        Ok(())
    }

    /// Where a chunk is, if it is there.
    ///
    /// # Errors
    /// [`Error::Host`] when what is kept cannot be read.
    pub fn find(&self, hash: &ChunkHash) -> Result<Option<Place>> {
        if let Some(place) = self.fresh.get(hash) {
            return Ok(Some(*place));
        }
        self.lookup.find(hash)
    }

    /// Whether a pack is there, and stays for as long as this push is under way.
    #[must_use]
    pub fn has_pack(&self, pack: &ObjectId) -> bool {
        self.lookup.there.contains(pack)
    }

    /// Whether no mark was seen that says that a run is to be removed: then it stays for as long as this push is under way,
    /// if what names it was there after that.
    #[must_use]
    pub fn leaves_run(&self, run: &ObjectId) -> bool {
        !self.condemned_runs.contains(run)
    }

    /// Whether all of these packs are there, stay, and are told of: of one that was found damaged nothing tells.
    #[must_use]
    pub fn has_packs(&self, packs: &BTreeSet<ObjectId>) -> bool {
        let told = self.lookup.known.iter().flat_map(Sorted::packs);
        let told: BTreeSet<&ObjectId> = told.filter(|id| packs.contains(id)).collect();
        packs
            .iter()
            .all(|id| self.has_pack(id) && told.contains(id))
    }

    /// A chunk that goes into a pack: equal ones need not be sent again.
    pub fn add(&mut self, hash: ChunkHash, place: Place) {
        self.fresh.insert(hash, place);
    }

    /// Whether it is time for [`Self::publish`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.fresh.len() >= FRESH_MAX
    }

    /// A pack has arrived: should this process be killed, the next one knows.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn note(&mut self, pack: &SealedPack) -> Result<()> {
        self.journal.note(&pack.chunks)?;
        self.lookup.there.insert(pack.id);
        Ok(())
    }

    /// Tells others of what was added, whose packs are all there.
    ///
    /// # Errors
    /// [`Error::Host`]; see [`super::Shelf`].
    pub fn publish(&mut self, repository: &Repository) -> Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let (id, body) = store(repository, &self.fresh)?;
        let kept = keep(&self.dir, &id, &body, &mut self.room)?;
        self.lookup.known.push(kept);
        self.fresh.clear();
        self.journal.clear()
    }

    /// Puts small index objects together when they are many. Who may not delete leaves that to others: the new ones would
    /// only be more.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Host`]; see [`super::Shelf`].
    pub fn merge(&self, repository: &Repository) -> Result<()> {
        let small = self.lookup.known.iter().filter(|one| is_small(one)).count();
        if small <= OBJECTS_MAX || !repository.may_delete()? {
            return Ok(());
        }
        rewrite_in(repository, &self.dir, &BTreeSet::new())
    }
}

fn is_small(sorted: &Sorted) -> bool {
    sorted.len() < FRESH_MAX / 2
}

/// The packs that are there and stay.
fn present(repository: &Repository, condemned: &BTreeSet<ObjectId>) -> Result<BTreeSet<ObjectId>> {
    let mut packs = repository.packs()?;
    packs.retain(|id, _| !condemned.contains(id));
    Ok(packs.into_keys().collect())
}

/// Tells of chunks whose packs are all there.
///
/// # Errors
/// See [`super::Shelf`].
pub fn store_chunks(repository: &Repository, chunks: &HashMap<ChunkHash, Place>) -> Result<()> {
    store(repository, chunks).map(drop)
}

/// Makes an index object of these chunks.
fn store(
    repository: &Repository,
    chunks: &HashMap<ChunkHash, Place>,
) -> Result<(ObjectId, Vec<u8>)> {
    let body = sorted::encode(chunks);
    let (id, bytes) = seal_whole(repository.master(), Kind::Index, body.clone())?;
    repository
        .shelf()
        .put(&Key::new(format!("{DIR}/{id}")), bytes.into())?;
    Ok((id, body))
}

/// Makes index objects anew that tell of no pack in `gone`, and puts small ones together. Only when this has returned may
/// those packs go: until then a push may find them.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Host`]; see [`super::Shelf`].
pub fn rewrite(repository: &Repository, dir: &Path, gone: &BTreeSet<ObjectId>) -> Result<()> {
    let kept = dir.join(DIR);
    make_dir(&kept)?;
    rewrite_in(repository, &kept, gone)
}

/// The same; `kept` is where index objects are kept.
fn rewrite_in(repository: &Repository, kept: &Path, gone: &BTreeSet<ObjectId>) -> Result<()> {
    let (mut stay, mut replaced) = (HashMap::new(), Vec::new());
    let listed = repository.shelf().list(DIR)?;
    let is_index = |one: &Listed| one.key.last().parse::<ObjectId>().is_ok();
    let is_alone = listed.iter().filter(|one| is_index(one)).count() == 1;
    for one in listed {
        let sorted = match fetch(repository, kept, &one.key, &mut Room::new()) {
            Ok(Some(sorted)) => sorted,
            Ok(None) => continue,
            Err(error) => {
                pass_over(error)?;
                continue;
            }
        };
        if (is_alone || !is_small(&sorted)) && !sorted.names_any(gone) {
            continue;
        }
        let chunks = sorted.all()?.into_iter();
        stay.extend(chunks.filter(|(_, place)| !gone.contains(&place.pack)));
        replaced.push(one.key);
        if stay.len() >= FRESH_MAX {
            store(repository, &std::mem::take(&mut stay))?;
        }
    }
    if !stay.is_empty() {
        store(repository, &stay)?;
    }
    // After the new ones are there: in between a push finds chunks twice, and never not at all.
    repository.shelf().delete_all(&replaced)
}

/// For who sends what it does not find: the index only saves that.
fn pass_over(error: Error) -> Result<()> {
    match error {
        // A collection has replaced it since it was listed.
        Error::Missing { .. } => {}
        Error::Damaged { .. } => log::warn!("{error}: what it tells of may be sent again"),
        error => return Err(error),
    }
    Ok(())
}

/// Which index objects cannot be read: what they tell of is sent again.
///
/// # Errors
/// See [`super::Shelf`].
pub fn damaged(repository: &Repository) -> Result<Vec<Error>> {
    let mut found = Found::new();
    for listed in repository.shelf().list(DIR)? {
        if let Ok(id) = listed.key.last().parse() {
            found.take(read(repository, &listed.key, &id))?;
        }
    }
    Ok(found.damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{Bytes, KeySource, Memory, PackBuilder, Passphrase, Shelf, Tag};
    use std::fs;
    use std::ops::Range;
    use std::sync::Arc;

    fn repository() -> Repository {
        let source = KeySource::KeyFile(Passphrase::new(vec![1; 32]));
        Repository::create(Arc::new(Memory::default()), &source).unwrap()
    }

    fn pack(repository: &Repository, index: &mut Index, texts: std::ops::Range<u32>) -> SealedPack {
        let mut pack = PackBuilder::begin(repository.master()).unwrap();
        for text in texts {
            let text = text.to_le_bytes().to_vec();
            let hash = ChunkHash::of(&text);
            let place = pack.push(hash, text).unwrap();
            index.add(hash, place);
        }
        let mut sealed = pack.finish().unwrap();
        repository.put_pack(&mut sealed).unwrap();
        sealed
    }

    /// A pack of a hundred chunks, of which an index object tells.
    fn published(repository: &Repository, dir: &Path) -> SealedPack {
        let mut index = Index::load(repository, dir).unwrap();
        let sealed = pack(repository, &mut index, 0..100);
        index.note(&sealed).unwrap();
        index.publish(repository).unwrap();
        sealed
    }

    #[test]
    fn others_find_what_was_published_and_the_next_push_what_was_noted() {
        let repository = repository();
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut index = Index::load(&repository, here.path()).unwrap();
        let first = pack(&repository, &mut index, 0..1000);
        index.note(&first).unwrap();
        index.publish(&repository).unwrap();
        let second = pack(&repository, &mut index, 1000..1010);
        index.note(&second).unwrap();
        let third = pack(&repository, &mut index, 2000..2010);
        let find = |index: &Index, chunk: &PackedChunk| index.find(&chunk.hash).unwrap();
        for sealed in [&first, &second, &third] {
            for chunk in &sealed.chunks {
                assert_eq!(find(&index, chunk), Some(chunk.place));
            }
        }
        drop(index);
        let again = Index::load(&repository, here.path()).unwrap();
        let other = Index::load(&repository, there.path()).unwrap();
        assert!(
            first
                .chunks
                .iter()
                .all(|one| find(&other, one) == Some(one.place))
        );
        assert!(
            second
                .chunks
                .iter()
                .all(|one| find(&again, one) == Some(one.place))
        );
        assert!(second.chunks.iter().all(|one| find(&other, one).is_none()));
        assert!(third.chunks.iter().all(|one| find(&again, one).is_none()));
    }

    /// Allows PUT and GET alone, or all.
    #[derive(Debug)]
    struct Guarded(Memory, Rights);

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Rights {
        All,
        NoDelete,
    }

    impl Shelf for Guarded {
        fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
            self.0.put(key, bytes)
        }
        fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
            self.0.create(key, bytes)
        }
        fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
            self.0.replace(key, bytes, tag)
        }
        fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
            self.0.get(key)
        }
        fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
            self.0.get_range(key, range)
        }
        fn list(&self, dir: &str) -> Result<Vec<Listed>> {
            self.0.list(dir)
        }
        fn delete(&self, key: &Key) -> Result<()> {
            match self.1 {
                Rights::All => self.0.delete(key),
                Rights::NoDelete => Err(Error::Denied {
                    op: "delete",
                    object: key.to_string(),
                    source: "AccessDenied".into(),
                }),
            }
        }
    }

    #[test]
    fn index_objects_stay_few_and_who_may_not_delete_makes_no_more() {
        for (rights, at_most) in [(Rights::All, OBJECTS_MAX), (Rights::NoDelete, 40)] {
            let source = KeySource::KeyFile(Passphrase::new(vec![1; 32]));
            let shelf = Arc::new(Guarded(Memory::default(), rights));
            let repository = Repository::create(shelf, &source).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let mut all = Vec::new();
            for push in 0..40 {
                let mut index = Index::load(&repository, dir.path()).unwrap();
                let sealed = pack(&repository, &mut index, push..push + 1);
                index.note(&sealed).unwrap();
                index.publish(&repository).unwrap();
                index.merge(&repository).unwrap();
                all.extend(sealed.chunks);
            }
            let objects = repository.shelf().list(DIR).unwrap().len();
            assert!(objects <= at_most, "{rights:?}: {objects}");
            let index = Index::load(&repository, dir.path()).unwrap();
            for chunk in &all {
                assert_eq!(index.find(&chunk.hash).unwrap(), Some(chunk.place));
            }
        }
    }

    #[test]
    fn what_is_kept_and_damaged_is_fetched_again() {
        let repository = repository();
        let dir = tempfile::tempdir().unwrap();
        let sealed = published(&repository, dir.path());
        let kept = fs::read_dir(dir.path().join(DIR)).unwrap().next().unwrap();
        let kept = kept.unwrap().path();
        let mut bytes = fs::read(&kept).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        crate::durable::replace_file(&kept, &bytes).unwrap();
        let again = Index::load(&repository, dir.path()).unwrap();
        for chunk in &sealed.chunks {
            assert_eq!(again.find(&chunk.hash).unwrap(), Some(chunk.place));
        }
    }

    #[test]
    fn what_another_push_writes_meanwhile_stays() {
        let repository = repository();
        let dir = tempfile::tempdir().unwrap();
        Index::load(&repository, dir.path()).unwrap();
        let kept = dir.path().join(DIR);
        let [writing, replaced] =
            ["5".repeat(64) + ".7-0.new", "5".repeat(64)].map(|name| kept.join(name));
        for path in [&writing, &replaced] {
            crate::durable::replace_file(path, b"half").unwrap();
        }
        Index::load(&repository, dir.path()).unwrap();
        assert!(writing.exists() && !replaced.exists());
    }

    #[test]
    fn who_looks_for_chunks_is_told_what_could_not_be_looked_at() {
        let repository = repository();
        let dir = tempfile::tempdir().unwrap();
        let sealed = published(&repository, dir.path());
        let lookup = Lookup::load(&repository, dir.path()).unwrap();
        let found = lookup.find(&sealed.chunks[0].hash).unwrap();
        assert_eq!(
            (found, lookup.trouble()),
            (Some(sealed.chunks[0].place), None)
        );
        // One that is replaced between the list and the answer.
        let gone = Listed {
            key: Key::new(format!("{DIR}/{}", "7".repeat(64))),
            bytes: 1,
            modified: 0,
            tag: None,
        };
        let fetched = fetch_all(
            &repository,
            &dir.path().join(DIR),
            std::slice::from_ref(&gone),
        )
        .unwrap();
        assert!(matches!(fetched.lacks[..], [Error::Missing { .. }]));
        let damaged = repository
            .shelf()
            .put(&gone.key, b"damaged".to_vec().into());
        damaged.unwrap();
        let lookup = Lookup::load(&repository, dir.path()).unwrap();
        assert!(
            lookup
                .trouble()
                .is_some_and(|what| what.contains(&"7".repeat(64)))
        );
        // And one that another push of this host removes.
        let sorted = Sorted::gone();
        let lookup = Lookup::of(vec![sorted], BTreeSet::new());
        assert_eq!(lookup.find(&sealed.chunks[0].hash).unwrap(), None);
        assert!(lookup.trouble().is_some());
    }
}
