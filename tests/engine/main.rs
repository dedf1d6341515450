//! The engine below FUSE: limits, large directories and files, damage, what an unclean end leaves.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]

#[path = "../common/volume.rs"]
mod common;
mod cuts;
mod footprint;
#[path = "../common/tuning.rs"]
mod tuning;
mod unwanted;
mod write_back;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cask::types::{Caller, Ino, Name, SetAttr};
use cask::volume::{Error, LINKS_MAX, SetXattrMode, Volume};
use tuning::EAGER;

use common::{create, make, write};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        create(&home.dir());
        home
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("v")
    }

    fn open(&self) -> Volume {
        Volume::open_with(&self.dir(), EAGER).unwrap()
    }
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(30), "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes that no two places share.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn many() -> usize {
    if std::env::var_os("CASK_TEST_LONG").is_some() {
        1_000_000
    } else {
        50_000
    }
}

#[test]
fn an_inode_has_at_most_65_000_names() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "first");
    for i in 1..LINKS_MAX {
        let name = format!("name-{i}");
        volume
            .link(
                &Caller::root(),
                file.ino,
                Ino::ROOT,
                Name::parse(name.as_bytes()).unwrap(),
            )
            .unwrap();
    }
    let more = volume.link(
        &Caller::root(),
        file.ino,
        Ino::ROOT,
        Name::parse(b"more").unwrap(),
    );
    assert!(matches!(more, Err(Error::TooManyLinks)));
    assert_eq!(volume.getattr(file.ino).unwrap().nlink, LINKS_MAX);
    volume.close().unwrap();
}

#[test]
fn a_large_directory_is_listed_whole_and_removed() {
    let home = Home::new();
    let volume = home.open();
    for i in 0..many() {
        make(&volume, &format!("{i}"));
    }
    let mut seen = 0;
    let mut after = 0;
    loop {
        let entries = volume.list(Ino::ROOT, after, 1000).unwrap();
        let Some(last) = entries.last() else { break };
        after = last.cookie;
        seen += entries.len();
    }
    assert_eq!(seen, many());
    for i in 0..many() {
        volume
            .unlink(
                &Caller::root(),
                Ino::ROOT,
                Name::parse(format!("{i}").as_bytes()).unwrap(),
            )
            .unwrap();
    }
    volume.reap().unwrap();
    assert_eq!(volume.usage().unwrap().inodes, 1);
    volume.close().unwrap();
}

#[test]
fn cutting_a_file_of_very_many_extents_leaves_what_is_before_the_cut() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file").ino;
    for i in 0..3000_u64 {
        write(&volume, file, i * 8192, &noise(i, 100)).unwrap();
    }
    let cut = 8192 * 1000 + 50;
    let change = SetAttr {
        size: Some(cut),
        ..SetAttr::default()
    };
    let attr = volume.setattr(&Caller::root(), file, &change).unwrap();
    assert_eq!(attr.size, cut);
    assert_eq!(attr.allocated, 1000 * 100 + 50);
    assert_eq!(
        volume.read(file, 8192 * 1000, 4096).unwrap(),
        noise(1000, 100)[..50]
    );
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    volume.close().unwrap();
}

#[test]
fn equal_chunks_are_stored_once_and_live_until_the_last_name_is_gone() {
    let home = Home::new();
    let volume = home.open();
    let data = noise(1, 4 * 1024 * 1024);
    let files: Vec<Ino> = (0..4)
        .map(|i| {
            let ino = make(&volume, &format!("{i}")).ino;
            write(&volume, ino, 0, &data).unwrap();
            ino
        })
        .collect();
    let usage = volume.usage().unwrap();
    assert_eq!(usage.logical_bytes, 4 * 4 * 1024 * 1024);
    assert_eq!(usage.live_bytes, 4 * 1024 * 1024);
    for i in 0..3 {
        volume
            .unlink(
                &Caller::root(),
                Ino::ROOT,
                Name::parse(format!("{i}").as_bytes()).unwrap(),
            )
            .unwrap();
    }
    volume.reap().unwrap();
    assert!(volume.read(files[3], 0, data.len()).unwrap() == data);
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    volume.close().unwrap();
}

