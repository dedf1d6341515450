//! A volume with a bit of everything, a clone of it, and what they hold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cask::types::{Attr, Caller, FileKind, Ino, Name, NewNode, Repaired};
use cask::volume::{self, Depth, Error, SetXattrMode, Tuning, Volume};

use super::common::{config, create, make, name, write};

pub(crate) const SECOND_BYTES: usize = 300_000;

/// Paths, and the bytes behind them, or why they cannot be read.
pub(crate) type Tree = BTreeMap<String, Result<Vec<u8>, String>>;

/// A directory with the volume `v` and its clone `c`, gone at the end.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// `v` was killed: its log holds commits, and its last segment was being written to.
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        create(&home.dir());
        let volume = home.open();
        fill(&volume);
        volume.take_snapshot(&"kept".parse().unwrap(), "").unwrap();
        change(&volume);
        volume
            .clone_into(None, &home.clone_dir(), &config())
            .unwrap();
        volume.close().unwrap();
        let volume = home.open();
        let late = make(&volume, "late").ino;
        write(&volume, late, 0, &content(5, 100_000)).unwrap();
        make(&volume, "last");
        drop(volume);
        home
    }

    /// A copy, with the clone sharing segments as it did.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        // Whoever opens a volume sets it aside anew, which is cheaper than a copy.
        for dir in [self.dir(), self.clone_dir()] {
            drop(fs::remove_file(dir.join("reserve")));
        }
        let mut cp = Command::new("cp");
        cp.arg("-a").args([self.dir(), self.clone_dir()]);
        assert!(cp.arg(copy.0.path()).status().unwrap().success());
        copy
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("v")
    }

    pub(crate) fn clone_dir(&self) -> PathBuf {
        self.0.path().join("c")
    }

    /// The bytes stay where they were written.
    #[track_caller]
    pub(crate) fn open(&self) -> Volume {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Volume, Error> {
        Volume::open_with(&self.dir(), Tuning::default())
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir().join("meta.db")
    }

    /// The file of segment `number`.
    pub(crate) fn segment(&self, number: u32) -> PathBuf {
        self.dir().join(format!("segments/{number:08x}.seg"))
    }

    #[track_caller]
    pub(crate) fn repair(&self) -> Repaired {
        volume::repair(&self.dir(), &|_| {}).unwrap()
    }

    /// Checks all data, and that nothing is wrong; returns what is known to be lost.
    #[track_caller]
    pub(crate) fn assert_sound(&self) -> Vec<String> {
        assert_sound(&self.dir())
    }
}

/// Checks all data of the volume in `dir`, and that nothing is wrong; returns what is known to be lost.
#[track_caller]
pub(crate) fn assert_sound(dir: &Path) -> Vec<String> {
    let volume = Volume::open_with(dir, Tuning::default()).unwrap();
    let checked = volume.check(Depth::Data).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
    volume.close().unwrap();
    checked.lost
}

fn fill(volume: &Volume) {
    let first = make(volume, "first").ino;
    write(volume, first, 0, &content(1, 300_000)).unwrap();
    volume
        .set_xattr(
            &Caller::root(),
            first,
            b"user.k",
            b"value",
            SetXattrMode::Any,
        )
        .unwrap();
    let dir = make_in(volume, Ino::ROOT, "dir", FileKind::Directory).ino;
    volume
        .link(&cask::types::Caller::root(), first, dir, name("hard"))
        .unwrap();
    let second = make_in(volume, dir, "second", FileKind::File).ino;
    write(volume, second, 0, &content(2, SECOND_BYTES)).unwrap();
    let sub = make_in(volume, dir, "sub", FileKind::Directory).ino;
    let third = make_in(volume, sub, "third", FileKind::File).ino;
    write(volume, third, 0, &content(3, 3_000)).unwrap();
    write(volume, third, 50_000, &content(6, 40_000)).unwrap();
    let gone = make(volume, "gone").ino;
    write(volume, gone, 0, &content(4, 50_000)).unwrap();
}

