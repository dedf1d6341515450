//! What the child does, step by step, and what a volume holds after the steps that were acknowledged.

use std::collections::BTreeMap;

use cask::types::{Caller, Ino, SnapshotName};
use cask::volume::{DirEntry, Error, Frozen, RenameMode, Result, SetXattrMode, Snapshot, Volume};

use crate::common::{name, noise, try_make, write};

/// One thing that is done to a volume, in its root.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Make(&'static str),
    /// So many bytes of a seed, from an offset on.
    Write(&'static str, usize, u64, usize),
    Rename(&'static str, &'static str),
    Unlink(&'static str),
    SetXattr(&'static str, &'static [u8]),
    TakeSnapshot(&'static str),
    RemoveSnapshot(&'static str),
    Sync,
    Checkpoint,
}

use Step::{Checkpoint, Make, RemoveSnapshot, Rename, SetXattr, Sync, TakeSnapshot, Unlink, Write};

/// What is in the volume before anything fails.
pub(crate) const BEFORE: &[Step] = &[
    Make("old"),
    Write("old", 0, 1, 40_000),
    SetXattr("old", b"as it was"),
    TakeSnapshot("before"),
    Make("older"),
    Write("older", 0, 2, 3000),
];

pub(crate) const STEPS: &[Step] = &[
    Make("a"),
    Write("a", 0, 3, 3000),
    Make("b"),
    Write("b", 0, 4, 600_000),
    Sync,
    Write("a", 1000, 5, 500),
    Write("b", 100_000, 6, 200_000),
    SetXattr("a", b"one"),
    Sync,
    Rename("a", "c"),
    TakeSnapshot("one"),
    Make("d"),
    Write("d", 0, 7, 5000),
    Rename("d", "c"),
    Unlink("b"),
    Checkpoint,
    Make("e"),
    Write("e", 0, 8, 70_000),
    Write("old", 20_000, 9, 30_000),
    SetXattr("e", b"two"),
    RemoveSnapshot("one"),
    Sync,
    Unlink("older"),
    Write("e", 0, 10, 100),
    TakeSnapshot("two"),
    Checkpoint,
    SetXattr("e", b"three"),
    Write("c", 9000, 11, 100),
    Sync,
];

/// What is done when the fault has passed.
pub(crate) const LATE: &[Step] = &[Make("late"), Write("late", 0, 12, 50_000), Sync];

const KEY: &[u8] = b"user.said";
const BYTES_MAX: usize = 1 << 20;

/// Bytes and attribute of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    said: Option<Vec<u8>>,
}

pub(crate) type Files = BTreeMap<String, Content>;

/// What a volume holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) files: Files,
    pub(crate) snapshots: BTreeMap<String, Files>,
}

impl Step {
    pub(crate) fn take(self, volume: &Volume) -> Result<()> {
        let caller = Caller::root();
        let ino = |called| Ok::<_, Error>(volume.lookup(Ino::ROOT, name(called))?.ino);
        match self {
            Make(called) => try_make(volume, called).map(drop),
            Write(called, at, seed, len) => {
                write(volume, ino(called)?, at as u64, &noise(seed, len as u64))
            }
            Rename(from, to) => {
                let place = |called| (Ino::ROOT, name(called));
                volume.rename(&caller, place(from), place(to), RenameMode::Replace)
            }
            Unlink(called) => volume.unlink(&caller, Ino::ROOT, name(called)),
            SetXattr(called, value) => {
                volume.set_xattr(&caller, ino(called)?, KEY, value, SetXattrMode::Any)
            }
            TakeSnapshot(called) => volume.take_snapshot(&snapshot_name(called), "").map(drop),
            RemoveSnapshot(called) => volume.remove_snapshot(&snapshot_name(called)),
            Sync => volume.sync(),
            Checkpoint => volume.checkpoint(),
        }
    }

    /// Whether the step is of more than one commit, so that an error may come after it was done.
    pub(crate) fn may_be_done_and_fail(self) -> bool {
        matches!(self, TakeSnapshot(_) | RemoveSnapshot(_))
    }
}

fn snapshot_name(called: &str) -> SnapshotName {
    called.parse().unwrap()
}

impl Tree {
    pub(crate) fn after(steps: &[Step]) -> Self {
        let mut tree = Self::default();
        for &step in steps {
            assert!(tree.apply(step), "{step:?}");
        }
        tree
    }

    /// What `step` does; `false` when there is not what it is about.
    pub(crate) fn apply(&mut self, step: Step) -> bool {
        match step {
            Make(called) => {
                let made = self.files.insert(called.to_owned(), Content::default());
                made.is_none()
            }
            Write(called, at, seed, len) => self.files.get_mut(called).is_some_and(|file| {
                let end = file.bytes.len().max(at + len);
                file.bytes.resize(end, 0);
                file.bytes[at..at + len].copy_from_slice(&noise(seed, len as u64));
                true
            }),
            Rename(from, to) => self.files.remove(from).is_some_and(|file| {
                self.files.insert(to.to_owned(), file);
                true
            }),
            Unlink(called) => self.files.remove(called).is_some(),
            SetXattr(called, value) => self.files.get_mut(called).is_some_and(|file| {
                file.said = Some(value.to_vec());
                true
            }),
            TakeSnapshot(called) => {
                let files = self.files.clone();
                self.snapshots.insert(called.to_owned(), files).is_none()
            }
            RemoveSnapshot(called) => self.snapshots.remove(called).is_some(),
            Sync | Checkpoint => true,
        }
    }

    pub(crate) fn of(volume: &Volume) -> Self {
        let snapshots = volume.snapshots().unwrap().into_iter();
        let frozen = |taken: Snapshot| {
            let files = frozen_files(&volume.frozen(taken.epoch));
            (taken.name.as_str().to_owned(), files)
        };
        Self {
            files: files_of(volume),
            snapshots: snapshots.map(frozen).collect(),
        }
    }
}

fn files_of(volume: &Volume) -> Files {
    let read = |ino| volume.read(ino, 0, BYTES_MAX);
    files(volume.list(Ino::ROOT, 0, 1000), read, |ino| {
        volume.xattr(ino, KEY)
    })
}

fn frozen_files(frozen: &Frozen<'_>) -> Files {
    let read = |ino| frozen.read(ino, 0, BYTES_MAX);
    files(frozen.list(Ino::ROOT, 0, 1000), read, |ino| {
        frozen.xattr(ino, KEY)
    })
}

fn files(
    listed: Result<Vec<DirEntry>>,
    read: impl Fn(Ino) -> Result<Vec<u8>>,
    xattr: impl Fn(Ino) -> Result<Vec<u8>>,
) -> Files {
    let file = |entry: DirEntry| {
        let (bytes, said) = (read(entry.attr.ino).unwrap(), said(xattr(entry.attr.ino)));
        let called = String::from_utf8(entry.name.as_bytes().to_vec()).unwrap();
        (called, Content { bytes, said })
    };
    listed.unwrap().into_iter().map(file).collect()
}

fn said(value: Result<Vec<u8>>) -> Option<Vec<u8>> {
    match value {
        Err(Error::NoAttribute) => None,
        value => Some(value.unwrap()),
    }
}
