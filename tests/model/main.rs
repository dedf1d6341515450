//! Random histories on a `Volume` and on an in-memory tree, below FUSE: the two never differ.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod changes;
mod rows;
mod tree;
#[path = "../common/tuning.rs"]
mod tuning;

use cask::types::{Caller, ChunkBytes, FileKind, Ino, Name, NewNode, SetAttr, SnapshotName};
use cask::volume::{
    self, Config, Error, FallocateMode, RenameMode, RootOwner, SetIdBits, SetXattrMode, Snapshot,
    Volume, WriteOrigin,
};
use proptest::prelude::*;
use tree::{Outcome, Tree};
use tuning::EAGER;

/// Short, so that a history crosses many chunk boundaries; full chunks are long enough to be shared.
const CHUNK_BYTES: u32 = 16 * 1024;
const FILE_BYTES: u64 = 100_000;

/// A step of a history. Files and directories are picked by index among those that there are.
#[derive(Debug, Clone)]
enum Op {
    Make {
        dir: usize,
        name: u8,
        kind: FileKind,
    },
    Link {
        file: usize,
        dir: usize,
        name: u8,
    },
    Unlink {
        dir: usize,
        name: u8,
    },
    Rmdir {
        dir: usize,
        name: u8,
    },
    Rename {
        from: (usize, u8),
        to: (usize, u8),
        mode: RenameMode,
    },
    Write {
        file: usize,
        offset: u64,
        len: usize,
        byte: u8,
    },
    Truncate {
        file: usize,
        size: u64,
    },
    Fallocate {
        file: usize,
        offset: u64,
        len: u64,
        mode: FallocateMode,
    },
    Copy {
        from: (usize, u64),
        to: (usize, u64),
        len: u64,
    },
    Read {
        file: usize,
        offset: u64,
        len: usize,
    },
    SetXattr {
        file: usize,
        name: u8,
        value: u8,
    },
    RemoveXattr {
        file: usize,
        name: u8,
    },
    Hold {
        file: usize,
    },
    Release,
    Reap,
    Checkpoint,
    Collect,
    Reopen,
    TakeSnapshot,
    RemoveSnapshot {
        index: usize,
    },
    Rollback {
        index: usize,
    },
    Clone {
        index: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (pick, name) = (0..16_usize, 0..6_u8);
    let offset = prop_oneof![
        0..FILE_BYTES,
        (0..6_u64).prop_map(|i| i * u64::from(CHUNK_BYTES))
    ];
    let len = prop_oneof![1..50_000_usize, Just(CHUNK_BYTES as usize), 1..100_usize];
    let kind = prop_oneof![
        4 => Just(FileKind::File),
        2 => Just(FileKind::Directory),
        1 => Just(FileKind::Symlink),
        1 => Just(FileKind::Fifo),
    ];
    let rename = prop_oneof![
        4 => Just(RenameMode::Replace),
        1 => Just(RenameMode::NoReplace),
        2 => Just(RenameMode::Exchange),
        1 => Just(RenameMode::Whiteout),
        1 => Just(RenameMode::NoReplaceWhiteout),
    ];
    let fallocate = prop_oneof![
        Just(FallocateMode::Extend),
        Just(FallocateMode::Reserve),
        Just(FallocateMode::PunchHole),
        Just(FallocateMode::ZeroRange),
        Just(FallocateMode::ZeroRangeKeepSize),
    ];
    let place = (pick.clone(), name.clone());
    let at = (pick.clone(), offset.clone());
    let span = (pick.clone(), offset.clone(), len.clone());
    prop_oneof![
        6 => (place.clone(), kind).prop_map(|((dir, name), kind)| Op::Make { dir, name, kind }),
        2 => (pick.clone(), place.clone())
            .prop_map(|(file, (dir, name))| Op::Link { file, dir, name }),
        3 => place.clone().prop_map(|(dir, name)| Op::Unlink { dir, name }),
        2 => place.clone().prop_map(|(dir, name)| Op::Rmdir { dir, name }),
        4 => (place.clone(), place, rename).prop_map(|(from, to, mode)| Op::Rename { from, to, mode }),
        8 => (span.clone(), 0..4_u8)
            .prop_map(|((file, offset, len), byte)| Op::Write { file, offset, len, byte }),
        2 => at.clone().prop_map(|(file, size)| Op::Truncate { file, size }),
        2 => (span.clone(), fallocate).prop_map(|((file, offset, len), mode)| {
            Op::Fallocate { file, offset, len: len as u64, mode }
        }),
        3 => (at.clone(), at, len).prop_map(|(from, to, len)| Op::Copy { from, to, len: len as u64 }),
        4 => span.prop_map(|(file, offset, len)| Op::Read { file, offset, len }),
        1 => (pick.clone(), name.clone(), any::<u8>())
            .prop_map(|(file, name, value)| Op::SetXattr { file, name, value }),
        1 => (pick.clone(), name).prop_map(|(file, name)| Op::RemoveXattr { file, name }),
        2 => pick.clone().prop_map(|file| Op::Hold { file }),
        3 => Just(Op::TakeSnapshot),
        2 => pick.clone().prop_map(|index| Op::RemoveSnapshot { index }),
        1 => pick.clone().prop_map(|index| Op::Rollback { index }),
        1 => pick.prop_map(|index| Op::Clone { index }),
        1 => Just(Op::Release),
        1 => Just(Op::Reap),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Collect),
        1 => Just(Op::Reopen),
    ]
}

