//! Space: what is dead is given back, within bounds, and nothing that is alive goes with it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/volume.rs"]
mod common;
mod copying;
mod faults;
#[path = "../common/inject.rs"]
mod inject;
mod limits;
#[path = "../common/random.rs"]
mod random;
mod settling;
#[path = "../common/tuning.rs"]
mod tuning;
mod twins;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cask::types::{Caller, FileKind, Ino, Name, NewNode, SetAttr};
use cask::volume::{Error, Tuning, Volume};

use common::{config, make, name, noise, write};

const MIB: u64 = 1024 * 1024;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        common::create(&home.dir("v"));
        home
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is measured here is what a volume does by itself.
    fn open(&self) -> Volume {
        Volume::open_with(&self.dir("v"), Tuning::default()).unwrap()
    }
}

fn is_long() -> bool {
    std::env::var_os("CASK_TEST_LONG").is_some()
}

fn bytes_below(dir: &Path) -> u64 {
    let sizes = fs::read_dir(dir).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let meta = entry.metadata().ok()?;
        Some(if meta.is_dir() {
            bytes_below(&entry.path())
        } else {
            meta.blocks() * 512
        })
    });
    sizes.sum()
}

fn segment_bytes(home: &Home) -> u64 {
    bytes_below(&home.dir("v").join("segments"))
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(40), "not yet: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn assert_sound(volume: &Volume) {
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
}

/// Overwrites a file again and again; the most that the volume ever took.
fn overwrite(home: &Home, file_bytes: u64, written: u64, mut next: impl FnMut(u64) -> u64) -> u64 {
    let volume = home.open();
    let file = make(&volume, "file");
    let step = MIB;
    let mut most = 0;
    let mut generation = vec![u64::MAX; usize::try_from(file_bytes / step).unwrap()];
    for round in 0..written / step {
        let at = next(round) % (file_bytes / step);
        write(&volume, file.ino, at * step, &noise(round, step)).unwrap();
        generation[usize::try_from(at).unwrap()] = round;
        if round % 16 == 0 {
            most = most.max(bytes_below(&home.dir("v")));
        }
    }
    for (at, &round) in (0..).zip(&generation) {
        if round != u64::MAX {
            let bytes = volume.read(file.ino, at * step, 1 << 20).unwrap();
            assert_eq!(bytes, noise(round, step), "MiB {at}");
        }
    }
    assert_sound(&volume);
    volume.close().unwrap();
    most
}

#[test]
fn a_file_that_is_overwritten_in_order_never_takes_more_than_twice_its_size_and_512_mib() {
    let home = Home::new();
    let (file, written) = if is_long() {
        (1024, 20 * 1024)
    } else {
        (256, 4096)
    };
    let most = overwrite(&home, file * MIB, written * MIB, |round| round);
    println!("at most {} MiB for a file of {file} MiB", most / MIB);
    assert!(most <= (2 * file + 512) * MIB);
}

#[test]
fn a_file_that_is_overwritten_at_random_never_takes_more_than_twice_its_size_and_512_mib() {
    let home = Home::new();
    let (file, written) = if is_long() {
        (1024, 20 * 1024)
    } else {
        (256, 2048)
    };
    let most = overwrite(&home, file * MIB, written * MIB, |round| {
        round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    });
    println!("at most {} MiB for a file of {file} MiB", most / MIB);
    assert!(most <= (2 * file + 512) * MIB);
}

