//! What a container can do to its volume's server, and to the host through it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use cask::control::{Client, SOCKET};
use rustix::fs::{CWD, FileType, Mode, chown, makedev, mknodat};
use rustix::process::{Gid, Uid};

use crate::harness::{Mount, NOBODY, VOLUME, as_user, run_ok, short_or_long};

fn remounted_with(options: &str) -> Option<Mount> {
    let mount = Mount::new()?;
    let program = mount.path().join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    chown(
        &program,
        Some(Uid::from_raw(4000)),
        Some(Gid::from_raw(4000)),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let null = makedev(1, 3);
    let mode = Mode::from_raw_mode(0o666);
    mknodat(
        CWD,
        mount.path().join("null"),
        FileType::CharacterDevice,
        mode,
        null,
    )
    .unwrap();
    mount.umount();
    let path = mount.path();
    let path = path.to_string_lossy();
    let options: &[&str] = if options.is_empty() {
        &[]
    } else {
        &["-o", options]
    };
    mount.cask(&[&["mount", VOLUME, &*path], options].concat());
    mount.sandbox().note_connections();
    Some(mount)
}

#[test]
fn set_id_programs_and_devices_work_as_the_mount_allows() {
    for (options, expected) in [("", (true, true)), ("nosuid,nodev", (false, false))] {
        let Some(mount) = remounted_with(options) else {
            return;
        };
        let text = run_ok(&mut Command::new(mount.path().join("id")), 20);
        let opened = File::options().write(true).open(mount.path().join("null"));
        let found = (text.contains("euid=4000"), opened.is_ok());
        assert_eq!(found, expected, "{options:?}: {text}, {opened:?}");
    }
}

#[test]
fn names_of_any_kind_stay_inside_the_volume() {
    let Some(mount) = Mount::new() else { return };
    mount.cask(&["snapshot", "v@before"]);
    let names: [&[u8]; 5] = [b"new\nline", b"-rf", b"\xff\xfe", b" ", b"..."];
    for name in names {
        fs::write(mount.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let outside = mount.sandbox().dir().join("outside");
    fs::write(&outside, "host").unwrap();
    symlink("../outside", mount.path().join("link")).unwrap();
    symlink("../../../../../../etc", mount.path().join("etc")).unwrap();
    // One line for each: a name cannot look like two.
    let diff = mount.cask(&["diff", "v@before"]);
    assert_eq!(
        diff.lines().filter(|line| line.starts_with("+ ")).count(),
        7,
        "{diff}"
    );
    mount.cask(&["snapshot", "v@s"]);
    // Links are copied as links, whatever they lead to; what is behind one is not read.
    let copied = mount.sandbox().dir().join("copied");
    mount.cask(&["cp", "v@s:/", &copied.to_string_lossy()]);
    assert!(copied.join("link").is_symlink() && copied.join("etc").is_symlink());
    for name in names {
        let bytes = fs::read(copied.join(OsStr::from_bytes(name))).unwrap();
        assert_eq!(bytes, name);
    }
    for path in ["v@s:/etc/passwd", "v@s:/../../outside", "v@s:/link/x"] {
        let target = mount.sandbox().dir().join("not-there");
        let done = mount.try_cask(&["cp", path, &target.to_string_lossy()]);
        assert!(
            !done.status.success() && !target.exists(),
            "{path}: {}",
            done.output()
        );
    }
}

#[test]
fn an_archive_cannot_write_outside_of_the_volume() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.sandbox().subdir("archives");
    let outside = mount.sandbox().dir().join("escaped");
    let make = "import sys, tarfile, io
out = tarfile.open(sys.argv[1], 'w')
def add(name, **more):
    info = tarfile.TarInfo(name)
    for key, value in more.items(): setattr(info, key, value)
    info.size = 4 if info.isreg() else 0
    out.addfile(info, io.BytesIO(b'data'))
add('link', type=tarfile.SYMTYPE, linkname=sys.argv[2])
add(sys.argv[3])
out.close()";
    let target = mount.sandbox().dir().to_string_lossy().into_owned();
    for (i, name) in ["link/escaped", "../escaped", "a/../../escaped"]
        .iter()
        .enumerate()
    {
        let archive = dir.join(format!("{i}.tar"));
        let mut python = Command::new("python3");
        python
            .args(["-c", make])
            .arg(&archive)
            .args([&target, *name]);
        run_ok(&mut python, 20);
        let volume = format!("imported-{i}");
        let done = mount.try_cask(&["import", &volume, &archive.to_string_lossy()]);
        assert!(!outside.exists(), "{name}: {}", done.output());
        assert!(!done.status.success(), "{name}: {}", done.output());
    }
}

#[test]
fn nobody_else_may_look_into_a_volumes_directory() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), [1; 100_000]).unwrap();
    mount.cask(&["snapshot", "v@s"]);
    mount.cask(&["clone", "v@s", "other"]);
    mount.cask(&["gc", VOLUME]);
    let root = mount.volume_dir().ancestors().nth(2).unwrap().to_owned();
    let mut seen = 0;
    check_modes(&root.join("volumes"), &mut seen);
    assert!(seen > 15, "{seen}");
}

fn check_modes(dir: &Path, seen: &mut usize) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let mode = found.permissions().mode() & 0o7777;
        let expected = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
        assert!(found.is_dir() || found.is_file() || found.file_type().is_socket());
        *seen += 1;
        if found.is_dir() {
            check_modes(&path, seen);
        }
    }
}

#[test]
fn another_user_who_reaches_the_control_socket_is_sent_away() {
    let Some(mount) = Mount::new() else { return };
    let socket = mount.volume_dir().join(SOCKET);
    let refused = as_user(NOBODY, NOBODY, || UnixStream::connect(&socket).unwrap_err());
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    // Even where the modes would let them in.
    for dir in socket.ancestors().skip(1).take(4) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let dir = mount.volume_dir();
    let answer = as_user(NOBODY, NOBODY, || {
        let mut client = Client::connect(&dir).unwrap().unwrap();
        client.status().map(|_| ()).map_err(|e| e.to_string())
    });
    assert!(answer.is_err(), "{answer:?}");
    Client::connect(&dir).unwrap().unwrap().status().unwrap();
}

/// Ten million files end at a limit (`tests/space/limits.rs`), and on the way the server's memory grows by little for each.
#[test]
fn very_many_files_and_attributes_cost_the_server_little_memory() {
    let Some(mount) = Mount::new() else { return };
    let count = short_or_long(12_000_u32, 500_000);
    let make = |from: u32, to: u32| {
        for i in from..to {
            let path = mount.path().join(format!("{i}"));
            File::create(&path).unwrap();
            rustix::fs::setxattr(&path, "user.k", b"value", rustix::fs::XattrFlags::empty())
                .unwrap();
        }
    };
    let resident = || {
        let status = format!("/proc/{}/status", mount.server_pid().as_raw_nonzero());
        let text = fs::read_to_string(status).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    };
    // SQLite's caches fill first.
    make(0, count / 4);
    let before = resident();
    make(count / 4, count);
    let after = resident();
    let each = after.saturating_sub(before) / u64::from(count - count / 4);
    eprintln!("{count} files: {before} bytes resident, then {after}: {each} a file");
    assert!(
        each < 400 && after < 150 << 20,
        "{each} bytes a file, {after} in all"
    );
}
