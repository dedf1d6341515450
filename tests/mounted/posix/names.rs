//! Names, links, special files, renames with flags.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};
use rustix::io::Errno;

use super::{chmod, chown, stat};
use crate::harness::{Mount, Random};

#[test]
fn names_are_any_255_bytes() {
    let Some(mount) = Mount::new() else { return };
    let mut random = Random::new(1);
    let mut names = BTreeSet::new();
    for byte in (1..=255_u8).filter(|byte| *byte != b'/') {
        names.insert(vec![byte, byte, b'x']);
    }
    for _ in 0..50 {
        let mut name = random.bytes(255);
        name.iter_mut()
            .filter(|byte| matches!(byte, 0 | b'/'))
            .for_each(|byte| *byte = 0xFF);
        names.insert(name);
    }
    for name in &names {
        fs::write(mount.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    mount.remount();
    let entries = fs::read_dir(mount.path()).unwrap();
    let found = entries.map(|entry| entry.unwrap().file_name().as_bytes().to_vec());
    assert_eq!(found.collect::<BTreeSet<_>>(), names);
    for name in &names {
        assert_eq!(
            fs::read(mount.path().join(OsStr::from_bytes(name))).unwrap(),
            *name
        );
    }
    let long = mount.path().join("n".repeat(256));
    assert_eq!(
        File::create(&long).unwrap_err().raw_os_error(),
        Some(libc::ENAMETOOLONG)
    );
    assert_eq!(
        symlink("x", &long).unwrap_err().raw_os_error(),
        Some(libc::ENAMETOOLONG)
    );
    symlink("t".repeat(4095), mount.path().join("far")).unwrap();
    assert_eq!(
        fs::read_link(mount.path().join("far"))
            .unwrap()
            .as_os_str()
            .len(),
        4095
    );
}

#[test]
fn hard_links_are_one_file() {
    let Some(mount) = Mount::new() else { return };
    let [one, two] = ["one", "two"].map(|name| mount.path().join(name));
    fs::write(&one, "x").unwrap();
    fs::create_dir(mount.path().join("dir")).unwrap();
    fs::hard_link(&one, &two).unwrap();
    fs::hard_link(&two, mount.path().join("dir/three")).unwrap();
    assert_eq!(stat(&one).st_ino, stat(&two).st_ino);
    assert_eq!(stat(&one).st_nlink, 3);
    fs::write(&two, "changed").unwrap();
    assert_eq!(fs::read_to_string(&one).unwrap(), "changed");
    fs::remove_file(&one).unwrap();
    assert_eq!(stat(&two).st_nlink, 2);
    mount.remount();
    assert_eq!(stat(&two).st_nlink, 2);
    assert_eq!(
        fs::read_to_string(mount.path().join("dir/three")).unwrap(),
        "changed"
    );
    let error = fs::hard_link(mount.path().join("dir"), &one).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn fifos_sockets_and_devices_are_what_they_were_made() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path();
    let make = |name: &str, kind: FileType, device: u64| {
        mknodat(
            CWD,
            dir.join(name),
            kind,
            Mode::from_raw_mode(0o600),
            device,
        )
        .unwrap();
    };
    make("fifo", FileType::Fifo, 0);
    make("char", FileType::CharacterDevice, makedev(4095, 1_048_575));
    make("block", FileType::BlockDevice, makedev(7, 200));
    drop(UnixListener::bind(dir.join("socket")).unwrap());
    mount.remount();
    let kind = |name: &str| fs::symlink_metadata(dir.join(name)).unwrap().file_type();
    assert!(kind("fifo").is_fifo() && kind("socket").is_socket());
    assert!(kind("char").is_char_device() && kind("block").is_block_device());
    let device = |name: &str| fs::symlink_metadata(dir.join(name)).unwrap().rdev();
    assert_eq!(device("char"), makedev(4095, 1_048_575));
    assert_eq!(device("block"), makedev(7, 200));
    crate::harness::sh(
        r#"cd "$1"; echo through > fifo & cat "$1/fifo" | grep -qx through; wait"#,
        &[&dir],
    );
}

#[test]
fn rename_with_flags_does_each_thing() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path();
    let rename =
        |from: &str, to: &str, flags| renameat_with(CWD, dir.join(from), CWD, dir.join(to), flags);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    for name in ["a", "b"] {
        fs::write(dir.join(name), name).unwrap();
    }
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("d/inside"), "x").unwrap();
    assert_eq!(rename("a", "b", RenameFlags::NOREPLACE), Err(Errno::EXIST));
    rename("a", "c", RenameFlags::NOREPLACE).unwrap();
    assert_eq!(
        rename("c", "missing", RenameFlags::EXCHANGE),
        Err(Errno::NOENT)
    );
    rename("c", "b", RenameFlags::EXCHANGE).unwrap();
    assert_eq!((read("c"), read("b")), ("b".to_owned(), "a".to_owned()));
    rename("c", "d", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(read("c/inside"), "x");
    assert_eq!(read("d"), "b");
    assert_eq!(
        rename("c", "c/below", RenameFlags::empty()),
        Err(Errno::INVAL)
    );
    rename("b", "e", RenameFlags::WHITEOUT).unwrap();
    let whiteout = fs::symlink_metadata(dir.join("b")).unwrap();
    assert!(
        whiteout.file_type().is_char_device() && whiteout.rdev() == 0,
        "{whiteout:?}"
    );
    mount.remount();
    assert_eq!(
        (read("c/inside"), read("e"), read("d")),
        ("x".into(), "a".into(), "b".into())
    );
}

#[test]
fn renaming_directories_keeps_link_counts_and_dot_dot() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path();
    fs::create_dir_all(dir.join("one/moved/below")).unwrap();
    fs::create_dir(dir.join("two")).unwrap();
    let links = |name: &str| stat(&dir.join(name)).st_nlink;
    assert_eq!((links("one"), links("two"), links("one/moved")), (3, 2, 3));
    fs::rename(dir.join("one/moved"), dir.join("two/moved")).unwrap();
    assert_eq!((links("one"), links("two"), links("two/moved")), (2, 3, 3));
    let parent = stat(&dir.join("two/moved/..")).st_ino;
    assert_eq!(parent, stat(&dir.join("two")).st_ino);
    fs::create_dir(dir.join("one/empty")).unwrap();
    fs::rename(dir.join("two/moved"), dir.join("one/empty")).unwrap();
    assert_eq!((links("one"), links("two")), (3, 2));
    let error = fs::rename(dir.join("two"), dir.join("one")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTEMPTY));
}

#[test]
fn the_sticky_bit_protects_the_names_of_others() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("sticky");
    fs::create_dir(&dir).unwrap();
    chmod(&dir, 0o1777);
    fs::write(dir.join("theirs"), "x").unwrap();
    chown(&dir.join("theirs"), 4000, 4000);
    let denied = crate::harness::as_user(5000, 5000, || {
        let removed = fs::remove_file(dir.join("theirs"));
        removed.and(fs::rename(dir.join("theirs"), dir.join("mine")))
    });
    assert_eq!(denied.unwrap_err().raw_os_error(), Some(libc::EPERM));
    crate::harness::as_user(4000, 4000, || fs::remove_file(dir.join("theirs"))).unwrap();
}

#[test]
fn ids_of_32_bits_are_kept() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    chown(&path, 4_294_967_294, 3_000_000_000);
    mount.remount();
    let stat = stat(&path);
    assert_eq!((stat.st_uid, stat.st_gid), (4_294_967_294, 3_000_000_000));
}
