//! POSIX ACLs: the mask, inheritance from default ACLs, no umask under one.

use std::fs::{self, File};
use std::path::Path;

use super::{chmod, mode_of};
use crate::harness::{Mount, NOBODY, as_user, sh};

/// What getfacl says of a path, without comments.
#[track_caller]
fn acl_of(path: &Path) -> Vec<String> {
    let text = sh(
        r#"getfacl --omit-header --absolute-names --numeric "$1""#,
        &[path],
    );
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn an_acl_lets_in_whom_it_names_and_chmod_changes_its_mask() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    chmod(&path, 0o600);
    assert!(as_user(NOBODY, NOBODY, || File::open(&path)).is_err());
    sh(r#"setfacl -m u:65534:rw- "$1""#, &[&path]);
    assert!(as_user(NOBODY, NOBODY, || File::open(&path)).is_ok());
    assert!(as_user(4000, 4000, || File::open(&path)).is_err());
    assert_eq!(mode_of(&path), 0o660, "the group bits are the mask");
    assert_eq!(
        acl_of(&path),
        [
            "user::rw-",
            "user:65534:rw-",
            "group::---",
            "mask::rw-",
            "other::---"
        ]
    );

    chmod(&path, 0o640);
    assert!(as_user(NOBODY, NOBODY, || File::open(&path)).is_ok());
    assert!(as_user(NOBODY, NOBODY, || File::options().write(true).open(&path)).is_err());
    let expected = [
        "user::rw-",
        "user:65534:rw-",
        "group::---",
        "mask::r--",
        "other::---",
    ];
    assert_eq!(acl_of(&path), expected, "chmod sets the mask");
    mount.remount();
    assert_eq!(acl_of(&path), expected);
    sh(r#"setfacl -b "$1""#, &[&path]);
    assert!(as_user(NOBODY, NOBODY, || File::open(&path)).is_err());
}

#[test]
fn a_default_acl_is_inherited_and_the_umask_does_not_count_under_it() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("dir");
    fs::create_dir(&dir).unwrap();
    sh(
        r#"setfacl -d -m u::rwx,g::r-x,o::---,u:65534:rwx,m::rwx "$1""#,
        &[&dir],
    );
    sh(
        r#"umask 077; cd "$1"; : > file; mkdir sub; mkfifo fifo; ln -s x link; mkdir -m 700 private"#,
        &[&dir],
    );
    let expected = [
        "user::rw-",
        "user:65534:rwx",
        "group::r-x",
        "mask::rw-",
        "other::---",
    ];
    assert_eq!(acl_of(&dir.join("file")), expected);
    assert_eq!(mode_of(&dir.join("file")), 0o660);
    assert_eq!(mode_of(&dir.join("fifo")), 0o660);
    let sub = acl_of(&dir.join("sub"));
    assert!(
        sub.contains(&"default:user:65534:rwx".to_owned()),
        "{sub:?}"
    );
    assert!(sub.contains(&"user:65534:rwx".to_owned()), "{sub:?}");
    assert_eq!(mode_of(&dir.join("sub")), 0o770);
    assert_eq!(mode_of(&dir.join("private")), 0o700);
    // Deeper, and after a remount.
    mount.remount();
    fs::write(dir.join("sub/deep"), "x").unwrap();
    assert_eq!(acl_of(&dir.join("sub/deep")), expected);
    assert!(
        as_user(NOBODY, NOBODY, || File::options()
            .write(true)
            .open(dir.join("sub/deep")))
        .is_ok()
    );
}

#[test]
fn without_a_default_acl_the_umask_counts() {
    let Some(mount) = Mount::new() else { return };
    sh(
        r#"umask 027; cd "$1"; : > file; mkdir dir; mkfifo fifo; mknod c c 1 3"#,
        &[&mount.path()],
    );
    for (name, mode) in [
        ("file", 0o640),
        ("dir", 0o750),
        ("fifo", 0o640),
        ("c", 0o640),
    ] {
        assert_eq!(mode_of(&mount.path().join(name)), mode, "{name}");
    }
}

#[test]
fn an_acl_that_a_mode_can_say_becomes_the_mode() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    sh(r#"setfacl --set u::rwx,g::r-x,o::--x "$1""#, &[&path]);
    assert_eq!(mode_of(&path), 0o751);
    let names = sh(r#"getfattr -m - "$1""#, &[&path]);
    assert!(!names.contains("posix_acl"), "{names}");
}

#[test]
fn a_default_acl_belongs_to_directories_only() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    let result = sh(
        r#"setfacl -d -m u:65534:r "$1" 2>&1 || echo refused"#,
        &[&path],
    );
    assert!(result.contains("refused"), "{result}");
    let dir = mount.path().join("dir");
    fs::create_dir(&dir).unwrap();
    sh(r#"setfacl -d -m u:65534:r "$1"; setfacl -k "$1""#, &[&dir]);
    assert_eq!(acl_of(&dir), ["user::rwx", "group::r-x", "other::r-x"]);
    let owner = mount.path().join("owned");
    fs::write(&owner, "x").unwrap();
    let result = as_user(NOBODY, NOBODY, || {
        let acl = 2_u32.to_le_bytes();
        rustix::fs::setxattr(
            &owner,
            "system.posix_acl_access",
            &acl,
            rustix::fs::XattrFlags::empty(),
        )
    });
    assert_eq!(result, Err(rustix::io::Errno::PERM), "only the owner may");
}
