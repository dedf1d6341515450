//! Writes of the page cache that are stored together.

use cask::types::{Caller, Ino, Limits};
use cask::volume::{Error, WriteBack};

use super::common::make;
use super::{Home, noise};

const PAGE: u64 = 4096;

fn page(ino: Ino, number: u64, seed: u64) -> WriteBack {
    WriteBack {
        ino,
        offset: number * PAGE,
        data: noise(seed, 4096),
    }
}

#[test]
fn writes_of_many_files_are_stored_together_as_one_by_one() {
    let home = Home::new();
    let volume = home.open();
    let files: Vec<_> = (0..3)
        .map(|i| make(&volume, &format!("f{i}")).ino)
        .collect();
    let at = |i: u64| (files[usize::try_from(i % 3).unwrap()], i * 7 % 50);
    let writes: Vec<_> = (0..150).map(|i| page(at(i).0, at(i).1, i)).collect();
    for some in writes.chunks(64) {
        assert!(volume.write_back(some).iter().all(Result::is_ok));
    }
    let zeros = WriteBack {
        ino: files[0],
        offset: 0,
        data: vec![0; 4096],
    };
    let last = page(files[0], 50, 1000);
    assert!(volume.write_back(&[zeros, last]).iter().all(Result::is_ok));
    volume.close().unwrap();
    let volume = home.open();
    // The last one of a place counts.
    for i in 0..150 {
        let (ino, number) = at(i);
        let last = (0..150).rev().find(|j| at(*j) == (ino, number)).unwrap();
        if (ino, number) != (files[0], 0) {
            let found = volume.read(ino, number * PAGE, 4096).unwrap();
            assert!(found == noise(last, 4096), "page {number} of {ino}");
        }
    }
    assert!(volume.read(files[0], 0, 4096).unwrap() == [0; 4096]);
    assert_eq!(volume.getattr(files[0]).unwrap().size, 51 * PAGE);
    assert_eq!(volume.audit().unwrap(), [""; 0]);
}

#[test]
fn one_that_cannot_be_stored_keeps_no_other_from_it() {
    let home = Home::new();
    let volume = home.open();
    let (a, b) = (make(&volume, "a").ino, make(&volume, "b").ino);
    let gone = Ino::from_raw(9999);
    let done = volume.write_back(&[page(a, 0, 1), page(gone, 0, 2), page(b, 3, 3)]);
    assert!(matches!(done[..], [Ok(()), Err(Error::NotFound), Ok(())]));
    assert!(volume.read(a, 0, 4096).unwrap() == noise(1, 4096));
    assert!(volume.read(b, 3 * PAGE, 4096).unwrap() == noise(3, 4096));
    assert_eq!(volume.audit().unwrap(), [""; 0]);
}

/// What is refused is remembered for each file, and only where there is no room.
#[test]
fn at_a_limit_what_fits_is_stored_and_the_rest_is_remembered() {
    let home = Home::new();
    let volume = home.open();
    let ino = make(&volume, "f").ino;
    volume
        .set_limits(Limits {
            bytes: Some(20 * PAGE),
            inodes: None,
        })
        .unwrap();
    let writes: Vec<_> = (0..40).map(|i| page(ino, i, i)).collect();
    let done = volume.write_back(&writes);
    let stored = done.iter().filter(|done| done.is_ok()).count();
    assert_eq!(stored, 20);
    assert!(volume.fsync(ino).is_err(), "something is missing");
    for (i, done) in (0..).zip(&done) {
        let found = volume.read(ino, i * PAGE, 4096).unwrap();
        assert!(found == noise(i, 4096), "page {i}, {done:?}");
    }
    volume.set_limits(Limits::default()).unwrap();
    volume.fsync(ino).unwrap();
    volume
        .unlink(
            &Caller::root(),
            Ino::ROOT,
            cask::types::Name::parse(b"f").unwrap(),
        )
        .unwrap();
}

/// A file that is open and has no name could be freed at any time, and its space is waited for: by all of them once.
#[test]
fn writes_that_come_together_wait_together_for_what_is_being_freed() {
    let home = Home::new();
    let volume = home.open();
    let (open, ino) = (make(&volume, "open").ino, make(&volume, "f").ino);
    volume.remember(open);
    let name = cask::types::Name::parse(b"open").unwrap();
    volume.unlink(&Caller::root(), Ino::ROOT, name).unwrap();
    let limits = Limits {
        bytes: Some(20 * PAGE),
        inodes: None,
    };
    volume.set_limits(limits).unwrap();
    let since = std::time::Instant::now();
    let writes: Vec<_> = (0..64).map(|i| page(ino, i, i)).collect();
    let done = volume.write_back(&writes);
    let took = since.elapsed();
    assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 20);
    assert!(took.as_millis() < 2000, "44 waits instead of one: {took:?}");
    assert!(took.as_millis() >= 200, "no wait: {took:?}");
}
