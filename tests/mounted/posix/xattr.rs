//! Extended attributes: namespaces, flags, limits.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

use crate::harness::{Mount, NOBODY, as_user};

#[track_caller]
fn get(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 100_000];
    let len = lgetxattr(path, name, value.as_mut_slice())?;
    value.truncate(len);
    Ok(value)
}

fn set(path: &Path, name: &str, value: &[u8], flags: XattrFlags) -> Result<(), Errno> {
    lsetxattr(path, name, value, flags)
}

#[test]
fn attributes_of_three_namespaces_are_kept_and_others_are_not_supported() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    let none = XattrFlags::empty();
    for name in ["user.a", "trusted.b", "security.c"] {
        set(&path, name, b"value", none).unwrap();
        set(&path, &format!("{name}.empty"), b"", none).unwrap();
    }
    for name in ["system.foo", "foo.bar", "foo"] {
        assert_eq!(
            set(&path, name, b"x", none),
            Err(Errno::OPNOTSUPP),
            "{name}"
        );
        assert_eq!(get(&path, name), Err(Errno::OPNOTSUPP), "{name}");
    }
    mount.remount();
    for name in ["user.a", "trusted.b", "security.c"] {
        assert_eq!(get(&path, name).unwrap(), b"value", "{name}");
        assert_eq!(get(&path, &format!("{name}.empty")).unwrap(), b"", "{name}");
    }
    let mut list = [0; 1000];
    let len = rustix::fs::llistxattr(&path, list.as_mut_slice()).unwrap();
    assert_eq!(
        list[..len]
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .count(),
        6
    );
    assert_eq!(
        rustix::fs::llistxattr(&path, &mut [0_u8; 3][..]),
        Err(Errno::RANGE)
    );
    assert_eq!(
        lgetxattr(&path, "user.a", &mut [0_u8; 3][..]),
        Err(Errno::RANGE)
    );
}

#[test]
fn create_and_replace_mean_what_they_say() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    assert_eq!(
        set(&path, "user.a", b"1", XattrFlags::REPLACE),
        Err(Errno::NODATA)
    );
    set(&path, "user.a", b"1", XattrFlags::CREATE).unwrap();
    assert_eq!(
        set(&path, "user.a", b"2", XattrFlags::CREATE),
        Err(Errno::EXIST)
    );
    set(&path, "user.a", b"3", XattrFlags::REPLACE).unwrap();
    assert_eq!(get(&path, "user.a").unwrap(), b"3");
    lremovexattr(&path, "user.a").unwrap();
    assert_eq!(get(&path, "user.a"), Err(Errno::NODATA));
    assert_eq!(lremovexattr(&path, "user.a"), Err(Errno::NODATA));
}

#[test]
fn names_and_values_have_their_limits() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    let none = XattrFlags::empty();
    let longest = format!("user.{}", "n".repeat(250));
    set(&path, &longest, b"x", none).unwrap();
    assert_eq!(get(&path, &longest).unwrap(), b"x");
    assert_eq!(
        set(&path, &format!("{longest}n"), b"x", none),
        Err(Errno::RANGE)
    );
    set(&path, "user.large", &[7; 3000], none).unwrap();
    assert_eq!(get(&path, "user.large").unwrap(), [7; 3000]);
    assert_eq!(
        set(&path, "user.huge", &[7; 65_537], none),
        Err(Errno::TOOBIG)
    );
    assert_eq!(set(&path, "user.", b"x", none), Err(Errno::INVAL));
    // ext4 has room for about one block in all: what does not fit is ENOSPC there.
    match set(&path, "user.most", &[7; 65_536], none) {
        Ok(()) => assert_eq!(get(&path, "user.most").unwrap(), [7; 65_536]),
        Err(error) => assert_eq!(error, Errno::NOSPC),
    }
}

#[test]
fn each_namespace_has_its_rules() {
    let Some(mount) = Mount::new() else { return };
    let (file, link) = (mount.path().join("file"), mount.path().join("link"));
    fs::write(&file, "x").unwrap();
    symlink("file", &link).unwrap();
    super::chmod(&file, 0o666);
    let none = XattrFlags::empty();
    assert_eq!(
        set(&link, "user.a", b"x", none),
        Err(Errno::PERM),
        "no user attributes on symlinks"
    );
    set(&link, "trusted.a", b"x", none).unwrap();
    set(&file, "trusted.a", b"x", none).unwrap();
    as_user(NOBODY, NOBODY, || {
        set(&file, "user.mine", b"x", none).unwrap();
        assert_eq!(set(&file, "trusted.b", b"x", none), Err(Errno::PERM));
        assert_eq!(
            get(&file, "trusted.a"),
            Err(Errno::NODATA),
            "not for unprivileged eyes"
        );
    });
    super::chmod(&file, 0o600);
    as_user(NOBODY, NOBODY, || {
        assert_eq!(set(&file, "user.more", b"x", none), Err(Errno::ACCESS));
        assert_eq!(get(&file, "user.mine"), Err(Errno::ACCESS));
    });
}

#[test]
fn setting_an_attribute_changes_the_ctime() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    let time = || {
        (
            super::stat(&path).st_ctime,
            super::stat(&path).st_ctime_nsec,
        )
    };
    let before = time();
    std::thread::sleep(std::time::Duration::from_millis(20));
    set(&path, "user.a", b"x", XattrFlags::empty()).unwrap();
    let after = time();
    assert!(after > before, "{before:?} {after:?}");
    std::thread::sleep(std::time::Duration::from_millis(20));
    lremovexattr(&path, "user.a").unwrap();
    assert!(time() > after);
}
