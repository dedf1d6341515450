//! Direct I/O beside the page cache and beside mappings: all see the same bytes.

use std::path::Path;
use std::process::Command;

use crate::harness::{Mount, budget_secs, run, seed};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mounted/direct/mixed.py");
/// Its exit status when the kernel does not have what it was to use.
const NOT_HERE: i32 = 77;

/// Mixes direct requests that are made by `engine` with all else, on a mount, and on a plain directory to judge the
/// program itself.
#[track_caller]
fn mix(engine: &str) {
    let Some(mount) = Mount::new() else { return };
    let seconds = budget_secs(4, 120).as_secs();
    for dir in [&mount.plain(), &mount.path()] {
        let done = run(&mut program(dir, seconds, engine), seconds + 30);
        if done.status.code() == Some(NOT_HERE) {
            eprintln!("{}", done.output());
            return;
        }
        assert!(
            done.status.success(),
            "{}: {}",
            dir.display(),
            done.output()
        );
        eprintln!("{}: {}", dir.display(), done.stdout.trim());
    }
}

fn program(dir: &Path, seconds: u64, engine: &str) -> Command {
    let mut python = Command::new("python3");
    let (seconds, seed) = (seconds.to_string(), seed().to_string());
    python.arg(PROGRAM).arg(dir).args([&seconds, &seed, engine]);
    python
}

#[test]
fn direct_buffered_and_mapped_access_agree() {
    mix("sync");
}

/// The kernel drops the pages of a direct write that is asynchronous for us before it begins, and not when it ends:
/// unless it is not asked for FUSE_ASYNC_DIO, readers beside it see old bytes for good.
#[test]
fn asynchronous_direct_writes_leave_no_old_bytes_in_the_page_cache() {
    mix("aio");
}

#[test]
fn direct_writes_by_io_uring_leave_no_old_bytes_in_the_page_cache() {
    mix("uring");
}
