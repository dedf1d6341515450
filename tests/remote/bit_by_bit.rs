//! What is pushed bit by bit, of random histories, comes back whole: pulled, browsed, compared.

use std::collections::BTreeMap;
use std::fs;

use cask::remote::{Ability, PushState, PushedTree, RemoteSnapshot, Row, Table};
use cask::transfer::{Depth, compare, pull, pull_all, state_digest, verify};
use cask::types::{Caller, ChunkBytes, FileKind, Ino, Name, NewNode, RowCursor, RowPage, SetAttr};
use cask::volume::{
    Config, FallocateMode, Frozen, RenameMode, SetIdBits, SetXattrMode, Volume, WriteOrigin,
};

use crate::races::{Nobody, Rows, Sends, World, named};
use crate::random::{Random, seed};

/// A world whose volume has so many files that one more is little beside them.
pub(crate) fn large_world(ability: Ability, files: u32) -> World {
    let world = World::empty_for(ability, Sends::Changes);
    let mut random = Random::new(u64::from(files));
    for _ in 0..files {
        world.source.file(&format!("{:016x}", random.next()), b"");
    }
    world
}

pub(crate) fn published(world: &World, name: &str) -> RemoteSnapshot {
    let mut all = world.snapshots().into_iter();
    let found = all.find(|one| one.name == named(name) && one.state == PushState::Published);
    found.unwrap_or_else(|| panic!("{name} is not published"))
}

pub(crate) fn levels(world: &World, name: &str) -> usize {
    published(world, name).levels().len()
}

fn digest(frozen: Frozen<'_>) -> String {
    state_digest(&Rows(frozen)).unwrap()
}

/// A snapshot is there as it is in the volume: pulled, and read without that.
#[track_caller]
pub(crate) fn assert_pushed(world: &World, name: &str) {
    let local = world.source.volume.snapshot(&named(name)).unwrap();
    let local = world.source.volume.frozen(local.epoch);
    let snapshot = published(world, name);
    let pulled = world.dir.path().join(format!("pulled-{name}"));
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    let made = pull(&world.repository, &snapshot, (&pulled, &config), &Nobody);
    made.unwrap_or_else(|e| panic!("{name}: {e:?}"));
    let volume = Volume::open(&pulled).unwrap();
    let taken = volume.take_snapshot(&named("pulled"), "").unwrap();
    assert_eq!(digest(volume.frozen(taken.epoch)), digest(local), "{name}");
    drop(volume);
    fs::remove_dir_all(pulled).unwrap();
    assert_browsed(world, local, &snapshot);
}

/// Each row that is there is found by its key and by going through all, and no other.
fn assert_browsed(world: &World, local: Frozen<'_>, snapshot: &RemoteSnapshot) {
    let tree = PushedTree::open(&world.repository, snapshot).unwrap();
    let rows = tree.rows();
    let all = |table| rows.all(table).map(Result::unwrap).collect::<Vec<_>>();
    let mut inodes = Vec::new();
    each_page(local, RowCursor::Inodes(0), |page| {
        let RowPage::Inodes(page) = page else { return };
        inodes.extend(page.into_iter().filter(|row| row.nlink > 0));
    });
    for row in &inodes {
        assert_eq!(rows.inode(row.ino).unwrap().as_ref(), Some(row));
        assert_eq!(rows.inode(row.ino + 1_000_000).unwrap(), None);
    }
    let found: Vec<_> = all(Table::Inode);
    assert_eq!(
        found,
        inodes.iter().cloned().map(Row::Inode).collect::<Vec<_>>()
    );
    let mut entries = Vec::new();
    each_page(local, RowCursor::Entries(0, Vec::new()), |page| {
        let RowPage::Entries(page) = page else { return };
        entries.extend(page);
    });
    for row in &entries {
        let found = rows.entry(row.parent, &row.name).unwrap();
        assert_eq!(found.as_ref(), Some(row));
    }
    for row in inodes
        .iter()
        .filter(|row| row.mode & 0o170_000 == 0o040_000)
    {
        let own = entries.iter().filter(|one| one.parent == row.ino);
        let own: Vec<_> = own.cloned().collect();
        assert_eq!(rows.entries(row.ino).unwrap(), own);
    }
    let found: Vec<_> = all(Table::Entry);
    assert_eq!(
        found,
        entries.into_iter().map(Row::Entry).collect::<Vec<_>>()
    );
    for row in inodes
        .iter()
        .filter(|row| row.mode & 0o170_000 == 0o100_000)
    {
        let ino = Ino::from_raw(row.ino);
        let attr = row.attr().unwrap();
        let mut offset = 0;
        while offset < row.size {
            let bytes = local.read(ino, offset, 1 << 20).unwrap();
            assert!(
                tree.read(&attr, offset, 1 << 20).unwrap() == bytes,
                "{row:?}"
            );
            offset += 1 << 20;
        }
        let names = local.xattr_names(ino).unwrap();
        let names = names.split(|byte| *byte == 0).filter(|one| !one.is_empty());
        let xattrs = names.map(|name| (name.to_vec(), local.xattr(ino, name).unwrap()));
        assert_eq!(tree.xattrs(ino).unwrap(), xattrs.collect::<Vec<_>>());
    }
}

fn each_page(local: Frozen<'_>, first: RowCursor, mut meet: impl FnMut(RowPage)) {
    let mut after = first;
    loop {
        let page = local.rows(&after).unwrap();
        let Some(end) = page.end() else { return };
        meet(page);
        after = end;
    }
}

/// Does something to a volume that may be refused.
struct History<'v> {
    volume: &'v Volume,
    random: Random,
    /// All that were made: some are gone.
    dirs: Vec<Ino>,
    files: Vec<Ino>,
}

