//! What files take on the disk, and what giving space back costs those who write meanwhile.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::programs;
use super::stream::append;
use crate::measuring::{Random, Scale};
use crate::table::Sample;
use crate::target::{Target, settle};

/// Bytes of files to a byte on the disk.
pub(crate) const ROWS: &[&str] = &[
    "space: 4 equal files",
    "space: overwritten file",
    "space: pgbench cluster",
];
pub(crate) const GC_ROWS: &[&str] = &["append 4K during gc"];

const BLOCK: usize = 1 << 20;

pub(crate) fn measure(target: &mut Target, scale: &Scale, scratch: &Path) -> Vec<Sample> {
    let mib = scale.stream_mib / 2;
    let equal = on_disk(target, ROWS[0], |dir| {
        for (i, block) in [4096, 65_536, 100_000, BLOCK].into_iter().enumerate() {
            write_in(&dir.join(i.to_string()), mib, block);
        }
        (4 * mib * BLOCK) as u64
    });
    let overwritten = on_disk(target, ROWS[1], |dir| {
        overwrite(&dir.join("file"), mib, 8);
        (mib * BLOCK) as u64
    });
    let cluster = on_disk(target, ROWS[2], |dir| {
        programs::run_pgbench(dir, scale, scratch);
        bytes_of_files(dir)
    });
    vec![equal, overwritten, cluster]
}

/// Appends while the target gives back the space of two files of three.
pub(crate) fn measure_gc(target: &mut Target, scale: &Scale, _scratch: &Path) -> Vec<Sample> {
    let dir = target.fresh_dir("gc");
    let mib = scale.stream_mib / 8;
    for i in 0..24 {
        fill(&dir.join(i.to_string()), mib, i);
    }
    settle();
    for i in (0..24).filter(|i| i % 3 != 0) {
        fs::remove_file(dir.join(i.to_string())).unwrap();
    }
    let mut collector = target.start_gc();
    let sample = append(GC_ROWS[0], &dir.join("log"), scale);
    if let Some(collector) = &mut collector {
        assert!(collector.wait().unwrap().success());
    }
    fs::remove_dir_all(dir).unwrap();
    vec![sample]
}

/// Has `make` fill a directory and say how many bytes its files have; the rate is those by what they took.
#[expect(clippy::cast_precision_loss, reason = "a ratio is no exact number")]
fn on_disk(target: &Target, row: &'static str, make: impl Fn(&Path) -> u64) -> Sample {
    let dir = target.fresh_dir("space");
    let before = target.disk_bytes();
    let bytes = make(&dir);
    let taken = target.disk_bytes().saturating_sub(before);
    fs::remove_dir_all(dir).unwrap();
    Sample {
        row,
        rate: bytes as f64 / taken.max(1) as f64,
        latencies: None,
    }
}

/// The same bytes whatever the length of a write.
fn write_in(path: &Path, mib: usize, len: usize) {
    let mut bytes = vec![0; mib * BLOCK];
    Random(7).fill(&mut bytes);
    let mut file = File::create(path).unwrap();
    for piece in bytes.chunks(len) {
        file.write_all(piece).unwrap();
    }
    file.sync_all().unwrap();
}

fn fill(path: &Path, mib: usize, seed: u64) {
    let (mut random, mut block) = (Random(seed + 100), vec![0; BLOCK]);
    let mut file = File::create(path).unwrap();
    for _ in 0..mib {
        random.fill(&mut block);
        file.write_all(&block).unwrap();
    }
    file.sync_all().unwrap();
}

/// Writes a file, and then as many times its length in pieces of 64 KiB at random places.
fn overwrite(path: &Path, mib: usize, times: usize) {
    const PIECE: usize = 64 * 1024;
    fill(path, mib, 1);
    let file = File::options().write(true).open(path).unwrap();
    let (mut random, mut piece) = (Random(8), vec![0; PIECE]);
    let pieces = mib * BLOCK / PIECE;
    for i in 0..pieces * times {
        random.fill(&mut piece);
        let at = random.next() % pieces as u64;
        file.write_all_at(&piece, at * PIECE as u64).unwrap();
        if i % 256 == 0 {
            file.sync_data().unwrap();
        }
    }
    file.sync_all().unwrap();
}

fn bytes_of_files(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            bytes_of_files(&entry.path())
        } else {
            meta.len()
        }
    });
    sizes.sum()
}
