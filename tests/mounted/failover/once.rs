//! What a server did and could not answer for any more is not done a second time by the next one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags, mknodat, renameat_with, setxattr};

use super::{SOUND, await_other};
use crate::harness::{Guard, Mount};

/// strace kills the server as it begins to write its next answer: what it did is committed by then.
fn kill_before_answer(mount: &Mount) -> Guard {
    let server = mount.server_pid().as_raw_nonzero().to_string();
    let log = mount.sandbox().dir().join("strace.log");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-e", "trace=writev", "-p", &server, "-o", "/dev/null"])
        .args(["-e", "inject=writev:signal=KILL:when=1"])
        .stderr(fs::File::create(&log).unwrap())
        .stdout(Stdio::null());
    let guard = Guard::spawn(&mut strace);
    // Each time anew: one that has answered a command ends meanwhile.
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{server}/task"));
        tasks.unwrap().count()
    };
    let start = Instant::now();
    let attached = || fs::read_to_string(&log).unwrap().contains("attached");
    while !attached() || traced(&server) < threads() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "strace does not attach"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    guard
}

/// How many of the server's threads are traced.
fn traced(server: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{server}/task")).unwrap();
    let is_traced = |task: &PathBuf| {
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        status.contains("TracerPid:") && !status.contains("TracerPid:\t0\n")
    };
    tasks
        .map(|task| task.unwrap().path())
        .filter(is_traced)
        .count()
}

/// Does `act`, of which the answer is lost with the server.
#[track_caller]
fn lose_answer_of<T>(mount: &Mount, what: &str, act: impl FnOnce(&Path) -> std::io::Result<T>) {
    let dir = mount.path();
    // So that the kernel asks nothing else before.
    for name in ["new", "a", "b", "dir", "dir/inner", "dir/x", ""] {
        fs::symlink_metadata(dir.join(name)).ok();
    }
    std::thread::sleep(SOUND);
    let server = mount.server_pid();
    for name in ["new", "a", "b", "dir", "dir/inner", "dir/x", ""] {
        fs::symlink_metadata(dir.join(name)).ok();
    }
    let strace = kill_before_answer(mount);
    let done = act(&dir);
    drop(strace);
    if let Err(error) = done {
        panic!("{what}: {error}");
    }
    await_other(mount, server);
}

/// A mount with two files and a directory.
fn prepared() -> Option<Mount> {
    if crate::harness::lacks_program(&["strace"]) {
        return None;
    }
    let mount = Mount::new()?;
    fs::write(mount.path().join("a"), "a").unwrap();
    fs::write(mount.path().join("b"), "b").unwrap();
    fs::create_dir(mount.path().join("dir")).unwrap();
    Some(mount)
}

#[track_caller]
fn check(mount: &Mount) {
    mount.umount();
    mount.cask(&["check", crate::harness::VOLUME]);
}

#[test]
fn what_was_made_or_removed_is_not_made_or_removed_again() {
    let Some(mount) = prepared() else { return };
    let new = mount.path().join("new");
    let is_there = || new.symlink_metadata().is_ok();
    lose_answer_of(&mount, "mkdir", |d| fs::create_dir(d.join("new")));
    assert!(new.is_dir());
    lose_answer_of(&mount, "rmdir", |d| fs::remove_dir(d.join("new")));
    assert!(!is_there());
    lose_answer_of(&mount, "create", |d| fs::File::create_new(d.join("new")));
    fs::write(&new, "text").unwrap();
    lose_answer_of(&mount, "unlink", |d| fs::remove_file(d.join("new")));
    assert!(!is_there());
    lose_answer_of(&mount, "symlink", |d| {
        std::os::unix::fs::symlink("a", d.join("new"))
    });
    assert_eq!(fs::read_link(&new).unwrap(), Path::new("a"));
    fs::remove_file(&new).unwrap();
    lose_answer_of(&mount, "mkfifo", |d| {
        let (kind, mode) = (FileType::Fifo, Mode::RUSR);
        Ok(mknodat(CWD, d.join("new"), kind, mode, 0)?)
    });
    check(&mount);
}

#[test]
fn a_name_that_was_moved_is_not_moved_again() {
    let Some(mount) = prepared() else { return };
    let here = |name: &str| mount.path().join(name);
    let is_there = |name: &str| here(name).symlink_metadata().is_ok();
    lose_answer_of(&mount, "link", |d| {
        fs::hard_link(d.join("a"), d.join("new"))
    });
    let [a, new] = ["a", "new"].map(|name| here(name).metadata().unwrap());
    assert_eq!((a.nlink(), a.ino()), (2, new.ino()));
    lose_answer_of(&mount, "rename", |d| {
        fs::rename(d.join("new"), d.join("dir/inner"))
    });
    assert!(!is_there("new") && is_there("dir/inner"));
    lose_answer_of(&mount, "exchange", |d| {
        let flags = RenameFlags::EXCHANGE;
        Ok(renameat_with(CWD, d.join("a"), CWD, d.join("b"), flags)?)
    });
    assert_eq!(fs::read(here("a")).unwrap(), b"b");
    assert_eq!(fs::read(here("b")).unwrap(), b"a");
    lose_answer_of(&mount, "rename without replacing", |d| {
        let (from, to) = (d.join("dir/inner"), d.join("dir/x"));
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    });
    assert!(!is_there("dir/inner") && is_there("dir/x"));
    check(&mount);
}

#[test]
fn attributes_that_were_changed_are_not_changed_again() {
    let Some(mount) = prepared() else { return };
    lose_answer_of(&mount, "setxattr", |d| {
        let flags = XattrFlags::CREATE;
        Ok(setxattr(d.join("a"), "user.k", b"v", flags)?)
    });
    lose_answer_of(&mount, "removexattr", |d| {
        Ok(rustix::fs::removexattr(d.join("a"), "user.k")?)
    });
    lose_answer_of(&mount, "truncate", |d| {
        let file = fs::File::options().write(true).open(d.join("b"))?;
        file.set_len(100)
    });
    assert_eq!(mount.path().join("b").metadata().unwrap().len(), 100);
    check(&mount);
}

#[test]
fn what_was_not_done_fails_as_it_should_the_second_time() {
    let Some(mount) = prepared() else { return };
    fs::write(mount.path().join("dir/x"), "x").unwrap();
    lose_answer_of(&mount, "rmdir of a full directory", |d| {
        let error = fs::remove_dir(d.join("dir")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTEMPTY));
        Ok(())
    });
    lose_answer_of(&mount, "removexattr of nothing", |d| {
        let removed = rustix::fs::removexattr(d.join("dir/x"), "user.none");
        assert_eq!(removed, Err(rustix::io::Errno::NODATA));
        Ok(())
    });
}