impl<'v> History<'v> {
    fn of(volume: &'v Volume, seed: u64) -> Self {
        Self {
            volume,
            random: Random::new(seed),
            dirs: vec![Ino::ROOT],
            files: Vec::new(),
        }
    }

    fn name(&mut self) -> Vec<u8> {
        format!("n{}", self.random.below(12)).into_bytes()
    }

    fn dir(&mut self) -> Ino {
        let at = self.random.index(self.dirs.len());
        self.dirs[at]
    }

    fn file(&mut self) -> Ino {
        let at = self.random.index(self.files.len().max(1));
        self.files.get(at).copied().unwrap_or(Ino::ROOT)
    }

    fn step(&mut self) {
        let (root, dir, name) = (Caller::root(), self.dir(), self.name());
        let name = Name::parse(&name).unwrap();
        let file = self.file();
        match self.random.below(16) {
            0..=2 => self.make(dir, name, FileKind::File),
            3 => self.make(dir, name, FileKind::Directory),
            4 => self.make(dir, name, FileKind::Symlink),
            5 => drop(self.volume.link(&root, file, dir, name)),
            6 => drop(self.volume.unlink(&root, dir, name)),
            7 => drop(self.volume.rmdir(&root, dir, name)),
            8 | 9 => {
                let (to, new) = (self.dir(), self.name());
                let mode = self.random.pick(&[
                    RenameMode::Replace,
                    RenameMode::Exchange,
                    RenameMode::Whiteout,
                ]);
                let new = Name::parse(&new).unwrap();
                drop(self.volume.rename(&root, (dir, name), (to, new), mode));
            }
            10 | 11 => {
                let len = self.random.index(300_000);
                let (bytes, at) = (self.random.bytes(len), self.random.below(3_000_000));
                let (origin, bits) = (WriteOrigin::Caller, SetIdBits::Keep);
                drop(self.volume.write(file, at, &bytes, origin, bits));
            }
            12 => {
                let change = SetAttr {
                    size: Some(self.random.below(3_000_000)),
                    ..SetAttr::default()
                };
                drop(self.volume.setattr(&root, file, &change));
            }
            13 => {
                let (at, len) = (self.random.below(2_000_000), self.random.below(500_000) + 1);
                let mode = FallocateMode::PunchHole;
                drop(self.volume.fallocate(&root, file, at, len, mode));
            }
            14 => {
                let (key, value) = (
                    format!("user.{}", self.random.below(3)),
                    self.random.bytes(40),
                );
                let mode = SetXattrMode::Any;
                drop(
                    self.volume
                        .set_xattr(&root, file, key.as_bytes(), &value, mode),
                );
            }
            _ => {
                let key = format!("user.{}", self.random.below(3));
                drop(self.volume.remove_xattr(&root, file, key.as_bytes()));
            }
        }
    }

    fn make(&mut self, dir: Ino, name: &Name, kind: FileKind) {
        let new = NewNode {
            kind,
            mode: 0o644,
            umask: 0,
            rdev: 0,
            target: if kind == FileKind::Symlink {
                b"there"
            } else {
                b""
            },
        };
        if let Ok(made) = self.volume.create(&Caller::root(), dir, name, &new) {
            match kind {
                FileKind::Directory => self.dirs.push(made.ino),
                _ => self.files.push(made.ino),
            }
        }
    }
}

#[test]
fn what_is_pushed_bit_by_bit_comes_back_whole() {
    let world = large_world(Ability::FULL, 1500);
    let mut history = History::of(&world.source.volume, seed());
    let mut deepest = 0;
    for round in 0..12 {
        let steps = [4, 40, 0, 12][round % 4];
        (0..steps).for_each(|_| history.step());
        if round % 3 == 0 {
            // Somebody has files open that are gone.
            history
                .files
                .iter()
                .for_each(|ino| history.volume.remember(*ino));
        }
        let name = format!("s{round}");
        world.source.snapshot(&name);
        world.push(&name);
        assert_pushed(&world, &name);
        deepest = deepest.max(levels(&world, &name));
    }
    assert!(deepest >= 4, "{deepest} levels");
    // All of them still, together as well, and what is between them.
    (0..12).for_each(|round| assert_pushed(&world, &format!("s{round}")));
    world.source_and_pulled_agree();
    let found = verify(&world.repository, Depth::Data, &Nobody).unwrap();
    assert_eq!(found.faults, Vec::<String>::new());
    assert_eq!(found.snapshots, 12);
}

impl World {
    /// What `cask diff` tells of snapshots there is what it tells of them here, and a pull of all has all.
    fn source_and_pulled_agree(&self) {
        let mut all = self.snapshots();
        all.sort_by_key(|one| one.epoch);
        let dir = self.dir.path().join("all");
        let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
        pull_all(&[], &self.repository, &all, (&dir, &config), &Nobody).unwrap();
        let pulled = Volume::open(&dir).unwrap();
        for one in &all {
            let (here, there) = (&self.source.volume, &pulled);
            let [here, there] = [here, there].map(|volume| {
                let taken = volume.snapshot(&one.name).unwrap();
                digest(volume.frozen(taken.epoch))
            });
            assert_eq!(here, there, "{}", one.name);
        }
        drop(pulled);
        for pair in all.windows(2) {
            let [old, new] = [&pair[0], &pair[1]];
            let trees = [old, new].map(|one| PushedTree::open(&self.repository, one).unwrap());
            let told = compare(&trees[0], &trees[1]).unwrap();
            let [old, new] = [old, new].map(|one| self.source.volume.snapshot(&one.name).unwrap());
            let expected = self.source.volume.diff(&old, Some(&new)).unwrap();
            assert_eq!(told, expected, "{} to {}", old.name, new.name);
        }
    }
}
