//! Contents: large offsets, holes, files without a name, O_DIRECT, locks, statfs.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::Duration;

use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags, fallocate};
use rustix::io::Errno;

use super::{mode_of, stat};
use crate::harness::{Mount, NOBODY, as_user};

#[test]
fn offsets_reach_to_the_largest_there_is() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let most = i64::MAX.cast_unsigned();
    file.set_len(most).unwrap();
    assert_eq!(file.metadata().unwrap().len(), most);
    file.write_all_at(b"last", most - 4).unwrap();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, most - 4).unwrap();
    assert_eq!(&bytes, b"last");
    file.sync_all().unwrap();
    file.read_exact_at(&mut bytes, most - 1_000_000).unwrap();
    assert_eq!(bytes, [0; 4]);
    file.set_len(0).unwrap();
    file.set_len(most).unwrap();
    file.read_exact_at(&mut bytes, most - 4).unwrap();
    assert_eq!(bytes, [0; 4], "what was cut off stays away");
    drop(file);
    mount.remount();
    assert_eq!(stat(&path).st_size, i64::MAX);
    assert_eq!(
        fallocate(
            File::create(&path).unwrap(),
            FallocateFlags::empty(),
            most,
            1
        ),
        Err(Errno::FBIG)
    );
}

#[test]
fn truncation_and_holes_read_as_zeros() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    file.write_all_at(&[1; 500_000], 0).unwrap();
    file.set_len(1000).unwrap();
    file.set_len(500_000).unwrap();
    let check = |from: usize, to: usize, expected: u8| {
        let mut bytes = vec![9; to - from];
        file.read_exact_at(&mut bytes, from as u64).unwrap();
        assert!(
            bytes.iter().all(|byte| *byte == expected),
            "{from}..{to} is not {expected}"
        );
    };
    check(0, 1000, 1);
    check(1000, 500_000, 0);
    file.write_all_at(&[2; 500_000], 0).unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&file, punch, 5000, 200_001).unwrap();
    check(0, 5000, 2);
    check(5000, 205_001, 0);
    check(205_001, 500_000, 2);
    fallocate(&file, FallocateFlags::ZERO_RANGE, 490_000, 20_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 510_000);
    check(490_000, 510_000, 0);
    fallocate(&file, FallocateFlags::KEEP_SIZE, 600_000, 1000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 510_000);
    fallocate(&file, FallocateFlags::empty(), 600_000, 1000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 601_000);
    let cut = FallocateFlags::COLLAPSE_RANGE;
    assert_eq!(fallocate(&file, cut, 0, 4096), Err(Errno::OPNOTSUPP));
    let file = File::open(&path).unwrap();
    assert_eq!(
        fallocate(&file, FallocateFlags::empty(), 0, 1),
        Err(Errno::BADF)
    );
}

#[test]
fn a_file_unlinked_while_open_lives_on() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    file.write_all(&[7; 100_000]).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(!path.exists());
    file.write_all(b"more").unwrap();
    file.sync_all().unwrap();
    assert_eq!(rustix::fs::fstat(&file).unwrap().st_nlink, 0);
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    file.seek(SeekFrom::Start(99_998)).unwrap();
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x07\x07more");
    file.set_len(10).unwrap();
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o640)).unwrap();
    assert_eq!(rustix::fs::fstat(&file).unwrap().st_size, 10);
    // The same name again is another file.
    fs::write(&path, "new").unwrap();
    assert_ne!(rustix::fs::fstat(&file).unwrap().st_ino, stat(&path).st_ino);
    file.seek(SeekFrom::Start(0)).unwrap();
    rest.clear();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [7; 10]);
    // Through /proc it can be opened once more.
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    assert_eq!(
        fs::read(format!("/proc/self/fd/{descriptor}")).unwrap(),
        [7; 10]
    );
}

#[test]
fn a_file_replaced_by_rename_while_open_lives_on() {
    let Some(mount) = Mount::new() else { return };
    let (old, new) = (mount.path().join("old"), mount.path().join("new"));
    fs::write(&old, "old").unwrap();
    fs::write(&new, "new").unwrap();
    let file = File::open(&old).unwrap();
    fs::rename(&new, &old).unwrap();
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"old");
    assert_eq!(fs::read_to_string(&old).unwrap(), "new");
}