fn change(volume: &Volume) {
    volume
        .unlink(&cask::types::Caller::root(), Ino::ROOT, name("gone"))
        .unwrap();
    let first = volume.lookup(Ino::ROOT, name("first")).unwrap().ino;
    write(volume, first, 100_000, &content(7, 10_000)).unwrap();
    for i in 0..200 {
        let ino = make(volume, &format!("many-{i:03}-{}", "x".repeat(30))).ino;
        write(volume, ino, 0, &content(100 + i, 300)).unwrap();
    }
}

pub(crate) fn make_in(volume: &Volume, dir: Ino, called: &str, kind: FileKind) -> Attr {
    let new = NewNode {
        kind,
        mode: 0o755,
        umask: 0,
        rdev: 0,
        target: &[],
    };
    volume
        .create(&Caller::root(), dir, name(called), &new)
        .unwrap()
}

/// Bytes in which no two pages are equal.
pub(crate) fn content(seed: u64, len: usize) -> Vec<u8> {
    let words = (0..len as u64 / 8 + 1).map(|i| (i + 1).wrapping_mul(seed | 1) ^ seed << 40);
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// All files of the head, and of the snapshot, below `@kept`.
pub(crate) fn tree(volume: &Volume) -> Tree {
    let mut found = Tree::new();
    let list = |dir: Ino| volume.list(dir, 0, usize::MAX);
    let read = |attr: &Attr| volume.read(attr.ino, 0, usize::try_from(attr.size).unwrap());
    walk(&list, &read, Ino::ROOT, "", &mut found);
    if let Ok(snapshot) = volume.snapshot(&"kept".parse().unwrap()) {
        let frozen = volume.frozen(snapshot.epoch);
        let list = |dir: Ino| frozen.list(dir, 0, usize::MAX);
        let read = |attr: &Attr| frozen.read(attr.ino, 0, usize::try_from(attr.size).unwrap());
        walk(&list, &read, Ino::ROOT, "@kept/", &mut found);
    }
    found
}

fn walk(
    list: &impl Fn(Ino) -> Result<Vec<volume::DirEntry>, Error>,
    read: &impl Fn(&Attr) -> Result<Vec<u8>, Error>,
    dir: Ino,
    below: &str,
    found: &mut Tree,
) {
    let entries = match list(dir) {
        Ok(entries) => entries,
        Err(error) => {
            found.insert(below.to_owned(), Err(error.to_string()));
            return;
        }
    };
    for entry in entries {
        let path = format!("{below}{}", String::from_utf8_lossy(entry.name.as_bytes()));
        if entry.attr.kind == FileKind::Directory {
            walk(list, read, entry.attr.ino, &format!("{path}/"), found);
        } else {
            found.insert(path, read(&entry.attr).map_err(|e| e.to_string()));
        }
    }
}

/// Whether each file that can be read has the bytes that it had; returns how many can be.
#[track_caller]
pub(crate) fn assert_no_other_bytes(found: &Tree, before: &Tree, case: &str) -> usize {
    let mut whole = 0;
    for (path, bytes) in found {
        let (Ok(bytes), Some(Ok(expected))) = (bytes, before.get(path)) else {
            continue;
        };
        assert!(bytes == expected, "{case}: other bytes in {path}");
        whole += 1;
    }
    whole
}

/// Where in a file these bytes are.
#[track_caller]
pub(crate) fn place_of(path: &Path, bytes: &[u8]) -> u64 {
    let file = fs::read(path).unwrap();
    let wanted = &bytes[..64];
    let found = file.windows(64).position(|window| window == wanted);
    found.unwrap() as u64
}

pub(crate) fn writable(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

pub(crate) fn overwrite(path: &Path, bytes: &[u8], at: u64) {
    writable(path).write_all_at(bytes, at).unwrap();
}

pub(crate) fn lookup(volume: &Volume, path: &str) -> Attr {
    let mut at = volume.getattr(Ino::ROOT).unwrap();
    for step in path.split('/') {
        at = volume
            .lookup(at.ino, Name::parse(step.as_bytes()).unwrap())
            .unwrap();
    }
    at
}
