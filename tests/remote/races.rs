//! A repository in memory, and ways to do something at each request to it: what races between pushes and collections are
//! run with.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cask::remote::{
    Ability, Bytes, Key, KeySource, Listed, Memory, ObjectId, Passphrase, PushState, PushedBases,
    RemoteSnapshot, Repository, Result, Shelf, Tag, VolumeAbout, VolumeFacts,
};
use cask::transfer::{
    Collect, Collected, Depth, Extent, Progress, Push, Pushed, State, StateError, Waits, Watch,
    collect, pull, verify,
};
use cask::types::{
    Caller, ChunkBytes, Compression, Epoch, FileKind, Ino, Name, NewNode, RowChange, RowCursor,
    RowPage, SnapshotName, VolumeId,
};
use cask::volume::{
    Config, Frozen, NamedChunks, RootOwner, SetIdBits, Snapshot, Volume, WriteOrigin, create,
};

/// Does something at the N-th request.
#[derive(Debug)]
pub(crate) struct Hooked {
    shelf: Arc<Memory>,
    pub(crate) requests: AtomicU64,
    at: u64,
    act: Mutex<Option<Act>>,
}

pub(crate) struct Act(Box<dyn FnOnce() + Send>);

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

pub(crate) struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _: &Progress) {}
}

pub(crate) struct Rows<'v>(pub(crate) Frozen<'v>);

impl State for Rows<'_> {
    fn rows(&self, after: &RowCursor) -> std::result::Result<RowPage, StateError> {
        Ok(self.0.rows(after)?)
    }

    fn changes(
        &self,
        since: i64,
        after: &RowCursor,
    ) -> std::result::Result<Option<Vec<RowChange>>, StateError> {
        let changed = self.0.changed_since(Epoch(since))?;
        Ok(match changed {
            Some(changed) => self.0.changes(&changed, after)?,
            None => None,
        })
    }
}

/// What a push sends where an earlier snapshot is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sends {
    All,
    /// What changed.
    Changes,
}

/// A volume with a snapshot for each set of files.
pub(crate) struct Source {
    _dir: tempfile::TempDir,
    path: PathBuf,
    pub(crate) volume: Volume,
    sends: Sends,
}

impl Source {
    pub(crate) fn new(sends: Sends) -> Self {
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
            sends,
        }
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) {
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

    pub(crate) fn remove(&self, name: &str) {
        let name = Name::parse(name.as_bytes()).unwrap();
        self.volume
            .unlink(&Caller::root(), Ino::ROOT, name)
            .unwrap();
    }

    pub(crate) fn snapshot(&self, name: &str) {
        self.volume.take_snapshot(&named(name), "").unwrap();
    }

    pub(crate) fn push(&self, repository: &Repository, cache: &Path, name: &str) -> bool {
        self.try_push(repository, cache, name).is_ok()
    }

    pub(crate) fn try_push(
        &self,
        repository: &Repository,
        cache: &Path,
        name: &str,
    ) -> cask::transfer::Result<Pushed> {
        let taken = self.volume.snapshot(&named(name)).unwrap();
        let rows = Rows(self.volume.frozen(taken.epoch));
        let chunks = NamedChunks::open(&self.path).unwrap();
        let volume = self.volume.config().uuid;
        let known = self.volume.snapshots().unwrap();
        let base = PushedBases::in_cache(cache, volume).newest(|one| {
            let is_it = |known: &Snapshot| known.epoch.0 == one.epoch && known.name == one.name;
            one.epoch < taken.epoch.0 && known.iter().any(is_it)
        });
        let push = Push {
            repository,
            cache,
            state: &rows,
            chunks: &chunks,
            base: base.as_ref().filter(|_| self.sends == Sends::Changes),
            watch: &Nobody,
        };
        push.run(intended(volume, &taken))
    }
}

pub(crate) fn named(name: &str) -> SnapshotName {
    name.parse().unwrap()
}

fn intended(volume: VolumeId, taken: &Snapshot) -> RemoteSnapshot {
    RemoteSnapshot {
        state: PushState::Pending,
        id: ObjectId::random().unwrap(),
        volume,
        volume_name: "v".to_owned(),
        name: taken.name.clone(),
        created: taken.created.secs(),
        epoch: taken.epoch.0,
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
        deltas: Vec::new(),
    }
}

pub(crate) fn content(seed: u8) -> Vec<u8> {
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

/// A repository, and a volume that is pushed to it.
pub(crate) struct World {
    pub(crate) memory: Arc<Memory>,
    pub(crate) repository: Repository,
    pub(crate) source: Source,
    pub(crate) dir: tempfile::TempDir,
    ability: Ability,
}

impl World {
    /// One with nothing in it.
    pub(crate) fn empty(ability: Ability) -> Self {
        Self::empty_for(ability, Sends::All)
    }

    /// The same, with a volume whose pushes send this.
    pub(crate) fn empty_for(ability: Ability, sends: Sends) -> Self {
        let memory = Arc::new(Memory::default());
        let key = KeySource::KeyFile(Passphrase::new(vec![1; 32]));
        let shelf = Arc::clone(&memory);
        let repository = Repository::create_in(shelf, ability, &key).unwrap();
        let source = Source::new(sends);
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
        world
    }

    /// One in which a snapshot was forgotten whose chunks the index tells of still, and another is there.
    pub(crate) fn new(ability: Ability) -> Self {
        let world = Self::empty(ability);
        world.source.file("old", &content(1));
        world.source.snapshot("old");
        world.push("old");
        world.source.remove("old");
        world.source.file("kept", &content(2));
        world.source.snapshot("kept");
        world.push("kept");
        world.source.file("again", &content(1));
        world.source.file("new", &content(3));
        world.source.snapshot("racing");
        world.forget("old");
        world
    }

    #[track_caller]
    pub(crate) fn push(&self, name: &str) {
        let is_pushed = self.source.push(&self.repository, &self.cache(), name);
        assert!(is_pushed, "{name}");
    }

    pub(crate) fn forget(&self, name: &str) {
        for snapshot in self.snapshots() {
            if snapshot.name == named(name) {
                self.repository.withdraw(&snapshot).unwrap();
            }
        }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub(crate) fn snapshots(&self) -> Vec<RemoteSnapshot> {
        let volume = self.source.volume.config().uuid;
        self.repository.snapshots(volume).unwrap().whole
    }

    /// A way to the store on which something is done at a request.
    pub(crate) fn hooked(
        &self,
        at: u64,
        act: impl FnOnce() + Send + 'static,
    ) -> (Repository, Arc<Hooked>) {
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
    pub(crate) fn check(&self, what: &str) {
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

pub(crate) fn collected(
    repository: &Repository,
    cache: &Path,
) -> cask::transfer::Result<Collected> {
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
pub(crate) fn at_each_request(mut race: impl FnMut(u64) -> bool) {
    let mut at = 0;
    while race(at) {
        at += 1;
    }
    assert!(at > 5, "there were only {at} requests");
}
