//! Equal small files share their chunks once they are quiet.

use super::*;
use crate::tuning::EAGER;

/// Small files, each with the content that `content` says, from four writers at a time.
fn write_small(volume: &Volume, count: u64, content: impl Fn(u64) -> Vec<u8> + Sync) {
    thread::scope(|scope| {
        for writer in 0..4 {
            let content = &content;
            scope.spawn(move || {
                for i in (writer..count).step_by(4) {
                    let file = make(volume, &format!("{i}"));
                    write(volume, file.ino, 0, &content(i)).unwrap();
                }
            });
        }
    });
}

fn content_of(volume: &Volume, called: &str) -> Vec<u8> {
    let found = volume.lookup(Ino::ROOT, name(called)).unwrap();
    volume.read(found.ino, 0, 1 << 20).unwrap()
}

#[test]
fn equal_small_files_take_one_copy_once_settled() {
    let home = Home::new();
    let volume = home.open();
    write_small(&volume, 2000, |_| noise(1, 4096));
    assert_eq!(volume.usage().unwrap().live_plain_bytes, 2000 * 4096);
    let settled = volume.defragment().unwrap();
    assert_eq!((settled.indexed, settled.shared), (1, 1999), "{settled:?}");
    volume.collect().unwrap();
    let after = volume.usage().unwrap();
    println!("{after:?}");
    assert_eq!(after.live_plain_bytes, 4096);
    assert_eq!(after.logical_bytes, 2000 * 4096);
    // A MiB may be written ahead of an open segment.
    assert!(after.segment_bytes < MIB + 16 * 1024, "{after:?}");
    assert_sound(&volume);
    volume.close().unwrap();
    let volume = home.open();
    for i in 0..2000 {
        assert_eq!(content_of(&volume, &format!("{i}")), noise(1, 4096));
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn different_small_files_are_looked_at_once_and_rewritten_never() {
    let home = Home::new();
    let volume = home.open();
    write_small(&volume, 300, |i| noise(i, 1000 + i * 50));
    let before = volume.usage().unwrap();
    let settled = volume.defragment().unwrap();
    assert_eq!((settled.indexed, settled.shared), (300, 0), "{settled:?}");
    assert_eq!(volume.usage().unwrap().segment_bytes, before.segment_bytes);
    let again = volume.defragment().unwrap();
    assert_eq!((again.indexed, again.shared), (0, 0), "{again:?}");
    // What is written later finds those of before, and nobody else has to change.
    let late = make(&volume, "late");
    write(&volume, late.ino, 0, &noise(7, 1350)).unwrap();
    let settled = volume.defragment().unwrap();
    assert_eq!((settled.indexed, settled.shared), (0, 1), "{settled:?}");
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn equal_small_files_share_by_themselves_when_they_are_quiet() {
    let home = Home::new();
    let volume = Volume::open_with(&home.dir("v"), EAGER).unwrap();
    write_small(&volume, 200, |i| noise(i % 2, 4096));
    wait_until("200 files share two chunks", || {
        volume.usage().unwrap().live_plain_bytes == 2 * 4096
    });
    for i in 0..200 {
        assert_eq!(content_of(&volume, &format!("{i}")), noise(i % 2, 4096));
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn what_a_snapshot_sees_keeps_its_chunk_and_shares_it_with_what_comes_later() {
    let home = Home::new();
    let volume = home.open();
    write_small(&volume, 4, |_| noise(1, 4096));
    let (first, second) = ("first".parse().unwrap(), "second".parse().unwrap());
    let taken = volume.take_snapshot(&first, "").unwrap();
    // One is indexed, three are equal to it, and their rows are the snapshot's as well.
    let settled = volume.defragment().unwrap();
    assert_eq!((settled.indexed, settled.shared), (1, 0), "{settled:?}");
    assert_eq!(volume.defragment().unwrap().indexed, 0);
    let late = make(&volume, "late");
    write(&volume, late.ino, 0, &noise(1, 4096)).unwrap();
    assert_eq!(volume.defragment().unwrap().shared, 1);
    assert_eq!(volume.usage().unwrap().live_plain_bytes, 4 * 4096);
    volume.take_snapshot(&second, "").unwrap();
    let one = volume.lookup(Ino::ROOT, name("1")).unwrap();
    write(&volume, one.ino, 0, &noise(2, 4096)).unwrap();
    volume.defragment().unwrap();
    let old = volume.frozen(taken.epoch);
    assert_eq!(old.read(one.ino, 0, 4096).unwrap(), noise(1, 4096));
    assert_sound(&volume);
    // Without the snapshots they share.
    volume.remove_snapshot(&first).unwrap();
    volume.remove_snapshot(&second).unwrap();
    wait_until("the rows of the snapshots are gone", || {
        volume.defragment().unwrap();
        volume.usage().unwrap().live_plain_bytes == 2 * 4096
    });
    assert_eq!(content_of(&volume, "0"), noise(1, 4096));
    assert_eq!(content_of(&volume, "1"), noise(2, 4096));
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn small_files_that_change_while_equal_ones_are_looked_for_keep_their_content() {
    let home = Home::new();
    let volume = home.open();
    let done = AtomicBool::new(false);
    let rounds = if is_long() { 6000 } else { 600 };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let volume = &volume;
                scope.spawn(move || rewrite_blocks(volume, writer, rounds))
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                volume.defragment().unwrap();
            }
        });
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Also after one that failed: the other thread must end.
        done.store(true, Ordering::Relaxed);
        for end in ended {
            end.unwrap();
        }
    });
    assert_sound(&volume);
    volume.close().unwrap();
}

/// Writes one of few contents to each block of a file again and again, the last block most often: its chunk has the
/// highest number of all, which the next chunk gets again.
fn rewrite_blocks(volume: &Volume, writer: u64, rounds: u64) {
    let file = make(volume, &format!("blocks-{writer}"));
    let mut copy = Vec::new();
    for round in 0..rounds {
        let seed = |i: u64| (round * 7 + i * 3 + writer) % 5;
        let blocks = if round % 8 == 0 { 0..6 } else { 5..6 };
        for i in blocks {
            let bytes = noise(seed(i), 4096);
            write(volume, file.ino, i * 4096, &bytes).unwrap();
            let at = usize::try_from(i * 4096).unwrap();
            copy.resize(copy.len().max(at + 4096), 0);
            copy[at..at + 4096].copy_from_slice(&bytes);
        }
        if round % 4 == 3 {
            thread::sleep(Duration::from_millis(1));
        }
        let read = volume.read(file.ino, 0, copy.len()).unwrap();
        assert!(read == copy, "round {round} of writer {writer}");
    }
}
