//! One large file: sequential and random, warm and cold; and a log that is synced at each record.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::measuring::{Random, Scale, rate, timed};
use crate::table::Sample;
use crate::target::{Target, settle};

pub(crate) const ROWS: &[&str] = &[
    "sequential write + fsync",
    "sequential read warm",
    "sequential read cold",
    "random read 4K cold",
    "random write 4K + fsync",
];
pub(crate) const APPEND_ROWS: &[&str] = &["append 4K + fdatasync"];

const BLOCK: usize = 1 << 20;
const PAGE: usize = 4096;

/// Rates in MiB, or in pages, a second.
pub(crate) fn measure(target: &mut Target, scale: &Scale, _scratch: &Path) -> Vec<Sample> {
    let path = target.fresh_dir("stream").join("file");
    // The bytes are made beforehand: each block differs in its first eight bytes at least.
    let mut block = vec![0; BLOCK];
    Random(1).fill(&mut block);
    settle();
    let write = timed(ROWS[0], scale.stream_mib, || {
        let mut file = File::create(&path).unwrap();
        let mut random = Random(2);
        for _ in 0..scale.stream_mib {
            for part in block.chunks_mut(PAGE) {
                part[..8].copy_from_slice(&random.next().to_le_bytes());
            }
            file.write_all(&block).unwrap();
        }
        file.sync_all().unwrap();
    });
    read_through(&path, &mut block);
    let warm = timed(ROWS[1], scale.stream_mib, || {
        read_through(&path, &mut block);
    });
    target.make_cold();
    let cold = timed(ROWS[2], scale.stream_mib, || {
        read_through(&path, &mut block);
    });
    target.make_cold();
    let offsets = offsets(scale);
    let random_read = timed(ROWS[3], offsets.len(), || {
        let (file, mut page) = (File::open(&path).unwrap(), [0; PAGE]);
        for offset in &offsets {
            file.read_exact_at(&mut page, *offset).unwrap();
        }
    });
    target.warm_up();
    let random_write = timed(ROWS[4], offsets.len(), || {
        let (file, mut random, mut page) = (
            File::options().write(true).open(&path).unwrap(),
            Random(4),
            [0; PAGE],
        );
        for offset in &offsets {
            random.fill(&mut page);
            file.write_all_at(&page, *offset).unwrap();
        }
        file.sync_all().unwrap();
    });
    fs::remove_file(&path).unwrap();
    vec![write, warm, cold, random_read, random_write]
}

fn read_through(path: &Path, block: &mut [u8]) {
    let mut file = File::open(path).unwrap();
    while file.read(block).unwrap() > 0 {}
}

fn offsets(scale: &Scale) -> Vec<u64> {
    let (mut random, pages) = (Random(3), (scale.stream_mib * BLOCK / PAGE) as u64);
    (0..scale.random_operations)
        .map(|_| random.next() % pages * PAGE as u64)
        .collect()
}

pub(crate) fn measure_append(target: &mut Target, scale: &Scale, _scratch: &Path) -> Vec<Sample> {
    let path = target.fresh_dir("append").join("log");
    vec![append(APPEND_ROWS[0], &path, scale)]
}

/// Appends to a new file, syncing each time, and removes it.
pub(super) fn append(row: &'static str, path: &Path, scale: &Scale) -> Sample {
    let (mut random, mut page) = (Random(5), [0; PAGE]);
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    settle();
    let (start, mut took) = (Instant::now(), Vec::with_capacity(scale.appends));
    for _ in 0..scale.appends {
        random.fill(&mut page);
        let start = Instant::now();
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
        took.push(start.elapsed());
    }
    let mut sample = rate(row, scale.appends, start.elapsed());
    took.sort();
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    sample.latencies = Some((
        millis(took[took.len() / 2]),
        millis(took[took.len() * 99 / 100]),
    ));
    fs::remove_file(path).unwrap();
    sample
}
