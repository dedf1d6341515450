//! The life and death of a volume's server.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::killing::kill_for_good;
use crate::support::{Bench, Running, can_mount, run, start, wait_for};

#[test]
fn in_the_foreground_the_command_is_the_server() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let mut command = bench.command(&["mount", "db", "mnt", "--foreground"]);
    let child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Running(child);
    let mut log = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("serving volume \"db\" at mnt"), "{line}");
    assert_eq!(
        bench.server_of("db").as_raw_nonzero().to_string(),
        server.id()
    );
    bench.run(&["mount", "--create", "db", "mnt2"]).succeeds();
    bench.run(&["umount", "mnt"]).succeeds();
    assert!(server.0.try_wait().unwrap().is_none());
    bench.run(&["umount", "mnt2"]).succeeds();
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn a_signal_flushes_and_the_mounts_go_on() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let server = bench.server_of("db");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        kill_process(server, signal).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        File::create(bench.path(&format!("mnt/{}", signal.as_raw()))).unwrap();
    }
    assert_eq!(bench.server_of("db"), server);
    bench.run(&["umount", "db"]).succeeds();
    let log = fs::read_to_string(bench.volume_dir("db").join("server.log")).unwrap();
    assert!(log.contains("signal 15: flushing"), "{log}");
}

#[test]
fn a_volume_whose_server_died_is_mounted_again_with_one_command() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["mount", "--create", "db", "mnt2"]).succeeds();
    File::create(bench.path("mnt/file")).unwrap();
    kill(&bench);
    assert_eq!(
        bench.run(&["ls", "--format", "{{.Status}}"]).succeeds().out,
        "dead\n"
    );
    bench
        .run(&["rm", "db"])
        .fails(5, &["has lost its server", "cask umount db"]);
    bench.run(&["create", "other"]).succeeds();
    bench
        .run(&["mount", "other", "mnt2"])
        .fails(5, &["whose server is gone", "cask umount mnt2"]);
    let mounted = bench.run(&["mount", "db", "mnt"]).succeeds();
    assert!(mounted.err.contains("its server had died"), "{mounted:?}");
    assert_eq!(bench.mounts().len(), 1);
    assert!(bench.path("mnt/file").exists());
}

#[test]
fn a_dead_mount_can_be_unmounted() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["mount", "--create", "db", "mnt2"]).succeeds();
    bench.run(&["mount", "--create", "db", "mnt3"]).succeeds();
    kill(&bench);
    bench.run(&["umount", "mnt2"]).succeeds();
    run(Command::new("umount").arg(bench.path("mnt3"))).succeeds();
    bench.run(&["umount", "db"]).succeeds();
    assert!(bench.mounts().is_empty());
    bench.run(&["rm", "db"]).succeeds();
}

#[test]
fn a_dead_mount_that_is_in_use_does_not_hinder() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let user = start(
        Command::new("sleep")
            .arg("1000")
            .current_dir(bench.path("mnt")),
    );
    kill(&bench);
    bench.run(&["mount", "db", "mnt"]).succeeds();
    fs::read_dir(bench.path("mnt")).unwrap();
    drop(user);
}

#[test]
fn a_server_that_is_never_given_a_mount_ends() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    // The end of its standard input is the end of its starter; here it is there from the beginning.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut command = bench.command(&["keep", "--volume"]);
    command
        .arg(bench.volume_dir("db"))
        .stdin(std::os::fd::OwnedFd::from(theirs));
    let mut server = Running(command.stderr(Stdio::null()).spawn().unwrap());
    let socket = bench.volume_dir("db").join("control.sock");
    wait_for("the server listens", || socket.exists());
    assert_eq!(
        bench.run(&["ls", "--format", "{{.Status}}"]).succeeds().out,
        "starting\n"
    );
    drop(command);
    drop(ours);
    assert!(server.0.wait().unwrap().success());
    assert!(!socket.exists());
}

#[test]
fn whoever_dies_while_mounting_leaves_nothing() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    for micros in (0..4000).step_by(200) {
        let mut mounting = start(&mut bench.command(&["mount", "db", "mnt"]));
        std::thread::sleep(Duration::from_micros(micros));
        mounting.0.kill().unwrap();
        mounting.0.wait().unwrap();
        let is_mounted = !bench.mounts().is_empty();
        if is_mounted {
            fs::read_dir(bench.path("mnt")).unwrap();
            bench.run(&["umount", "mnt"]).succeeds();
        }
        bench.wait_until_closed("db");
    }
}

fn kill(bench: &Bench) {
    kill_for_good(bench.server_of("db"));
    let mnt = bench.path("mnt");
    wait_for("the mount is dead", || !cask::server::mounts::answers(&mnt));
    // A process that is being taken apart may still have its socket.
    bench.wait_until_closed("db");
}