#[test]
fn space_of_removed_files_comes_back_by_itself() {
    let home = Home::new();
    let volume = home.open();
    for i in 0..200 {
        let file = make(&volume, &format!("{i}"));
        write(&volume, file.ino, 0, &noise(i, MIB)).unwrap();
    }
    assert!(segment_bytes(&home) >= 200 * MIB);
    for i in (0..200).filter(|i| i % 4 != 0) {
        let name = format!("{i}");
        volume
            .unlink(
                &Caller::root(),
                Ino::ROOT,
                Name::parse(name.as_bytes()).unwrap(),
            )
            .unwrap();
    }
    // A quarter is alive; what was open may be dead.
    wait_until("three quarters are given back", || {
        segment_bytes(&home) <= 50 * MIB * 5 / 4 + 64 * MIB
    });
    for i in (0..200).filter(|i| i % 4 == 0) {
        let name = format!("{i}");
        let found = volume
            .lookup(Ino::ROOT, Name::parse(name.as_bytes()).unwrap())
            .unwrap();
        assert_eq!(volume.read(found.ino, 0, 1 << 20).unwrap(), noise(i, MIB));
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn gc_leaves_no_more_than_a_fourth_over_what_is_alive() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    // Small chunks, in random places, over a file that stays.
    for i in 0..64 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    for i in 0..8000_u64 {
        let at = (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % (64 * 256);
        write(&volume, file.ino, at * 4096, &noise(1000 + i, 4096)).unwrap();
    }
    let before = (0..64).map(|i| volume.read(file.ino, i * MIB, 1 << 20).unwrap());
    let before: Vec<_> = before.collect();
    let collected = volume.collect().unwrap();
    let alive: i64 = 64 * 1024 * 1024 * 11 / 10;
    assert!(
        segment_bytes(&home) * 4 <= alive.unsigned_abs() * 5,
        "{collected:?}"
    );
    for (i, before) in (0..64).zip(before) {
        assert_eq!(volume.read(file.ino, i * MIB, 1 << 20).unwrap(), before);
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn everything_that_is_removed_leaves_nothing() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    for i in 0..100 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    volume
        .unlink(&Caller::root(), Ino::ROOT, name("file"))
        .unwrap();
    volume.collect().unwrap();
    assert_eq!(segment_bytes(&home), 0);
    volume.close().unwrap();
}

#[test]
fn readers_and_writers_never_notice_a_collector_that_runs_all_the_time() {
    let home = Home::new();
    let volume = home.open();
    let done = AtomicBool::new(false);
    let files: Vec<_> = (0..3).map(|i| make(&volume, &format!("{i}")).ino).collect();
    let rounds = if is_long() { 4000 } else { 400 };
    thread::scope(|scope| {
        let writers: Vec<_> = files
            .iter()
            .map(|&ino| {
                scope.spawn({
                    let volume = &volume;
                    move || churn(volume, ino, rounds)
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                volume.collect().unwrap();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_sound(&volume);
    volume.close().unwrap();
}

/// Writes, cuts and reads one file, and keeps a copy in memory.
fn churn(volume: &Volume, ino: Ino, rounds: u64) {
    let mut copy = vec![0_u8; 1 << 20];
    write(volume, ino, 0, &copy).unwrap();
    for round in 0..rounds {
        let random = (round + ino.raw()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let at = usize::try_from(random % (1 << 20)).unwrap();
        let len = usize::try_from(random >> 24).unwrap() % 200_000;
        let end = (at + len + 1).min(copy.len());
        let data = noise(random, (end - at) as u64);
        write(volume, ino, at as u64, &data[..end - at]).unwrap();
        copy[at..end].copy_from_slice(&data[..end - at]);
        if round % 50 == 49 {
            let size = SetAttr {
                size: Some(at as u64),
                ..SetAttr::default()
            };
            volume.setattr(&Caller::root(), ino, &size).unwrap();
            let size = SetAttr {
                size: Some(1 << 20),
                ..SetAttr::default()
            };
            volume.setattr(&Caller::root(), ino, &size).unwrap();
            copy[at..].fill(0);
        }
        assert!(
            volume.read(ino, 0, 1 << 20).unwrap() == copy,
            "round {round} of {ino}"
        );
    }
}

#[test]
fn neither_a_volume_nor_its_clone_misses_what_the_other_collects() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    for i in 0..100 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    volume
        .clone_into(None, &home.dir("clone"), &config())
        .unwrap();
    let clone = Volume::open(&home.dir("clone")).unwrap();
    for i in 0..100 {
        let (target, seed) = if i % 2 == 0 {
            (&volume, 1000)
        } else {
            (&clone, 2000)
        };
        write(target, file.ino, i * MIB, &noise(seed + i, MIB)).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| volume.collect().unwrap());
        scope.spawn(|| clone.collect().unwrap());
    });
    for i in 0..100 {
        let (in_volume, in_clone) = if i % 2 == 0 {
            (1000 + i, i)
        } else {
            (i, 2000 + i)
        };
        assert_eq!(
            volume.read(file.ino, i * MIB, 1 << 20).unwrap(),
            noise(in_volume, MIB)
        );
        assert_eq!(
            clone.read(file.ino, i * MIB, 1 << 20).unwrap(),
            noise(in_clone, MIB)
        );
    }
    assert_sound(&volume);
    volume.close().unwrap();
    fs::remove_dir_all(home.dir("v")).unwrap();
    assert_eq!(clone.read(file.ino, 0, 1 << 20).unwrap(), noise(0, MIB));
    assert_sound(&clone);
    clone.close().unwrap();
}

#[test]
fn a_clone_made_while_the_collector_runs_has_every_chunk() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..150 {
                write(&volume, file.ino, round % 8 * MIB, &noise(round, MIB)).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                volume.collect().unwrap();
            }
        });
        for i in 0..6 {
            let dir = home.dir(&format!("clone-{i}"));
            volume.clone_into(None, &dir, &config()).unwrap();
            let clone = Volume::open(&dir).unwrap();
            let size = clone.getattr(file.ino).unwrap().size;
            clone
                .read(file.ino, 0, usize::try_from(size).unwrap())
                .unwrap();
            clone.close().unwrap();
        }
    });
    volume.close().unwrap();
}

#[test]
fn a_segment_with_damage_is_left_as_it_is_and_the_rest_is_collected() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    for i in 0..150 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    let first = home.dir("v").join("segments/00000001.seg");
    let damaged = fs::File::options().write(true).open(&first).unwrap();
    damaged.write_all_at(b"damage", 500_000).unwrap();
    for i in (0..150).filter(|i| i % 4 != 0) {
        write(&volume, file.ino, i * MIB, &vec![0; 1 << 20]).unwrap();
    }
    volume.collect().unwrap();
    assert!(first.exists());
    let read = volume.read(file.ino, 0, 1 << 20);
    assert!(matches!(read, Err(Error::Corrupt(_))), "{read:?}");
    for i in (4..150).filter(|i| i % 4 == 0) {
        assert_eq!(
            volume.read(file.ino, i * MIB, 1 << 20).unwrap(),
            noise(i, MIB)
        );
    }
    assert!(segment_bytes(&home) < 110 * MIB, "{}", segment_bytes(&home));
    volume.close().unwrap();
}

#[test]
fn closing_ends_a_collection_at_once() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    for i in 0..300 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    for i in (0..300).filter(|i| i % 3 != 0) {
        write(&volume, file.ino, i * MIB, &vec![0; 1 << 20]).unwrap();
    }
    volume.sync().unwrap();
    thread::sleep(Duration::from_millis(5500));
    let since = Instant::now();
    drop(volume);
    assert!(
        since.elapsed() < Duration::from_millis(1000),
        "{:?}",
        since.elapsed()
    );
    let volume = home.open();
    for i in (0..300).filter(|i| i % 3 == 0) {
        assert_eq!(
            volume.read(file.ino, i * MIB, 1 << 20).unwrap(),
            noise(i, MIB)
        );
    }
    assert_sound(&volume);
    volume.close().unwrap();
}
