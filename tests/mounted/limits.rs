//! Limits of a mounted volume, as programs meet them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FallocateFlags, OFlags, fallocate, statvfs};

use crate::harness::{Mount, Random, VOLUME, write_durably};

const MIB: usize = 1 << 20;

#[test]
fn a_full_volume_is_enospc_keeps_what_was_acknowledged_and_can_be_made_larger_in_use() {
    let Some(mount) = Mount::new() else { return };
    mount.cask(&["resize", VOLUME, "32M", "--inodes", "40"]);
    let mut random = Random::new(1);
    let mut written = Vec::new();
    let full = loop {
        let path = mount.path().join(format!("{}", written.len()));
        let bytes = random.bytes(MIB);
        match write_durably(&path, &bytes) {
            Ok(()) => written.push((path, bytes)),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    assert_eq!(written.len(), 32);
    let room = statvfs(mount.path()).unwrap();
    assert_eq!(
        (room.f_blocks * room.f_frsize, room.f_bavail),
        (32 << 20, 0)
    );
    assert_eq!(room.f_files, 40);

    // Written past the page cache, the answer comes at once; so it does when space is asked for.
    let path = mount.path().join("direct");
    let direct = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(&path)
        .unwrap();
    let aligned = vec![1; 4096 * 2];
    let start = aligned.as_ptr().align_offset(4096);
    let refused = rustix::io::write(&direct, &aligned[start..start + 4096]);
    assert_eq!(refused, Err(rustix::io::Errno::NOSPC));
    let refused = fallocate(&direct, FallocateFlags::empty(), 0, 1 << 20);
    assert_eq!(refused, Err(rustix::io::Errno::NOSPC));
    drop(direct);

    let (gone, _) = written.pop().unwrap();
    fs::remove_file(&gone).unwrap();
    let (path, bytes) = (mount.path().join("instead"), random.bytes(MIB));
    write_durably(&path, &bytes).unwrap();
    written.push((path, bytes));
    mount.cask(&["resize", VOLUME, "33M"]);
    let (path, bytes) = (mount.path().join("more"), random.bytes(MIB));
    write_durably(&path, &bytes).unwrap();
    written.push((path, bytes));
    mount.remount();
    for (path, bytes) in &written {
        assert!(fs::read(path).unwrap() == *bytes, "{path:?}");
    }
}

#[test]
fn a_full_volume_has_no_more_names() {
    let Some(mount) = Mount::new() else { return };
    mount.cask(&["resize", VOLUME, "--inodes", "10"]);
    for i in 0..9 {
        File::create(mount.path().join(format!("{i}"))).unwrap();
    }
    let refused = File::create(mount.path().join("more")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
    fs::remove_file(mount.path().join("0")).unwrap();
    fs::create_dir(mount.path().join("more")).unwrap();
}
