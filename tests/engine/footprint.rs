//! What a volume takes on the disk beside what is stored in it: little while it is empty, and more as it grows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cask::types::{Caller, Ino};
use cask::volume::{SetXattrMode, Volume};

use crate::common::{make, name, noise, write};
use crate::{Home, wait_until};

const KIB: u64 = 1024;
const EMPTY_BYTES_MAX: u64 = 256 * KIB;

/// As du(1) counts it.
fn disk_bytes(path: &Path) -> u64 {
    let metadata = fs::symlink_metadata(path).unwrap();
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        bytes += entries
            .map(|entry| disk_bytes(&entry.unwrap().path()))
            .sum::<u64>();
    }
    bytes
}

fn reserve(home: &Home) -> u64 {
    disk_bytes(&home.dir().join("reserve"))
}

/// Names that take a page each, more or less.
fn make_long(volume: &Volume, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let ino = make(volume, &format!("f{number}")).ino;
        let value = noise(u64::from(number), 3000);
        volume
            .set_xattr(
                &Caller::root(),
                ino,
                b"user.long",
                &value,
                SetXattrMode::Any,
            )
            .unwrap();
    }
}

#[test]
fn an_empty_volume_is_small() {
    let home = Home::new();
    let assert_small = |when: &str| {
        let bytes = disk_bytes(&home.dir());
        assert!(bytes <= EMPTY_BYTES_MAX, "{when}: {bytes} bytes");
    };
    assert_small("made");
    let volume = home.open();
    assert_small("open");
    volume.close().unwrap();
    assert_small("closed");
    let volume = home.open();
    make(&volume, "f");
    volume
        .unlink(&Caller::root(), Ino::ROOT, name("f"))
        .unwrap();
    volume.sync().unwrap();
    let bytes = disk_bytes(&home.dir());
    assert!(bytes <= 2 * EMPTY_BYTES_MAX, "used: {bytes} bytes");
    volume.close().unwrap();
    assert_small("closed after it was used");
}

#[test]
fn the_reserve_grows_with_the_tables_and_stays_so() {
    let home = Home::new();
    let volume = home.open();
    let new = reserve(&home);
    let mut before = new;
    for round in 0..4 {
        make_long(&volume, round * 60..(round + 1) * 60);
        let now = reserve(&home);
        // 60 values of 3000 bytes, and each counts eightfold.
        assert!(now >= before + 60 * 3000 * 4, "{now} after {before}");
        before = now;
    }
    volume.close().unwrap();
    let closed = reserve(&home);
    assert!(
        closed > new + 240 * 3000 * 4 && closed <= before,
        "{closed}"
    );
    home.open().close().unwrap();
    assert_eq!(reserve(&home), closed);
}

/// A log is written ahead as it is used, and is nothing once the volume is closed; its length says at any time that it
/// is whole.
#[test]
fn the_log_takes_space_as_it_is_used() {
    let home = Home::new();
    let log = home.dir().join("meta.db-wal");
    let volume = home.open();
    assert!(disk_bytes(&log) <= 64 * KIB);
    assert_eq!(fs::metadata(&log).unwrap().len(), 4096 * KIB);
    make_long(&volume, 0..4);
    let used = disk_bytes(&log);
    assert!((64 * KIB..1024 * KIB).contains(&used), "{used}");
    make_long(&volume, 4..400);
    assert!(disk_bytes(&log) >= 4096 * KIB);
    volume.close().unwrap();
    assert_eq!(disk_bytes(&log), 0);
}

/// What is answered before its extents are there must find space for them later, however small the tables are.
#[test]
fn copies_that_are_answered_first_have_all_of_the_reserve() {
    let home = Home::new();
    let volume = home.open();
    let [from, to] = ["from", "to"].map(|called| make(&volume, called).ino);
    write(&volume, from, 0, &noise(1, 1024 * KIB)).unwrap();
    let before = reserve(&home);
    assert!(before < 8 * 1024 * KIB, "{before}");
    let copied = volume
        .copy_range(&Caller::root(), (from, 0), (to, 0), 1024 * KIB)
        .unwrap();
    assert_eq!(copied, 1024 * KIB);
    assert_eq!(reserve(&home), 32 * 1024 * KIB);
    // The extents are written in the background.
    wait_until(|| volume.usage().unwrap().extents >= 16);
    volume.sync().unwrap();
    volume.close().unwrap();
    let closed = reserve(&home);
    assert!((before..8 * 1024 * KIB).contains(&closed), "{closed}");
}
