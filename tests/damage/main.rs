//! Damage on the disk: it is found and named, never returned as data, and everything else stays readable.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(
    clippy::print_stderr,
    reason = "what was done in each case goes to the output of a test"
)]

#[path = "../common/volume.rs"]
mod common;
mod copying;
mod home;
mod matrix;
#[path = "../mounted"]
mod mounted {
    pub(crate) mod harness;
}
mod repair;
mod scrub;
#[path = "../common/tuning.rs"]
mod tuning;

use mounted::harness;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use cask::types::{Checked, Ino, Name};
use cask::volume::{Depth, Error, Tuning, Volume};

use common::{make, write};

const FILE_BYTES: usize = 300_000;

/// A volume with two files, of which one is in a snapshot only in part; closed.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        common::create(&home.dir());
        let volume = home.open();
        for (name, seed) in [("first", 1), ("second", 2)] {
            let ino = make(&volume, name).ino;
            let bytes = content(seed);
            write(&volume, ino, 0, &bytes).unwrap();
        }
        volume.take_snapshot(&"kept".parse().unwrap(), "").unwrap();
        volume.close().unwrap();
        home
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("v")
    }

    /// The bytes stay where they were written.
    fn open(&self) -> Volume {
        Volume::open_with(&self.dir(), Tuning::default()).unwrap()
    }

    fn segment(&self) -> PathBuf {
        let segments = fs::read_dir(self.dir().join("segments")).unwrap();
        let sizes = segments.map(|entry| entry.unwrap());
        sizes
            .max_by_key(|entry| entry.metadata().unwrap().len())
            .unwrap()
            .path()
    }
}

/// Bytes in which no two pages are equal.
fn content(seed: u64) -> Vec<u8> {
    let words = (0..FILE_BYTES as u64 / 8).map(|i| (i + 1).wrapping_mul(seed | 1) ^ seed << 40);
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.resize(FILE_BYTES, 7);
    bytes
}

fn read(volume: &Volume, called: &str) -> Result<Vec<u8>, Error> {
    let found = volume.lookup(Ino::ROOT, Name::parse(called.as_bytes()).unwrap())?;
    volume.read(found.ino, 0, FILE_BYTES)
}

fn assert_names(checked: &Checked, words: &[&str]) {
    for word in words {
        assert!(
            checked
                .problems
                .iter()
                .any(|problem| problem.contains(word)),
            "{word} in {:#?}",
            checked.problems
        );
    }
}

/// Where in the segment the bytes of the second file are.
fn place_of_second(home: &Home) -> u64 {
    let bytes = fs::read(home.segment()).unwrap();
    let wanted = &content(2)[..64];
    let found = bytes.windows(64).position(|window| window == wanted);
    found.unwrap() as u64
}

fn writable(path: &PathBuf) -> File {
    File::options().write(true).open(path).unwrap()
}

#[test]
fn a_sound_volume_has_no_damage_open_or_fresh() {
    let home = Home::new();
    let volume = home.open();
    let checked = volume.check(Depth::Data).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
    assert_eq!((checked.chunks, checked.bytes), (6, 2 * FILE_BYTES as u64));
    volume.close().unwrap();
}

#[test]
fn a_flipped_byte_and_a_zeroed_page_of_data_are_named_with_file_range_and_snapshot() {
    for damage in [&[0xff_u8][..], &[0; 4096]] {
        let home = Home::new();
        let at = place_of_second(&home) + 4096;
        writable(&home.segment()).write_all_at(damage, at).unwrap();
        let volume = home.open();
        let fast = volume.check(Depth::Metadata).unwrap();
        assert_eq!(fast.problems, Vec::<String>::new());
        let checked = volume.check(Depth::Data).unwrap();
        assert_names(&checked, &["data: second: bytes 0-131071", "now, @kept"]);
        assert_eq!(checked.problems.len(), 1);
        assert!(matches!(read(&volume, "second"), Err(Error::Corrupt(_))));
        assert!(read(&volume, "first").unwrap() == content(1));
        volume.close().unwrap();
    }
}

#[test]
fn a_segment_that_is_cut_short_or_gone_is_found_without_reading_data() {
    for gone in [false, true] {
        let home = Home::new();
        if gone {
            fs::remove_file(home.segment()).unwrap();
        } else {
            writable(&home.segment())
                .set_len(place_of_second(&home))
                .unwrap();
        }
        let volume = home.open();
        let checked = volume.check(Depth::Metadata).unwrap();
        assert_names(&checked, &["data: second"]);
        assert!(matches!(read(&volume, "second"), Err(Error::Corrupt(_))));
        assert_eq!(read(&volume, "first").is_ok(), !gone);
        volume.close().unwrap();
    }
}

#[test]
fn a_record_header_that_is_damaged_harms_no_reader() {
    let home = Home::new();
    let at = place_of_second(&home) - 64;
    writable(&home.segment())
        .write_all_at(&[9; 64], at)
        .unwrap();
    let volume = home.open();
    assert!(read(&volume, "second").unwrap() == content(2));
    volume.close().unwrap();
}

#[test]
fn a_damaged_database_is_reported_or_refused_and_never_believed() {
    let pages = fs::metadata(Home::new().dir().join("meta.db"))
        .unwrap()
        .len()
        / 4096;
    for page in 0..pages {
        let home = Home::new();
        let database = home.dir().join("meta.db");
        writable(&database)
            .write_all_at(&[0; 4096], page * 4096)
            .unwrap();
        let Ok(volume) = Volume::open_with(&home.dir(), Tuning::default()) else {
            continue;
        };
        let checked = volume.check(Depth::Data);
        // Pages that nothing uses may be anything.
        let found = checked.is_err() || !checked.unwrap().problems.is_empty();
        for (name, seed) in [("first", 1), ("second", 2)] {
            match read(&volume, name) {
                Ok(bytes) => assert!(bytes == content(seed), "page {page}: other bytes in {name}"),
                Err(error) => assert!(found, "page {page}: {error}, and the check found nothing"),
            }
        }
        drop(volume);
    }
}

#[test]
fn a_log_that_is_damaged_loses_no_more_than_what_follows() {
    let home = Home::new();
    let volume = home.open();
    for i in 0..20 {
        make(&volume, &format!("{i}"));
    }
    drop(volume);
    let log = home.dir().join("meta.db-wal");
    let len = fs::metadata(&log).unwrap().len();
    writable(&log)
        .write_all_at(&[3; 100], len.min(40_000))
        .unwrap();
    let volume = home.open();
    let checked = volume.check(Depth::Data).unwrap();
    assert_names(
        &checked,
        &["log: it is damaged after", "behind that are lost"],
    );
    assert_eq!(checked.problems.len(), 1);
    assert!(read(&volume, "first").unwrap() == content(1));
    volume.close().unwrap();
}
