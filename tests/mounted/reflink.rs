//! `cp --reflink=auto`: no space, and no time that grows with the file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Mount, Random, VOLUME, run_ok, seed};

const PART: usize = 64 << 20;
const TIME_MAX: Duration = Duration::from_millis(20);

/// A file of `parts` times what `part` holds.
fn repeat(part: &Path, target: &Path, parts: usize) {
    let (source, target) = (File::open(part).unwrap(), File::create(target).unwrap());
    for _ in 0..parts {
        let mut at = 0;
        while at < PART as u64 {
            let copied = rustix::fs::copy_file_range(&source, Some(&mut at), &target, None, PART);
            assert!(copied.unwrap() > 0);
        }
    }
}

/// The shortest of a few tries: how long it takes when nothing else is done.
fn time_of(source: &Path, copy: &Path) -> Duration {
    let tries = (0..7).map(|_| {
        drop(fs::remove_file(copy));
        let began = Instant::now();
        run_ok(
            Command::new("cp")
                .arg("--reflink=auto")
                .args([source, copy]),
            60,
        );
        began.elapsed()
    });
    tries.min().unwrap()
}

/// Bytes of chunks that files name.
fn live_bytes(mount: &Mount) -> u64 {
    let stats = mount.cask(&["stats", VOLUME, "--format", "json"]);
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    stats["UniqueBytes"].as_u64().unwrap()
}

#[test]
fn a_reflink_of_any_size_takes_no_space_and_twenty_milliseconds() {
    let Some(mount) = Mount::new() else { return };
    let part = mount.path().join("part");
    let bytes = Random::new(seed()).bytes(PART);
    fs::write(&part, &bytes).unwrap();
    mount.cask(&["sync", VOLUME]);
    let before = live_bytes(&mount);
    for parts in [1, 16, 256] {
        let source = mount.path().join(format!("{parts}"));
        repeat(&part, &source, parts);
        let copy = mount.path().join("copy");
        let time = time_of(&source, &copy);
        eprintln!("{} MiB: {time:?}", parts * (PART >> 20));
        assert!(time <= TIME_MAX, "{parts} parts took {time:?}");
        assert_eq!(copy.metadata().unwrap().len(), (parts * PART) as u64);
        let copy = File::open(copy).unwrap();
        for at in [0, 4097, PART / 2 + 5, PART - 9000] {
            let mut found = vec![0; 9000];
            let last = ((parts - 1) * PART + at) as u64;
            copy.read_exact_at(&mut found, last).unwrap();
            assert!(found == bytes[at..at + 9000], "{parts} parts, byte {last}");
        }
    }
    assert_eq!(live_bytes(&mount), before);
}
