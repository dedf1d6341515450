//! cask umount: what it waits for, and whom it names.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::killing::kill_for_good;
use crate::support::{Bench, can_mount, run, start, wait_for};

#[test]
fn the_volume_is_closed_when_umount_returns() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["umount", "mnt"]).succeeds();
    assert!(bench.mounts().is_empty());
    assert!(cask::volume::store::DirLock::take(&bench.volume_dir("db")).is_ok());
    assert!(!bench.volume_dir("db").join("control.sock").exists());
    bench.run(&["rm", "db"]).succeeds();
}

#[test]
fn a_mountpoint_goes_alone_and_a_volume_whole() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    for name in ["mnt2", "mnt3"] {
        bench.run(&["mount", "--create", "db", name]).succeeds();
    }
    bench.run(&["umount", "mnt2"]).succeeds();
    assert_eq!(bench.mounts().len(), 2);
    assert_eq!(
        bench.run(&["ls", "--format", "{{.Status}}"]).succeeds().out,
        "mounted\n"
    );
    bench.run(&["umount", "root/volumes/db"]).succeeds();
    assert!(bench.mounts().is_empty());
}

#[test]
fn whoever_uses_a_mount_is_named() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["mount", "--create", "db", "mnt2"]).succeeds();
    File::create(bench.path("mnt/file")).unwrap();
    let by_directory = start(
        Command::new("sleep")
            .arg("1000")
            .current_dir(bench.path("mnt")),
    );
    let other_mount = start(
        Command::new("sleep")
            .arg("1000")
            .current_dir(bench.path("mnt2")),
    );
    let (id, other) = (by_directory.id(), other_mount.id());
    let busy = bench
        .run(&["umount", "mnt"])
        .fails(5, &["/mnt is in use by process", &id, "(sleep)"]);
    assert!(!busy.err.contains(&other), "{busy:?}");
    drop((by_directory, other_mount));
    let mut tail = Command::new("tail");
    let by_file = start(tail.args(["-f", "file"]).current_dir(bench.path("mnt")));
    bench
        .run(&["umount", "mnt"])
        .fails(5, &["/mnt is in use", &by_file.id(), "(tail)"]);
    assert_eq!(bench.mounts().len(), 2);
    drop(by_file);
    bench.run(&["umount", "db"]).succeeds();
}

#[test]
fn a_mount_below_is_named() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt/below")).unwrap();
    let mut mount = Command::new("mount");
    run(mount
        .args(["-t", "tmpfs", "none"])
        .arg(bench.path("mnt/below")))
    .succeeds();
    bench
        .run(&["umount", "db"])
        .fails(5, &["is in use by the mount at", "mnt/below"]);
}

#[test]
fn another_mount_namespace_is_named() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let other = bench.other_namespace();
    let held = bench.run(&["umount", "db"]);
    held.fails(
        5,
        &[
            "unmounted here",
            "data is safe",
            "process",
            &other.id(),
            "(sleep)",
        ],
    );
    assert!(bench.mounts().is_empty());
    bench
        .run(&["rm", "db"])
        .fails(5, &["another mount namespace"]);
    drop(other);
    bench.wait_until_closed("db");
}

#[test]
fn a_server_that_dies_instead_of_closing_is_no_success() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let server = bench.server_of("db");
    let other = bench.other_namespace();
    let mut umount = bench.command(&["umount", "db"]);
    let umount = umount.stderr(Stdio::piped()).spawn().unwrap();
    wait_for("it is unmounted here", || bench.mounts().is_empty());
    kill_for_good(server);
    let outcome = umount.wait_with_output().unwrap();
    let text = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(1), "{text}");
    assert!(
        text.contains("not closed in order") && text.contains("server.log"),
        "{text}"
    );
    drop(other);
    bench.run(&["mount", "db", "mnt"]).succeeds();
}

#[test]
fn a_mount_that_another_covers_is_left_alone() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let mnt = bench.path("mnt");
    run(Command::new("mount")
        .args(["-t", "tmpfs", "cover"])
        .arg(&mnt))
    .succeeds();
    bench
        .run(&["umount", "db"])
        .fails(5, &["in use by the mount at", "/mnt"]);
    bench
        .run(&["umount", "./mnt"])
        .fails(1, &["mnt is neither a cask mount nor a volume"]);
    assert_eq!(bench.mounts().len(), 2);
    run(Command::new("umount").arg(&mnt)).succeeds();
    bench.run(&["umount", "db"]).succeeds();
}

#[test]
fn lazily_means_at_once() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let file = File::create(bench.path("mnt/file")).unwrap();
    bench.run(&["umount", "db"]).fails(5, &["is in use"]);
    bench.run(&["umount", "--lazy", "db"]).succeeds();
    assert!(bench.mounts().is_empty());
    bench.run(&["umount", "db"]).fails(5, &["detached lazily"]);
    drop(file);
    bench.wait_until_closed("db");
}

#[test]
fn umount_8_will_do_and_the_next_mount_waits_for_the_close() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    for round in 0..20 {
        File::create(bench.path(&format!("mnt/{round}"))).unwrap();
        run(Command::new("umount").arg(bench.path("mnt"))).succeeds();
        bench.run(&["mount", "db", "mnt"]).succeeds();
        assert!(bench.path(&format!("mnt/{round}")).exists());
    }
}