/// Bytes that tell their place in the file, and are the same for the same place; zeros for 0.
fn pattern(offset: u64, len: usize, byte: u8) -> Vec<u8> {
    let at =
        |i: u64| (u8::try_from((offset + i) % 251).unwrap().wrapping_add(1) * byte.min(1)) ^ byte;
    (0..len as u64).map(at).collect()
}

fn name_of(name: u8) -> [u8; 2] {
    [b'n', b'a' + name]
}

/// In memory where it can be: every snapshot syncs.
fn memory_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// The volume and the tree, side by side. The tree calls its inodes by the volume's numbers.
struct Pair {
    home: tempfile::TempDir,
    volume: Option<Volume>,
    tree: Tree,
    held: Vec<Ino>,
    /// Whole copies of the tree.
    snapshots: Vec<(Snapshot, Tree)>,
    taken: usize,
    /// How often a state came back.
    rollbacks: usize,
}

impl Pair {
    fn new() -> Self {
        let home = memory_dir();
        let chunk = ChunkBytes::new(CHUNK_BYTES).unwrap();
        let config = Config::new(chunk, std::collections::BTreeMap::new());
        let root = RootOwner {
            uid: 0,
            gid: 0,
            mode: 0o755,
        };
        volume::create(&home.path().join("v"), &config, root).unwrap();
        let volume = Some(Volume::open_with(&home.path().join("v"), EAGER).unwrap());
        Self {
            home,
            volume,
            tree: Tree::new(),
            held: Vec::new(),
            snapshots: Vec::new(),
            taken: 0,
            rollbacks: 0,
        }
    }