#[test]
fn direct_io_and_cached_io_see_the_same_bytes() {
    #[repr(align(4096))]
    struct Aligned([u8; 8192]);
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, [1; 16_384]).unwrap();
    let mut options = OpenOptions::new();
    let direct = options
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)
        .unwrap();
    let cached = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    direct.write_all_at(&Aligned([2; 8192]).0, 4096).unwrap();
    let mut found = vec![0; 16_384];
    cached.read_exact_at(&mut found, 0).unwrap();
    assert_eq!(
        found,
        [vec![1; 4096], vec![2; 8192], vec![1; 4096]].concat()
    );
    cached.write_all_at(&[3; 100], 5000).unwrap();
    let mut buffer = Aligned([0; 8192]);
    direct.read_exact_at(&mut buffer.0, 4096).unwrap();
    assert_eq!(buffer.0[904..1004], [3; 100]);
    assert_eq!(buffer.0[..904], [2; 904]);
}

#[test]
fn directories_can_be_synced_and_files_opened_with_o_sync() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let open = File::open(&dir).unwrap();
    open.sync_all().unwrap();
    open.sync_data().unwrap();
    let mut options = OpenOptions::new();
    options.write(true).create(true).custom_flags(libc::O_SYNC);
    options
        .open(dir.join("file"))
        .unwrap()
        .write_all(b"x")
        .unwrap();
    rustix::fs::syncfs(&open).unwrap();
}

#[test]
fn o_tmpfile_is_not_supported_and_says_so() {
    let Some(mount) = Mount::new() else { return };
    let result = rustix::fs::open(
        mount.path(),
        OFlags::RDWR | OFlags::TMPFILE,
        Mode::from_raw_mode(0o600),
    );
    assert_eq!(result.err(), Some(Errno::OPNOTSUPP));
}

#[test]
fn statfs_says_how_much_there_is() {
    let Some(mount) = Mount::new() else { return };
    let before = rustix::fs::statfs(mount.path()).unwrap();
    assert!(
        before.f_blocks > 0 && before.f_bfree <= before.f_blocks,
        "{before:?}"
    );
    assert!(
        before.f_bavail <= before.f_bfree && before.f_bavail > 0,
        "{before:?}"
    );
    assert_eq!(before.f_namelen, 255);
    assert!(
        before.f_files >= before.f_ffree && before.f_ffree > 0,
        "{before:?}"
    );
    let text = crate::harness::sh(r#"df -h "$1"; df -i "$1""#, &[&mount.path()]);
    assert!(text.contains("mount"), "{text}");
}

#[test]
fn a_lock_is_waited_for_and_given_up_with_its_descriptor() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    let first = File::open(&path).unwrap();
    rustix::fs::flock(&first, FlockOperation::LockExclusive).unwrap();
    let second = File::open(&path).unwrap();
    let again = rustix::fs::flock(&second, FlockOperation::NonBlockingLockShared);
    assert_eq!(again, Err(Errno::AGAIN));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| rustix::fs::flock(&second, FlockOperation::LockExclusive));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiter.is_finished(), "two exclusive locks");
        // A waiting lock must not keep the server from anything else.
        for number in 0..50 {
            fs::write(mount.path().join(format!("other-{number}")), "x").unwrap();
        }
        drop(first);
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn permissions_are_checked_for_unprivileged_users() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("private");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    super::chmod(&dir, 0o700);
    super::chmod(&mount.path(), 0o755);
    as_user(NOBODY, NOBODY, || {
        let kind = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
        assert_eq!(kind(fs::metadata(dir.join("file")).map(drop)), libc::EACCES);
        assert_eq!(kind(fs::read_dir(&dir).map(drop)), libc::EACCES);
        assert_eq!(
            kind(fs::write(mount.path().join("mine"), "x")),
            libc::EACCES
        );
        assert_eq!(kind(fs::remove_dir(&dir)), libc::EACCES);
    });
    super::chmod(&mount.path(), 0o777);
    as_user(NOBODY, NOBODY, || {
        fs::write(mount.path().join("mine"), "x").unwrap();
    });
    let mine = stat(&mount.path().join("mine"));
    assert_eq!((mine.st_uid, mine.st_gid), (NOBODY, NOBODY));
    assert_eq!(mode_of(&mount.path()), 0o777);
}
