//! The odd corners of POSIX and Linux that filesystems over FUSE get wrong, one claim a test.

mod acl;
mod files;
mod names;
mod set_id;
mod times;
mod xattr;

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, Stat, StatxFlags};

/// The permission bits, set-id and sticky bits included, as the kernel holds them.
///
/// Nothing but the mode is asked for: a full `stat` may make the kernel ask the server again, and would
/// hide that it goes on with an old mode.
#[track_caller]
fn mode_of(path: &Path) -> u32 {
    let (flags, mask) = (AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MODE);
    let found = rustix::fs::statx(CWD, path, flags, mask);
    let found = found.unwrap_or_else(|error| panic!("{path:?}: {error}"));
    u32::from(found.stx_mode) & 0o7777
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
