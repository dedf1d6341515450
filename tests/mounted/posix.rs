//! The odd corners of POSIX and Linux that filesystems over FUSE get wrong, one claim a test.

mod acl;
mod files;
mod names;
mod set_id;
mod times;
mod xattr;

use std::path::Path;

use rustix::fs::{Mode, Stat};

/// The permission bits, set-id and sticky bits included.
#[track_caller]
fn mode_of(path: &Path) -> u32 {
    stat(path).st_mode & 0o7777
}

#[track_caller]
fn stat(path: &Path) -> Stat {
    rustix::fs::lstat(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

#[track_caller]
fn chmod(path: &Path, mode: u32) {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
}

#[track_caller]
fn chown(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}
