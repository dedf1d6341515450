//! The segment scanner: damaged and forged segments, with checksums that are right again.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use cask::chunks::scan;
use cask::types::{ChunkHash, Compression, Ino, SegmentId};
use cask::volume::{Tuning, Volume};

use crate::common::{create, make, write};
use crate::{EDGES, Random, abort_on_panic, for_a_while, limit_memory, mutate};

/// A record's header is this long, and ends in the checksum of what is before.
const HEADER_BYTES: usize = 64;
const CHECKED_BYTES: usize = 60;

/// A segment with chunks of each codec.
fn original() -> (Vec<u8>, PathBuf, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    create(&dir);
    let volume = Volume::open_with(&dir, Tuning::default()).unwrap();
    for (i, codec) in ["none", "lz4", "zstd:3"].iter().enumerate() {
        let codec: Compression = codec.parse().unwrap();
        volume.set_compression(codec).unwrap();
        let file = make(&volume, &format!("{i}"));
        for part in 0..4_u64 {
            let text = format!("{i} {part} and so on ").repeat(300);
            write(&volume, file.ino, part << 17, text.as_bytes()).unwrap();
        }
    }
    assert!(volume.getattr(Ino::ROOT).is_ok());
    volume.close().unwrap();
    let bytes = fs::read(dir.join("segments/00000001.seg")).unwrap();
    let scratch = home.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    (bytes, scratch, home)
}

/// Where records begin.
fn records(bytes: &[u8]) -> Vec<usize> {
    let is_one = |at: &usize| {
        let header = &bytes[*at..*at + HEADER_BYTES];
        let sum = crc32c::crc32c(&header[..CHECKED_BYTES]).to_le_bytes();
        header[CHECKED_BYTES..] == sum
    };
    (0..bytes.len() - HEADER_BYTES)
        .step_by(8)
        .filter(is_one)
        .collect()
}

#[test]
fn a_segment_of_any_bytes_gives_true_chunks_or_none() {
    abort_on_panic();
    limit_memory();
    let (original, dir, _home) = original();
    let records = records(&original);
    assert!(records.len() >= 12, "{}", records.len());
    let path = dir.join("00000001.seg");
    let id = SegmentId::from_raw(1);
    fs::write(&path, &original).unwrap();
    let mut true_chunks = HashMap::new();
    scan(&dir, id, |chunk| {
        true_chunks.insert(chunk.hash, chunk.at.len);
    })
    .unwrap();
    assert!(true_chunks.len() >= 12);

    let mut random = Random::new();
    let (mut found, mut refused) = (0_u64, 0_u64);
    let tried = for_a_while(|| {
        let mut bytes = original.clone();
        for _ in 0..random.below(3) {
            mutate(&mut random, &mut bytes);
        }
        for _ in 0..random.below(4) {
            forge(&mut random, &mut bytes, &records);
        }
        fs::write(&path, &bytes).unwrap();
        let scanned = scan(&dir, id, |chunk| {
            assert_true(&true_chunks, chunk.hash, chunk.at.len);
            found += 1;
        });
        refused += u64::from(scanned.is_err());
    });
    eprintln!("{tried} segments, {refused} refused, {found} chunks found");
    assert!(found > 0);
}

#[track_caller]
fn assert_true(true_chunks: &HashMap<ChunkHash, u32>, hash: ChunkHash, len: u32) {
    assert_eq!(true_chunks.get(&hash), Some(&len), "{hash:?}");
}

/// Changes a header, and makes its checksum right.
fn forge(random: &mut Random, bytes: &mut [u8], records: &[usize]) {
    let record = *random.pick(records);
    let Some(header) = bytes.get_mut(record..record + HEADER_BYTES) else {
        return;
    };
    match random.below(3) {
        0 => header[random.below(CHECKED_BYTES)] = random.byte(),
        1 => {
            let at = random.below(CHECKED_BYTES - 4);
            header[at..at + 4].copy_from_slice(&random.pick(EDGES).to_le_bytes()[..4]);
        }
        _ => header[random.below(CHECKED_BYTES)] ^= 1 << random.below(8),
    }
    let sum = crc32c::crc32c(&header[..CHECKED_BYTES]);
    header[CHECKED_BYTES..].copy_from_slice(&sum.to_le_bytes());
}