#[test]
fn a_damaged_chunk_is_an_error_and_everything_else_reads() {
    let home = Home::new();
    let volume = home.open();
    let (bad, good) = (make(&volume, "bad").ino, make(&volume, "good").ino);
    write(&volume, bad, 0, &noise(1, 10_000)).unwrap();
    write(&volume, good, 0, &noise(2, 10_000)).unwrap();
    volume.sync().unwrap();
    let segment = home.dir().join("segments/00000001.seg");
    let file = File::options()
        .read(true)
        .write(true)
        .open(segment)
        .unwrap();
    // The first record's bytes begin behind two headers of 64 bytes.
    file.write_all_at(b"XX", 64 + 64 + 5000).unwrap();
    assert!(matches!(
        volume.read(bad, 0, 10_000),
        Err(Error::Corrupt(_))
    ));
    assert_eq!(volume.read(bad, 0, 4096).unwrap(), noise(1, 10_000)[..4096]);
    assert_eq!(volume.read(good, 0, 10_000).unwrap(), noise(2, 10_000));
    volume.close().unwrap();
}

#[test]
fn the_attributes_of_an_inode_have_a_limit_in_all() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file").ino;
    let set = |i: u32, len| {
        let name = format!("user.{i}");
        volume.set_xattr(
            &Caller::root(),
            file,
            name.as_bytes(),
            &noise(7, len),
            SetXattrMode::Any,
        )
    };
    for i in 0..15 {
        set(i, 4096).unwrap();
    }
    assert!(matches!(set(15, 8192), Err(Error::AttributesFull)));
    set(0, 10).unwrap();
    set(15, 4096).unwrap();
    volume.close().unwrap();
}

#[test]
fn a_volume_is_open_once() {
    let home = Home::new();
    let volume = home.open();
    assert!(matches!(
        Volume::open_with(&home.dir(), EAGER),
        Err(Error::InUse { .. })
    ));
    volume.close().unwrap();
    home.open().close().unwrap();
}

#[test]
fn what_was_acknowledged_is_there_after_the_volume_was_dropped() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file").ino;
    write(&volume, file, 0, &noise(3, 200_000)).unwrap();
    let open = make(&volume, "unlinked").ino;
    volume.remember(open);
    volume
        .unlink(
            &Caller::root(),
            Ino::ROOT,
            Name::parse(b"unlinked").unwrap(),
        )
        .unwrap();
    drop(volume);
    let volume = home.open();
    assert!(volume.read(file, 0, 200_000).unwrap() == noise(3, 200_000));
    volume.begin_connection().unwrap();
    volume.reap().unwrap();
    assert!(matches!(volume.getattr(open), Err(Error::NotFound)));
    let next = make(&volume, "next").ino;
    assert!(next > open, "numbers are not used again");
    volume.close().unwrap();
}

#[test]
fn what_is_not_a_whole_volume_is_refused_by_name() {
    let home = Home::new();
    fs::remove_file(home.dir().join("meta.db")).unwrap();
    assert!(
        matches!(Volume::open_with(&home.dir(), EAGER), Err(Error::Corrupt(text)) if text.contains("meta.db"))
    );
    let home = Home::new();
    let database = File::options()
        .write(true)
        .open(home.dir().join("meta.db"))
        .unwrap();
    database.write_all_at(&[0; 100], 0).unwrap();
    assert!(matches!(
        Volume::open_with(&home.dir(), EAGER),
        Err(Error::Corrupt(_))
    ));
    let home = Home::new();
    let text = fs::read_to_string(home.dir().join("volume.json")).unwrap();
    let newer = text.replace("\"format\": 5", "\"format\": 99");
    File::create(home.dir().join("volume.json"))
        .unwrap()
        .write_all_at(newer.as_bytes(), 0)
        .unwrap();
    assert!(matches!(
        Volume::open_with(&home.dir(), EAGER),
        Err(Error::NewerFormat { found: 99, .. })
    ));
}
