//! Collections beside pushes, in every order: at each request of the one all of the other is done, on a store in memory.
//!
//! Whatever comes of it, what is published can be pulled, byte by byte.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cask::remote::{
    Ability, Bytes, Key, KeySource, Listed, Memory, ObjectId, Passphrase, PushState,
    RemoteSnapshot, Replacing, Repository, Result, Shelf, Tag, VolumeAbout, VolumeFacts,
};
use cask::transfer::{
    Collect, Collected, Depth, Extent, Progress, Push, State, StateError, Waits, Watch, collect,
    pull, verify,
};
use cask::types::{
    Caller, ChunkBytes, Compression, FileKind, Ino, Name, NewNode, RowCursor, RowPage,
    SnapshotName, VolumeId,
};
use cask::volume::{
    Config, Frozen, NamedChunks, RootOwner, SetIdBits, Volume, WriteOrigin, create,
};

/// Does something at the N-th request.
#[derive(Debug)]
struct Hooked {
    shelf: Arc<Memory>,
    requests: AtomicU64,
    at: u64,
    act: Mutex<Option<Act>>,
}

struct Act(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Act")
    }
}

impl Hooked {
    fn step(&self) {
        if self.requests.fetch_add(1, Ordering::SeqCst) != self.at {
            return;
        }
        let act = self.act.lock().unwrap().take();
        if let Some(Act(act)) = act {
            act();
        }
    }
}

impl Shelf for Hooked {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.step();
        self.shelf.put(key, bytes)
    }
    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.step();
        self.shelf.create(key, bytes)
    }
    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        self.step();
        self.shelf.replace(key, bytes, tag)
    }
    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        self.step();
        self.shelf.get(key)
    }
    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        self.step();
        self.shelf.get_range(key, range)
    }
    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.step();
        self.shelf.list(dir)
    }
    fn delete(&self, key: &Key) -> Result<()> {
        self.step();
        self.shelf.delete(key)
    }
}

struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _: &Progress) {}
}

struct Rows<'v>(Frozen<'v>);

impl State for Rows<'_> {
    fn rows(&self, after: &RowCursor) -> std::result::Result<RowPage, StateError> {
        Ok(self.0.rows(after)?)
    }
}

/// A volume with a snapshot for each set of files.
struct Source {
    _dir: tempfile::TempDir,
    path: PathBuf,
    volume: Volume,
}

impl Source {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        let config = Config::new(ChunkBytes::DEFAULT, std::collections::BTreeMap::new());
        let owner = RootOwner {
            uid: 0,
            gid: 0,
            mode: 0o755,
        };
        create(&path, &config, owner).unwrap();
        let volume = Volume::open(&path).unwrap();
        Self {
            _dir: dir,
            path,
            volume,
        }
    }

    fn file(&self, name: &str, content: &[u8]) {
        let new = NewNode {
            kind: FileKind::File,
            mode: 0o644,
            umask: 0,
            rdev: 0,
            target: b"",
        };
        let name = Name::parse(name.as_bytes()).unwrap();
        let made = self.volume.create(&Caller::root(), Ino::ROOT, name, &new);
        let ino = made.unwrap().ino;
        let written = self
            .volume
            .write(ino, 0, content, WriteOrigin::Caller, SetIdBits::Keep);
        written.unwrap();
    }

    fn remove(&self, name: &str) {
        let name = Name::parse(name.as_bytes()).unwrap();
        self.volume
            .unlink(&Caller::root(), Ino::ROOT, name)
            .unwrap();
    }

    fn snapshot(&self, name: &str) {
        self.volume.take_snapshot(&named(name), "").unwrap();
    }

    fn push(&self, repository: &Repository, cache: &Path, name: &str) -> bool {
        let taken = self.volume.snapshot(&named(name)).unwrap();
        let rows = Rows(self.volume.frozen(taken.epoch));
        let chunks = NamedChunks::open(&self.path).unwrap();
        let push = Push {
            repository,
            cache,
            state: &rows,
            chunks: &chunks,
            watch: &Nobody,
        };
        push.run(intended(self.volume.config().uuid, name)).is_ok()
    }
}

fn named(name: &str) -> SnapshotName {
    name.parse().unwrap()
}