    fn volume(&self) -> &Volume {
        self.volume.as_ref().unwrap()
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Make { dir, name, kind } => self.make(*dir, *name, *kind),
            Op::Link { file, dir, name } => {
                let (file, dir, name) =
                    (self.tree.file(*file), self.tree.dir(*dir), name_of(*name));
                let real =
                    self.volume()
                        .link(&Caller::root(), file, dir, Name::parse(&name).unwrap());
                assert_eq!(Outcome::of(&real), self.tree.link(file, dir, &name));
            }
            Op::Unlink { dir, name } => {
                let (dir, name) = (self.tree.dir(*dir), name_of(*name));
                let real = self
                    .volume()
                    .unlink(&Caller::root(), dir, Name::parse(&name).unwrap());
                assert_eq!(Outcome::of(&real), self.tree.unlink(dir, &name, &self.held));
            }
            Op::Rmdir { dir, name } => {
                let (dir, name) = (self.tree.dir(*dir), name_of(*name));
                let real = self
                    .volume()
                    .rmdir(&Caller::root(), dir, Name::parse(&name).unwrap());
                assert_eq!(Outcome::of(&real), self.tree.rmdir(dir, &name));
            }
            Op::Rename { from, to, mode } => self.rename(*from, *to, *mode),
            Op::Hold { file } => {
                let ino = self.tree.file(*file);
                self.volume().remember(ino);
                self.held.push(ino);
            }
            Op::Release => self.release(),
            Op::Reap => self.volume().reap().unwrap(),
            Op::Checkpoint => self.volume().checkpoint().unwrap(),
            Op::Collect => drop(self.volume().collect().unwrap()),
            Op::Reopen => self.reopen(),
            Op::TakeSnapshot => self.take_snapshot(),
            Op::RemoveSnapshot { index } => self.remove_snapshot(*index),
            Op::Rollback { index } => self.rollback(*index),
            Op::Clone { index } => self.clone_volume(*index),
            _ => self.apply_to_data(op),
        }
    }

    fn apply_to_data(&mut self, op: &Op) {
        let root = Caller::root();
        match *op {
            Op::Write {
                file,
                offset,
                len,
                byte,
            } => {
                let (ino, data) = (self.tree.file(file), pattern(offset, len, byte));
                let (origin, bits) = (WriteOrigin::Caller, SetIdBits::Keep);
                let real = self.volume().write(ino, offset, &data, origin, bits);
                assert_eq!(Outcome::of(&real), self.tree.write(ino, offset, &data));
            }
            Op::Truncate { file, size } => {
                let ino = self.tree.file(file);
                let change = SetAttr {
                    size: Some(size),
                    ..SetAttr::default()
                };
                let real = self.volume().setattr(&root, ino, &change);
                assert_eq!(Outcome::of(&real), self.tree.truncate(ino, size));
            }
            Op::Fallocate {
                file,
                offset,
                len,
                mode,
            } => {
                let ino = self.tree.file(file);
                let real = self.volume().fallocate(&root, ino, offset, len, mode);
                assert_eq!(
                    Outcome::of(&real),
                    self.tree.fallocate(ino, offset, len, mode)
                );
            }
            Op::Copy { from, to, len } => {
                let (from, to) = (
                    (self.tree.file(from.0), from.1),
                    (self.tree.file(to.0), to.1),
                );
                let real = self.volume().copy_range(&root, from, to, len);
                assert_eq!(Outcome::of(&real), self.tree.copy(from, to, len));
            }
            Op::Read { file, offset, len } => {
                let ino = self.tree.file(file);
                if let Some(expected) = self.tree.read(ino, offset, len) {
                    assert_eq!(self.volume().read(ino, offset, len).unwrap(), expected);
                }
            }
            Op::SetXattr { file, name, value } => {
                let (ino, name) = (self.tree.file(file), format!("user.{name}"));
                let (value, mode) = (vec![value; 20], SetXattrMode::Any);
                let real = self
                    .volume()
                    .set_xattr(&root, ino, name.as_bytes(), &value, mode);
                assert_eq!(Outcome::of(&real), self.tree.set_xattr(ino, &name, &value));
            }
            Op::RemoveXattr { file, name } => {
                let (ino, name) = (self.tree.file(file), format!("user.{name}"));
                let real = self
                    .volume()
                    .remove_xattr(&Caller::root(), ino, name.as_bytes());
                assert_eq!(Outcome::of(&real), self.tree.remove_xattr(ino, &name));
            }
            _ => unreachable!("not an operation on data"),
        }
    }

    fn make(&mut self, dir: usize, name: u8, kind: FileKind) {
        let (dir, name) = (self.tree.dir(dir), name_of(name));
        let target: &[u8] = if kind == FileKind::Symlink {
            b"elsewhere"
        } else {
            b""
        };
        let new = NewNode {
            kind,
            mode: 0o644,
            umask: 0o022,
            rdev: 0,
            target,
        };
        let parsed = Name::parse(&name).unwrap();
        let real = self.volume().create(&Caller::root(), dir, parsed, &new);
        let ino = real.as_ref().map_or(Ino::from_raw(0), |attr| attr.ino);
        assert_eq!(Outcome::of(&real), self.tree.make(dir, &name, kind, ino));
    }

    fn rename(&mut self, from: (usize, u8), to: (usize, u8), mode: RenameMode) {
        let (from_dir, to_dir) = (self.tree.dir(from.0), self.tree.dir(to.0));
        let (from_name, to_name) = (name_of(from.1), name_of(to.1));
        let real = self.volume().rename(
            &Caller::root(),
            (from_dir, Name::parse(&from_name).unwrap()),
            (to_dir, Name::parse(&to_name).unwrap()),
            mode,
        );
        // A whiteout is a new inode, whose number only the volume knows.
        let whiteout = self
            .volume()
            .lookup(from_dir, Name::parse(&from_name).unwrap());
        let whiteout = whiteout.map_or(Ino::from_raw(0), |attr| attr.ino);
        let expected = self.tree.rename(
            (from_dir, &from_name),
            (to_dir, &to_name),
            mode,
            whiteout,
            &self.held,
        );
        assert_eq!(Outcome::of(&real), expected);
    }

    fn take_snapshot(&mut self) {
        self.taken += 1;
        let name: SnapshotName = format!("s{}", self.taken).parse().unwrap();
        let snapshot = self.volume().take_snapshot(&name, "").unwrap();
        let again = self.volume().take_snapshot(&name, "");
        assert!(matches!(again, Err(Error::Exists)));
        self.snapshots.push((snapshot, self.tree.clone()));
    }

    fn remove_snapshot(&mut self, index: usize) {
        if self.snapshots.is_empty() {
            return;
        }
        let (snapshot, _) = self.snapshots.remove(index % self.snapshots.len());
        self.volume().remove_snapshot(&snapshot.name).unwrap();
        let again = self.volume().remove_snapshot(&snapshot.name);
        assert!(matches!(again, Err(Error::NotFound)));
    }

    /// Nobody holds a file while a volume is rolled back: it is not mounted.
    fn rollback(&mut self, index: usize) {
        if self.snapshots.is_empty() {
            return;
        }
        self.reopen();
        let (snapshot, tree) = self.snapshots[index % self.snapshots.len()].clone();
        self.taken += 1;
        let safety: SnapshotName = format!("s{}", self.taken).parse().unwrap();
        let taken = self.volume().rollback(&snapshot.name, &safety).unwrap();
        self.snapshots.push((taken, self.tree.clone()));
        self.tree = tree;
        self.tree.drop_nameless();
        self.rollbacks += 1;
        self.reopen();
    }

    /// A clone, of the head or a snapshot, holds the same, and either volume can change and go.
    fn clone_volume(&mut self, index: usize) {
        let from = self.snapshots.get(index).cloned();
        let dir = self.home.path().join("clone");
        let config = self.volume().config().clone();
        self.volume()
            .clone_into(from.as_ref().map(|(s, _)| s), &dir, &config)
            .unwrap();
        let clone = Volume::open_with(&dir, EAGER).unwrap();
        clone.begin_connection().unwrap();
        let mut tree = from.map_or_else(|| self.tree.clone(), |(_, tree)| tree);
        tree.drop_nameless();
        tree.assert_same(&clone);
        clone.reap().unwrap();
        assert_eq!(clone.audit().unwrap(), Vec::<String>::new());
        for dir_entry in clone.list(Ino::ROOT, 0, 3).unwrap() {
            let bits = SetIdBits::Keep;
            drop(clone.write(
                dir_entry.attr.ino,
                5,
                b"only here",
                WriteOrigin::Caller,
                bits,
            ));
        }
        clone.close().unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[track_caller]
    fn assert_snapshots(&self) {
        let listed = self.volume().snapshots().unwrap();
        let expected: Vec<_> = self.snapshots.iter().map(|(s, _)| s.clone()).collect();
        assert_eq!(listed, expected);
        for (i, (from, old)) in self.snapshots.iter().enumerate() {
            let later = &self.snapshots[i + 1..];
            if let Some((to, new)) = later.first() {
                self.assert_diff((from, old), (Some(to), new));
            }
            for (to, _) in later {
                let is_told = rows::assert_rows(self.volume(), from, to);
                assert!(is_told || self.rollbacks > 0, "{from:?} to {to:?}");
            }
            self.assert_diff((from, old), (None, &self.tree));
        }
        for (snapshot, tree) in &self.snapshots {
            tree.assert_same_at(self.volume().frozen(snapshot.epoch));
        }
    }

    #[track_caller]
    fn assert_diff(&self, (from, old): (&Snapshot, &Tree), (to, new): (Option<&Snapshot>, &Tree)) {
        let (mut old, mut new) = (old.clone(), new.clone());
        old.drop_nameless();
        new.drop_nameless();
        let changes = self.volume().diff(from, to).unwrap();
        changes::assert_changes(&old, &new, &changes);
    }

    fn release(&mut self) {
        for ino in self.held.drain(..) {
            self.volume.as_ref().unwrap().forget(ino, 1);
        }
        self.tree.drop_nameless();
    }

    fn reopen(&mut self) {
        self.held.clear();
        self.volume().end_connection();
        self.volume.take().unwrap().close().unwrap();
        self.volume = Some(Volume::open_with(&self.home.path().join("v"), EAGER).unwrap());
        self.volume().begin_connection().unwrap();
        self.tree.drop_nameless();
        self.tree.assert_same(self.volume());
        self.assert_snapshots();
    }

    fn finish(mut self) {
        self.tree.assert_same(self.volume());
        self.release();
        self.volume().reap().unwrap();
        assert_eq!(self.volume().audit().unwrap(), Vec::<String>::new());
        self.reopen();
        assert_eq!(self.volume().audit().unwrap(), Vec::<String>::new());
        while !self.snapshots.is_empty() {
            self.remove_snapshot(self.taken * 7);
            self.volume().reap().unwrap();
            assert_eq!(self.volume().audit().unwrap(), Vec::<String>::new());
            self.assert_snapshots();
        }
        self.volume.take().unwrap().close().unwrap();
    }
}

fn cases() -> u32 {
    if std::env::var_os("CASK_TEST_LONG").is_some() {
        2000
    } else {
        150
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_volume_does_what_the_tree_does(ops in prop::collection::vec(op(), 1..120)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op);
        }
        pair.finish();
    }
}
