//! Set-user-id and set-group-id: when they go, when they are inherited, who may set them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::{chmod, chown, mode_of, stat};
use crate::harness::{Mount, NOBODY, as_user};

/// Makes a file that nobody owns and that everybody may write, with `mode`, does `act` as `uid`, and
/// returns the mode afterwards.
#[track_caller]
fn mode_after(mount: &Mount, mode: u32, uid: u32, act: impl Fn(&Path) + Send + Sync) -> u32 {
    let path = mount.path().join("file");
    drop(fs::remove_file(&path));
    fs::write(&path, vec![7; 10_000]).unwrap();
    chown(&path, NOBODY, NOBODY);
    chmod(&path, mode);
    as_user(uid, uid, || act(&path));
    mode_of(&path)
}

fn open(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

type Act = fn(&Path);

const CHANGES: &[(&str, Act)] = &[
    ("write", |path| open(path).write_all(b"x").unwrap()),
    ("truncate by descriptor", |path| {
        open(path).set_len(5).unwrap();
    }),
    ("truncate to more", |path| {
        open(path).set_len(50_000).unwrap();
    }),
    ("open with O_TRUNC", |path| {
        drop(File::create(path).unwrap());
    }),
    ("fallocate", |path| allocate(path, FallocateFlags::empty())),
    ("punch", |path| {
        allocate(path, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE);
    }),
];

fn allocate(path: &Path, mode: FallocateFlags) {
    rustix::fs::fallocate(open(path), mode, 0, 4096).unwrap();
}

#[test]
fn a_change_by_another_user_clears_the_set_id_bits() {
    let Some(mount) = Mount::new() else { return };
    for (name, act) in CHANGES {
        assert_eq!(mode_after(&mount, 0o6777, 4000, act), 0o777, "{name}");
        // Without group execution, set-group-id is no privilege and stays.
        let left = mode_after(&mount, 0o6766, 4000, act);
        assert_eq!(left & 0o4000, 0, "{name}: {left:o}");
        assert_eq!(
            mode_after(&mount, 0o6777, NOBODY, act),
            0o777,
            "{name} by the owner"
        );
    }
}

#[test]
fn a_change_by_root_keeps_the_set_id_bits() {
    let Some(mount) = Mount::new() else { return };
    for (name, act) in CHANGES {
        assert_eq!(mode_after(&mount, 0o6777, 0, act), 0o6777, "{name}");
    }
}

#[test]
fn chown_clears_the_set_id_bits_of_files_and_not_of_directories() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    for (before, after) in [
        (0o6777, 0o777),
        (0o4711, 0o711),
        (0o2766, 0o2766),
        (0o6766, 0o2766),
    ] {
        chmod(&path, before);
        chown(&path, 1000, 1000);
        let found = mode_of(&path);
        assert_eq!(
            found, after,
            "chown of {before:o}: {found:o}, not {after:o}"
        );
    }
    let dir = mount.path().join("dir");
    fs::create_dir(&dir).unwrap();
    chmod(&dir, 0o6755);
    chown(&dir, 1000, 1000);
    assert_eq!(mode_of(&dir), 0o6755);
}

#[test]
fn a_set_group_id_directory_gives_its_group_and_its_bit() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("shared");
    fs::create_dir(&dir).unwrap();
    chown(&dir, 0, 4321);
    chmod(&dir, 0o2777);
    let make = |name: &str| -> PathBuf { dir.join(name) };
    as_user(NOBODY, NOBODY, || {
        fs::write(make("file"), "x").unwrap();
        fs::create_dir(make("dir")).unwrap();
        std::os::unix::fs::symlink("x", make("symlink")).unwrap();
    });
    for name in ["file", "dir", "symlink"] {
        let stat = stat(&make(name));
        assert_eq!((stat.st_uid, stat.st_gid), (NOBODY, 4321), "{name}");
    }
    assert_eq!(mode_of(&make("dir")) & 0o2000, 0o2000);
    assert_eq!(mode_of(&make("file")) & 0o2000, 0);
}

#[test]
fn setting_set_group_id_for_a_foreign_group_is_silently_refused() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    chown(&path, NOBODY, 4321);
    as_user(NOBODY, NOBODY, || chmod(&path, 0o2755));
    assert_eq!(mode_of(&path), 0o755);
    chown(&path, NOBODY, NOBODY);
    as_user(NOBODY, NOBODY, || chmod(&path, 0o2755));
    assert_eq!(mode_of(&path), 0o2755);
}

#[test]
fn a_set_user_id_program_runs_as_its_owner() {
    let Some(mount) = Mount::new() else { return };
    let program = mount.path().join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    chown(&program, 4000, 4000);
    chmod(&program, 0o6755);
    let text = crate::harness::run_ok(&mut std::process::Command::new(&program), 20);
    // The mount may be nosuid; then nothing changes hands.
    let nosuid = crate::harness::mounts_below(&mount.path())[0]
        .options
        .contains("nosuid");
    assert_eq!(text.contains("euid=4000"), !nosuid, "{text}");
}