fn intended(volume: VolumeId, name: &str) -> RemoteSnapshot {
    RemoteSnapshot {
        state: PushState::Pending,
        id: ObjectId::random().unwrap(),
        volume,
        volume_name: "v".to_owned(),
        name: named(name),
        created: 1,
        epoch: 1,
        label: String::new(),
        host: "here".to_owned(),
        started: 0,
        facts: VolumeFacts {
            chunk_bytes: ChunkBytes::DEFAULT.get(),
            compression: Compression::None,
            labels: std::collections::BTreeMap::new(),
        },
        numbers: 0,
        inodes: 0,
        bytes: 0,
        beats: 0,
        runs: Vec::new(),
    }
}

fn content(seed: u8) -> Vec<u8> {
    // Does not shrink, and differs.
    let mut hasher = noise(seed);
    (0..100_000).map(|_| hasher()).collect()
}

fn noise(seed: u8) -> impl FnMut() -> u8 {
    let mut state = u64::from(seed) + 0x9e37_79b9_7f4a_7c15;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }
}

/// A repository in which a snapshot was forgotten whose chunks the index tells of still, and another is there.
struct World {
    memory: Arc<Memory>,
    repository: Repository,
    source: Source,
    dir: tempfile::TempDir,
    ability: Ability,
}

