//! Power cuts: what was synced is there, what was not is there or not, and the tree is one that existed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/volume.rs"]
mod common;
mod disk;
mod images;
#[path = "../common/random.rs"]
mod random;
mod trace;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cask::types::{Ino, Name};
use cask::volume::{Error, Tuning, Volume};

use common::{make, write};
use random::Random;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        common::create(&home.dir());
        home
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("v")
    }

    /// The bytes stay where they were written.
    fn open(&self) -> Volume {
        Volume::open_with(&self.dir(), Tuning::default()).unwrap()
    }

    fn reboot(&self) {
        reboot(&self.dir());
    }
}

/// Another boot of the host, by what the volume in `dir` knows.
fn reboot(dir: &Path) {
    let path = dir.join("state");
    let Ok(bytes) = fs::read(&path) else { return };
    // One that was torn is for the volume to deal with.
    let Ok(mut state) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
        return;
    };
    state["boot_id"] = "another".into();
    put(&path, state.to_string().as_bytes());
}

/// Gives a file other bytes.
fn put(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
}

fn newest_segment(dir: &Path) -> PathBuf {
    let segments = fs::read_dir(dir.join("segments")).unwrap();
    segments.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[test]
fn synced_data_that_was_overwritten_without_a_sync_is_there_after_a_power_cut() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    write(&volume, file.ino, 0, &[1; 50_000]).unwrap();
    volume.sync().unwrap();
    let segment = newest_segment(&home.dir());
    let synced = fs::read(&segment).unwrap();
    for byte in 2..20 {
        write(&volume, file.ino, 0, &[byte; 50_000]).unwrap();
        make(&volume, &format!("{byte}"));
    }
    // No close: the log keeps what was committed. Its frames reached the disk, the segment's bytes did not.
    drop(volume);
    home.reboot();
    put(&segment, &synced);
    let volume = home.open();
    assert!(volume.read(file.ino, 0, 50_000).unwrap() == [1; 50_000]);
    // Nothing younger than the first lost write is there, and what was cut off is kept.
    let later = volume.lookup(Ino::ROOT, Name::parse(b"2").unwrap());
    assert!(matches!(later, Err(Error::NotFound)), "{later:?}");
    assert!(home.dir().join("meta.db-wal.cut").exists());
    assert!(!home.dir().join("recovery").exists());
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    write(&volume, file.ino, 0, &[9; 50_000]).unwrap();
    volume.close().unwrap();
    let volume = home.open();
    assert!(volume.read(file.ino, 0, 50_000).unwrap() == [9; 50_000]);
    volume.close().unwrap();
}

#[test]
fn after_a_power_cut_that_lost_nothing_everything_is_there() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    for byte in 1..20 {
        write(&volume, file.ino, 0, &[byte; 50_000]).unwrap();
    }
    drop(volume);
    home.reboot();
    let volume = home.open();
    assert!(volume.read(file.ino, 0, 50_000).unwrap() == [19; 50_000]);
    assert!(!home.dir().join("meta.db-wal.cut").exists());
    volume.close().unwrap();
}

#[test]
fn as_much_is_kept_as_is_whole() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    let mut contents = Vec::new();
    for byte in 1..30 {
        write(&volume, file.ino, 0, &[byte; 50_000]).unwrap();
        contents.push(fs::read(newest_segment(&home.dir())).unwrap());
    }
    drop(volume);
    home.reboot();
    // The bytes of the 20th write are whole, those of the next are not.
    let segment = newest_segment(&home.dir());
    let torn = &contents[20];
    put(&segment, &torn[..torn.len() - 1]);
    let volume = home.open();
    assert!(volume.read(file.ino, 0, 50_000).unwrap() == [20; 50_000]);
    volume.close().unwrap();
}
