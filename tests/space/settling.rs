//! Settling, sharing and compression: what a file takes once it has come to rest.

use super::*;
use cask::types::Compression;

/// Writes `bytes` in pieces of `len`, from the last to the first if `len` is odd.
fn write_in(volume: &Volume, ino: Ino, bytes: &[u8], len: usize) {
    let mut pieces: Vec<_> = bytes.chunks(len).enumerate().collect();
    if len % 2 == 1 {
        pieces.reverse();
    }
    for (i, piece) in pieces {
        write(volume, ino, (i * len) as u64, piece).unwrap();
    }
}

fn file_bytes(mib: u64) -> Vec<u8> {
    // Zeros would be holes.
    (0..mib)
        .flat_map(|i| noise(i, MIB))
        .map(|byte| byte | 1)
        .collect()
}

#[test]
fn a_file_that_four_writers_wrote_each_in_its_way_takes_one_copy_once_settled() {
    let home = Home::new();
    let volume = home.open();
    let mib = if is_long() { 256 } else { 32 };
    let bytes = file_bytes(mib);
    for (i, len) in [1 << 20, 4096, 65_537, 100_000].into_iter().enumerate() {
        let file = make(&volume, &format!("{i}"));
        write_in(&volume, file.ino, &bytes, len);
    }
    let before = volume.usage().unwrap();
    volume.collect().unwrap();
    let after = volume.usage().unwrap();
    println!("{} extents before, {} after", before.extents, after.extents);
    assert_eq!(after.logical_bytes, 4 * mib * MIB);
    assert!(after.live_bytes * 100 <= mib * MIB * 105, "{after:?}");
    assert!(after.segment_bytes * 100 <= mib * MIB * 105, "{after:?}");
    assert_eq!(after.extents, 4 * mib * 8);
    for i in 0..4 {
        let called = format!("{i}");
        let found = volume.lookup(Ino::ROOT, name(&called)).unwrap();
        assert!(volume.read(found.ino, 0, bytes.len()).unwrap() == bytes);
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn what_a_snapshot_or_another_file_shares_and_holes_stay_as_they_are() {
    let home = Home::new();
    let volume = home.open();
    let seen = make(&volume, "seen");
    write_in(&volume, seen.ino, &file_bytes(1), 4096);
    volume.take_snapshot(&"first".parse().unwrap(), "").unwrap();
    let shared = make(&volume, "shared");
    let copy = make(&volume, "copy");
    write_in(&volume, shared.ino, &noise(50, MIB), 4096);
    let copied = volume.copy_range(&Caller::root(), (shared.ino, 0), (copy.ino, 0), MIB);
    assert_eq!(copied.unwrap(), MIB);
    let holes = make(&volume, "holes");
    for i in 0..256 {
        write(&volume, holes.ino, i * 8192, &noise(i, 4096)).unwrap();
    }
    let before = volume.usage().unwrap();
    volume.defragment().unwrap();
    let after = volume.usage().unwrap();
    assert_eq!(before.logical_bytes, after.logical_bytes);
    assert_eq!(before.extents, after.extents);
    let bytes = volume.read(holes.ino, 0, 256 * 8192).unwrap();
    for (i, piece) in (0..).zip(bytes.chunks(8192)) {
        assert!(piece[..4096] == noise(i, 4096) && piece[4096..].iter().all(|&byte| byte == 0));
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn a_file_of_single_bytes_settles_too() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    // Zeros would be holes.
    let bytes: Vec<u8> = noise(7, 5000).iter().map(|byte| byte | 1).collect();
    write_in(&volume, file.ino, &bytes, 1);
    let mut left = volume.usage().unwrap().extents;
    assert_eq!(left, 5000);
    while volume.defragment().unwrap().extents > 0 {
        left = volume.usage().unwrap().extents;
    }
    assert!(left <= 4, "{left}");
    assert_eq!(volume.read(file.ino, 0, 5000).unwrap(), bytes);
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn files_settle_while_they_are_written() {
    let home = Home::new();
    let volume = home.open();
    let files: Vec<_> = (0..2).map(|i| make(&volume, &format!("{i}")).ino).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = files
            .iter()
            .map(|&ino| {
                let volume = &volume;
                scope.spawn(move || churn(volume, ino, 300))
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                volume.defragment().unwrap();
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

#[test]
fn a_copy_takes_no_space_and_no_time() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    let copy = make(&volume, "copy");
    for i in 0..64 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    let before = volume.usage().unwrap();
    let since = Instant::now();
    let mut at = 0;
    while at < 64 * MIB {
        let from = (file.ino, at);
        at += volume
            .copy_range(&Caller::root(), from, (copy.ino, at), 64 * MIB - at)
            .unwrap();
    }
    println!("64 MiB copied in {:?}", since.elapsed());
    let after = volume.usage().unwrap();
    assert_eq!(before.segment_bytes, after.segment_bytes);
    assert_eq!(before.live_bytes, after.live_bytes);
    volume.close().unwrap();
}

#[test]
fn copies_of_parts_and_of_repeated_chunks_are_counted_right() {
    let home = Home::new();
    let volume = home.open();
    let file = make(&volume, "file");
    // The same chunk over and over, one of its own, a hole, a small end.
    let mut bytes: Vec<u8> = (0..6).flat_map(|i| noise(i / 4, 131_072)).collect();
    bytes.resize(7 * 131_072, 0);
    bytes.extend(noise(9, 5000));
    for (i, piece) in bytes.chunks(131_072).enumerate() {
        write(&volume, file.ino, i as u64 * 131_072, piece).unwrap();
    }
    let root = Caller::root();
    let ranges = [
        (0, bytes.len()),
        (1, bytes.len() - 2),
        (131_072, 3 * 131_072),
        (100, 50),
        (131_000, 200),
        (131_072, 100),
        (6 * 131_072 + 5, 10),
        (6 * 131_072 + 5, 131_072),
        (5 * 131_072 + 7, 2 * 131_072),
    ];
    for (i, (from, len)) in ranges.into_iter().enumerate() {
        let copy = make(&volume, &format!("copy-{i}"));
        write(&volume, copy.ino, 0, &noise(77, 300_000)).unwrap();
        let mut expected = noise(77, 300_000);
        let to = 1000;
        let copied = volume.copy_range(&root, (file.ino, from as u64), (copy.ino, to), len as u64);
        assert_eq!(copied.unwrap(), len as u64, "{from} {len}");
        let to = usize::try_from(to).unwrap();
        expected.resize(expected.len().max(to + len), 0);
        expected[to..to + len].copy_from_slice(&bytes[from..from + len]);
        assert!(
            volume.read(copy.ino, 0, 2 << 20).unwrap() == expected,
            "{from} {len}"
        );
        assert_sound(&volume);
    }
    // Within one file, and once more after it.
    let size = bytes.len() as u64;
    let copied = volume.copy_range(&root, (file.ino, 0), (file.ino, size), size);
    assert_eq!(copied.unwrap(), size);
    assert!(volume.read(file.ino, 0, 4 << 20).unwrap() == [&bytes[..], &bytes[..]].concat());
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn a_copy_of_very_many_extents_is_several_and_loses_none() {
    let home = Home::new();
    let volume = home.open();
    let (file, copy) = (make(&volume, "file"), make(&volume, "copy"));
    let bytes: Vec<u8> = (0..3000).flat_map(|i| noise(i, 4096)).collect();
    write_in(&volume, file.ino, &bytes, 4096);
    let (mut at, mut calls) = (1, 0);
    while at < bytes.len() as u64 {
        let len = bytes.len() as u64 - at;
        let copied = volume.copy_range(&Caller::root(), (file.ino, at), (copy.ino, at), len);
        at += copied.unwrap();
        calls += 1;
    }
    assert_eq!(calls, 2);
    assert!(volume.read(copy.ino, 1, bytes.len()).unwrap() == bytes[1..]);
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn compressed_chunks_read_back_and_take_less() {
    let home = Home::new();
    let volume = home.open();
    let text: Vec<u8> = (0..200_000_u32)
        .flat_map(|i| format!("line {i}\n").into_bytes())
        .collect();
    for (i, compression) in ["none", "lz4", "zstd", "zstd:9"].into_iter().enumerate() {
        let compression: Compression = compression.parse().unwrap();
        volume.set_compression(compression).unwrap();
        assert_eq!(volume.compression(), compression);
        let file = make(&volume, &format!("{i}"));
        // No two files share a chunk.
        let bytes: Vec<u8> = text
            .iter()
            .map(|byte| byte ^ u8::try_from(i).unwrap())
            .collect();
        let before = volume.usage().unwrap();
        write(&volume, file.ino, 0, &bytes).unwrap();
        write(&volume, file.ino, 8 * MIB, &noise(99 + i as u64, MIB)).unwrap();
        let after = volume.usage().unwrap();
        let (stored, plain) = (
            after.live_bytes - before.live_bytes,
            after.live_plain_bytes - before.live_plain_bytes,
        );
        println!("{compression}: {plain} bytes in {stored}");
        if compression == Compression::None {
            assert_eq!(stored, plain);
        } else {
            // Noise stays as it is.
            assert!(
                stored < MIB + plain / 3 && stored > MIB,
                "{stored} of {plain}"
            );
        }
        for at in [0, 1, 4095, 131_071, 131_072, 1_000_000] {
            let len = 70_000.min(bytes.len() - at);
            assert_eq!(
                volume.read(file.ino, at as u64, len).unwrap(),
                bytes[at..at + len]
            );
        }
        assert_eq!(
            volume.read(file.ino, 8 * MIB, 1 << 20).unwrap(),
            noise(99 + i as u64, MIB)
        );
    }
    assert_sound(&volume);
    volume.close().unwrap();
    let volume = home.open();
    assert_eq!(volume.compression().to_string(), "zstd:9");
    volume.close().unwrap();
}

/// What the collector moves it stores as new chunks are: the counts are those of the rows all the same.
#[test]
fn what_is_compressed_when_it_is_moved_is_counted_anew() {
    let home = Home::new();
    let volume = home.open();
    let text = |i: usize| format!("line of file {i} ").repeat(20_000).into_bytes();
    for i in 0..20 {
        let file = make(&volume, &format!("{i}"));
        write(&volume, file.ino, 0, &text(i)).unwrap();
    }
    let before = volume.usage().unwrap();
    volume.set_compression(Compression::Lz4).unwrap();
    for i in (0..20).step_by(2) {
        let name = format!("{i}");
        volume
            .unlink(&Caller::root(), Ino::ROOT, crate::name(&name))
            .unwrap();
    }
    volume.collect().unwrap();
    let after = volume.usage().unwrap();
    assert!(after.live_bytes < before.live_bytes / 4, "{after:?}");
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    volume.close().unwrap();
    let volume = home.open();
    assert_eq!(volume.usage().unwrap().live_bytes, after.live_bytes);
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    volume.close().unwrap();
}

#[test]
fn damage_in_a_compressed_chunk_is_an_error() {
    let home = Home::new();
    let volume = home.open();
    volume.set_compression(Compression::Lz4).unwrap();
    let file = make(&volume, "file");
    let text = b"round and round ".repeat(8192);
    write(&volume, file.ino, 0, &text).unwrap();
    let segment = home.dir("v").join("segments/00000001.seg");
    let damaged = fs::File::options().write(true).open(&segment).unwrap();
    damaged.write_all_at(b"damage", 64 + 64 + 10).unwrap();
    let read = volume.read(file.ino, 0, 100);
    assert!(matches!(read, Err(Error::Corrupt(_))), "{read:?}");
    volume.close().unwrap();
}