impl World {
    fn new(ability: Ability) -> Self {
        let memory = Arc::new(Memory::default());
        let key = KeySource::KeyFile(Passphrase::new(vec![1; 32]));
        let shelf = Arc::clone(&memory);
        let repository = Repository::create_in(shelf, ability, &key).unwrap();
        let source = Source::new();
        let world = Self {
            memory,
            repository,
            source,
            dir: tempfile::tempdir().unwrap(),
            ability,
        };
        let about = VolumeAbout {
            volume: world.source.volume.config().uuid,
            name: "v".to_owned(),
            host: "here".to_owned(),
        };
        world.repository.put_about(&about).unwrap();
        world.source.file("old", &content(1));
        world.source.snapshot("old");
        assert!(world.source.push(&world.repository, &world.cache(), "old"));
        world.source.remove("old");
        world.source.file("kept", &content(2));
        world.source.snapshot("kept");
        assert!(world.source.push(&world.repository, &world.cache(), "kept"));
        world.source.file("again", &content(1));
        world.source.file("new", &content(3));
        world.source.snapshot("racing");
        for snapshot in world.snapshots() {
            if snapshot.name == named("old") {
                world.repository.withdraw(&snapshot).unwrap();
            }
        }
        world
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn snapshots(&self) -> Vec<RemoteSnapshot> {
        let volume = self.source.volume.config().uuid;
        self.repository.snapshots(volume).unwrap().whole
    }

    /// A way to the store on which something is done at a request.
    fn hooked(&self, at: u64, act: impl FnOnce() + Send + 'static) -> (Repository, Arc<Hooked>) {
        let hooked = Arc::new(Hooked {
            shelf: Arc::clone(&self.memory),
            requests: AtomicU64::new(0),
            at,
            act: Mutex::new(Some(Act(Box::new(act)))),
        });
        let shelf = Arc::clone(&hooked);
        let (id, master) = (self.repository.id(), self.repository.master().clone());
        // The mark is read by this, too.
        let opened = Repository::open(shelf, self.ability, id, master).unwrap();
        (opened, hooked)
    }

    /// What is published is whole, and can be pulled.
    fn check(&self, what: &str) {
        let found = verify(&self.repository, Depth::Data, &Nobody).unwrap();
        assert_eq!(found.faults, Vec::<String>::new(), "{what}");
        for snapshot in self.snapshots() {
            if snapshot.state != PushState::Published {
                continue;
            }
            let config = Config::new(ChunkBytes::DEFAULT, std::collections::BTreeMap::new());
            let pulled = self.dir.path().join(format!("{}", snapshot.id));
            let made = pull(&self.repository, &snapshot, (&pulled, &config), &Nobody);
            made.unwrap_or_else(|e| panic!("{what}: {}: {e:?}", snapshot.name));
            std::fs::remove_dir_all(pulled).unwrap();
        }
        let names: Vec<_> = self.snapshots().into_iter().map(|one| one.name).collect();
        assert!(names.contains(&named("kept")), "{what}");
    }
}

fn collected(repository: &Repository, cache: &Path) -> cask::transfer::Result<Collected> {
    collect(&Collect {
        repository,
        cache,
        watch: &Nobody,
        extent: Extent::Remove,
        waits: Waits {
            silence: Duration::ZERO,
            pause: Duration::ZERO,
        },
    })
}

/// Runs `race` for every request until one is beyond the last.
fn at_each_request(mut race: impl FnMut(u64) -> bool) {
    let mut at = 0;
    while race(at) {
        at += 1;
    }
    assert!(at > 5, "there were only {at} requests");
}

#[test]
fn a_collection_at_any_request_of_a_push_costs_nothing_that_is_published() {
    at_each_request(|at| {
        let world = World::new(Ability::FULL);
        let (repository, cache) = (world.repository.clone(), world.dir.path().join("other"));
        let (hooked, shelf) = world.hooked(at, move || {
            // The push counts as dead at once: it has to find out.
            collected(&repository, &cache).unwrap();
        });
        let is_pushed = world.source.push(&hooked, &world.cache(), "racing");
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        world.check(&format!("a collection at request {at}"));
        if !is_pushed {
            let again = world
                .source
                .push(&world.repository, &world.cache(), "racing");
            assert!(again, "pushed again after a collection at request {at}");
            world.check(&format!("again, after a collection at request {at}"));
        }
        reached
    });
}

#[test]
fn a_push_at_any_request_of_a_collection_is_whole() {
    for ability in [
        Ability::FULL,
        Ability {
            creates: false,
            replaces: Replacing::Never,
        },
    ] {
        at_each_request(|at| {
            let world = Arc::new(World::new(ability));
            let pushing = Arc::clone(&world);
            let (hooked, shelf) = world.hooked(at, move || {
                let cache = pushing.dir.path().join("other");
                let is_pushed = pushing.source.push(&pushing.repository, &cache, "racing");
                assert!(is_pushed, "a push at request {at} of a collection");
            });
            collected(&hooked, &world.cache()).unwrap();
            let reached = shelf.requests.load(Ordering::SeqCst) > at;
            world.check(&format!("a push at request {at}"));
            reached
        });
    }
}

#[test]
fn what_nothing_needs_goes_and_can_be_pushed_again() {
    let world = World::new(Ability::FULL);
    let before = world.repository.packs().unwrap().len();
    let first = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!((first.packs, first.runs), (1, 1));
    assert!(first.bytes > 100_000);
    assert_eq!(world.repository.packs().unwrap().len(), before - 1);
    assert!(world.repository.marks().unwrap().is_empty());
    let second = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(second, Collected::default());
    assert!(
        world
            .source
            .push(&world.repository, &world.cache(), "racing")
    );
    world.check("pushed again");
}

#[test]
fn where_a_store_decides_nothing_a_mark_is_left_for_a_day() {
    let world = World::new(Ability {
        creates: false,
        replaces: Replacing::Never,
    });
    for _ in 0..2 {
        let found = collected(&world.repository, &world.cache()).unwrap();
        assert_eq!((found.packs, found.marked), (0, 2));
        assert_eq!(world.repository.marks().unwrap().len(), 1);
    }
    world.memory.age(Duration::from_secs(25 * 3600));
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!((found.packs, found.runs, found.marked), (1, 1, 0));
    assert!(world.repository.marks().unwrap().is_empty());
    world.check("a day later");
}

#[test]
fn a_collection_that_was_killed_is_gone_on_with() {
    at_each_request(|at| {
        if at == 0 {
            // Of its being opened.
            return true;
        }
        let world = World::new(Ability::FULL);
        let (hooked, shelf) = world.hooked(at, || std::panic::panic_any("killed"));
        let cache = world.cache();
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| collected(&hooked, &cache)));
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        world.check(&format!("killed at request {at}"));
        drop(outcome);
        collected(&world.repository, &world.cache()).unwrap();
        assert!(
            world.repository.marks().unwrap().is_empty(),
            "killed at {at}"
        );
        assert_eq!(world.repository.packs().unwrap().len(), 1, "killed at {at}");
        let is_pushed = world
            .source
            .push(&world.repository, &world.cache(), "racing");
        assert!(is_pushed, "killed at request {at}");
        world.check(&format!("pushed after a kill at request {at}"));
        reached
    });
}
