//! Volumes that earlier casks made open, with everything in them, and are of the present format afterwards.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use cask::remote::ObjectId;
use cask::types::{ChunkBytes, Ino, Name, VolumeId};
use cask::volume::store::DirLock;
use cask::volume::{
    Config, Deadline, Error, Origin, Prefetch, RootOwner, Rows, Tuning, Volume, create,
};

/// The newest format of casks that do not know what `origin` is: they refuse a volume that states a newer one.
const BEFORE_ORIGIN: u32 = 4;

/// Each archive is what a cask of that format left: `big` of 300 000 bytes with a second name `dir/link`, changed
/// after snapshot `first`; `copy` of it, removed after; `new`, made after; `sym`; `dir/small` with an attribute.
fn unpack(archive: &str, into: &Path) -> PathBuf {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/formats")
        .join(archive);
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(into);
    assert!(tar.status().unwrap().success());
    into.join("old")
}

fn name(name: &str) -> &Name {
    Name::parse(name.as_bytes()).unwrap()
}

fn pattern(seed: u64, len: u64) -> Vec<u8> {
    let at = |i: u64| u8::try_from((seed * 7 + i * i + i / 251) % 256).unwrap();
    (0..len).map(at).collect()
}

fn read(volume: &Volume, parent: Ino, called: &str) -> Vec<u8> {
    let attr = volume.lookup(parent, name(called)).unwrap();
    let len = usize::try_from(attr.size).unwrap();
    volume.read(attr.ino, 0, len).unwrap()
}

#[test]
fn a_volume_of_format_1_is_brought_to_the_present_one() {
    check("format-1.tar.gz", 1);
}

#[test]
fn a_volume_of_format_2_is_brought_to_the_present_one() {
    check("format-2.tar.gz", 2);
}

#[test]
fn a_volume_of_format_3_is_brought_to_the_present_one() {
    check("format-3.tar.gz", 3);
}

#[test]
fn a_volume_of_format_4_is_brought_to_the_present_one() {
    check("format-4.tar.gz", 4);
}

/// What an earlier cask made gets sums for the pages of its database from a repair, which finds nothing else to do.
#[test]
fn a_repair_gives_pages_their_sums() {
    let home = tempfile::tempdir().unwrap();
    let dir = unpack("format-4.tar.gz", home.path());
    let reserved = || std::fs::read(dir.join("meta.db")).unwrap()[20];
    assert_eq!(reserved(), 0);
    let repaired = cask::volume::repair(&dir, &|_| {}).unwrap();
    assert_eq!(repaired.changes.len(), 1, "{:?}", repaired.changes);
    assert!(repaired.changes[0].contains("have sums from now on"));
    assert_eq!(reserved(), 8);
    let again = cask::volume::repair(&dir, &|_| {}).unwrap();
    assert_eq!(again.changes, Vec::<String>::new());
    let volume = Volume::open(&dir).unwrap();
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    assert_eq!(read(&volume, Ino::ROOT, "new"), b"new\n");
    volume.close().unwrap();
}

/// Of the tables: SQLite's `user_version`, big-endian in the file's header (<https://www.sqlite.org/fileformat.html>).
fn version_of_tables(dir: &Path) -> u32 {
    let bytes = std::fs::read(dir.join("meta.db")).unwrap();
    u32::from_be_bytes(bytes[60..64].try_into().unwrap())
}

#[test]
fn who_has_an_older_program_knows_of_a_step_before_it_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let dir = unpack("format-3.tar.gz", home.path());
    let open = |said: io::Result<()>| {
        let mut asked = Vec::new();
        let opened = Volume::open_held(
            &dir,
            DirLock::take(&dir).unwrap(),
            Tuning::default(),
            |format| {
                asked.push(format);
                assert_eq!(Config::load(&dir).unwrap().format, 3);
                assert_eq!(version_of_tables(&dir), 3);
                said
            },
        );
        (opened, asked)
    };
    let (refused, asked) = open(Err(io::ErrorKind::BrokenPipe.into()));
    assert!(matches!(refused, Err(Error::Storage { .. })));
    assert_eq!(asked.len(), 1);
    assert_eq!(Config::load(&dir).unwrap().format, 3);
    assert_eq!(version_of_tables(&dir), 3);
    let (opened, asked) = open(Ok(()));
    opened.unwrap().close().unwrap();
    assert_eq!(asked, [Config::load(&dir).unwrap().format]);
    let (opened, asked) = open(Ok(()));
    opened.unwrap().close().unwrap();
    assert!(asked.is_empty(), "there is no step to take");
}

/// Of a repository that nobody can reach, of which nothing is fetched ahead.
fn origin(home: &Path) -> Origin {
    Origin {
        root: home.to_owned(),
        remote: "r".to_owned(),
        repository: VolumeId::random(),
        snapshot: "r:db@s".to_owned(),
        pin: ObjectId::random().unwrap(),
        rows: Rows::Here,
        prefetch: Prefetch::Metadata,
        deadline: Deadline::Seconds(1),
    }
}

/// One that lacks chunks, as this cask makes it, and one that states the format before.
#[test]
fn an_earlier_cask_refuses_a_volume_that_lacks_chunks() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("lacking");
    let mut config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    config.origin = Some(origin(home.path()));
    let owner = RootOwner {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    create(&dir, &config, owner).unwrap();
    let stated = || Config::load(&dir).unwrap().format;
    assert!(stated() > BEFORE_ORIGIN);
    config.format = BEFORE_ORIGIN;
    config.store(&dir).unwrap();
    Volume::open(&dir).unwrap().close().unwrap();
    assert!(stated() > BEFORE_ORIGIN);
}

fn check(archive: &str, format: u32) {
    let home = tempfile::tempdir().unwrap();
    let dir = unpack(archive, home.path());
    assert_eq!(Config::load(&dir).unwrap().format, format);
    for _ in 0..2 {
        let volume = Volume::open(&dir).unwrap();
        assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
        let mut big = pattern(1, 300_000);
        big[100_000..105_000].copy_from_slice(&pattern(2, 5000));
        assert_eq!(read(&volume, Ino::ROOT, "big"), big);
        let below = volume.lookup(Ino::ROOT, name("dir")).unwrap();
        assert_eq!(read(&volume, below.ino, "link"), big);
        let small = volume.lookup(below.ino, name("small")).unwrap();
        let colour = volume.xattr(small.ino, b"user.colour").unwrap();
        assert_eq!(colour, b"blue");
        assert_eq!(read(&volume, Ino::ROOT, "new"), b"new\n");
        let usage = volume.usage().unwrap();
        assert_eq!(usage.logical_bytes, 300_000 + 6 + 4);
        // The head still names a part of each chunk that was changed.
        assert_eq!((usage.snapshot_bytes, usage.live_chunks), (0, 6));
        volume.collect().unwrap();
        assert_eq!(volume.snapshots().unwrap().len(), 1);
        volume.close().unwrap();
    }
    assert!(Config::load(&dir).unwrap().format > format);
}
