//! fsx: the bytes of one file under random reads, writes, mappings, holes, copies and truncations.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::harness::{Mount, Random, budget_secs, run, seed};

// Not `min = 0`: fsx calls posix_fallocate with a length of 0, which is EINVAL, and takes that for a failure.
const CONFIG: &str = "
flen = 262144
[opsize]
max = 65536
min = 1
align = 1
[weights]
close_open = 1
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 1
truncate = 3
fsync = 1
fdatasync = 1
posix_fallocate = 1
punch_hole = 5
sendfile = 2
posix_fadvise = 1
copy_file_range = 5
";

/// Operations of one run.
const OPERATIONS: u32 = 5000;

/// One run of fsx on a file of the mount.
#[track_caller]
pub(crate) fn check(mount: &Mount, seed: u64) {
    let config = mount.sandbox().dir().join("fsx.toml");
    fs::write(&config, CONFIG).unwrap();
    let (operations, seed) = (OPERATIONS.to_string(), seed.to_string());
    let mut fsx = Command::new("fsx");
    fsx.args(["-q", "-N", &operations, "-S", &seed, "-f"]);
    fsx.arg(&config)
        .arg("-P")
        .arg(mount.sandbox().dir())
        .arg(mount.path().join("fsx"));
    let done = run(&mut fsx, 120);
    // fsx prints every operation since its start; the last ones are what led there.
    let log: Vec<_> = done.stderr.lines().rev().take(60).collect();
    assert!(done.status.success(), "{fsx:?}: {} {log:#?}", done.stdout);
}

#[test]
fn fsx_finds_no_wrong_byte() {
    let Some(mount) = Mount::new() else { return };
    let (mut random, start) = (Random::new(seed()), Instant::now());
    let mut operations = 0_u32;
    while start.elapsed() < budget_secs(30, 600) {
        check(&mount, random.below(1 << 31));
        operations += OPERATIONS;
    }
    eprintln!(
        "fsx: {operations} operations in {:?}, 0 bad",
        start.elapsed()
    );
}
