//! Others beside a command that reads out of a volume which was not mounted when it began: whoever wants the volume gets
//! it, and nothing is left of the reading.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bench, Running, can_mount, sh, wait_for};

const FILE_BYTES: usize = 20_000_000;

/// A volume `db` with a file that no pipe holds, which is not mounted.
fn bench() -> Bench {
    let bench = Bench::new();
    sh(&bench, "mkdir d mnt", &[]);
    fs::write(bench.path("d/big"), vec![1; FILE_BYTES]).unwrap();
    bench.run(&["import", "db", "d"]).succeeds();
    bench
}

/// An export that has begun, and waits for somebody to read it.
fn stuck_export(bench: &Bench, volume: &str) -> (Running, Vec<u8>) {
    let mut export = bench.command(&["export", volume]);
    let export = export.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut export = Running(export.spawn().unwrap());
    let mut begun = vec![0; 512];
    let out = export.0.stdout.as_mut().unwrap();
    out.read_exact(&mut begun).unwrap();
    (export, begun)
}

/// Reads the rest of an export and imports it as `name`.
#[track_caller]
fn finish(bench: &Bench, (mut export, mut archive): (Running, Vec<u8>), name: &str) {
    let out = export.0.stdout.as_mut().unwrap();
    out.read_to_end(&mut archive).unwrap();
    assert!(export.0.wait().unwrap().success());
    fs::write(bench.path("x.tar"), archive).unwrap();
    bench.run(&["import", name, "x.tar"]).succeeds();
}

fn status(bench: &Bench) -> String {
    let shown = bench.run(&["inspect", "db", "--format", "{{.Status}}"]);
    shown.succeeds().out.trim().to_owned()
}

#[test]
fn a_volume_is_mounted_written_and_unmounted_while_it_is_read() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    let export = stuck_export(&bench, "db");
    assert_eq!(status(&bench), "unmounted");
    let since = Instant::now();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert!(since.elapsed() < Duration::from_secs(2));
    assert_eq!(status(&bench), "mounted");
    fs::write(bench.path("mnt/big"), "short").unwrap();
    fs::write(bench.path("mnt/more"), "more").unwrap();
    // It is no cold copy that lies there now, and whoever unmounts must know.
    bench
        .run(&["umount", "db"])
        .fails(5, &["data is safe", "still reads"]);
    assert_eq!(status(&bench), "unmounted");
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(fs::read_to_string(bench.path("mnt/big")).unwrap(), "short");
    bench.run(&["umount", "--lazy", "db"]).succeeds();
    finish(&bench, export, "as-it-was");
    // The export ended last, and left nobody.
    bench.run(&["check", "--read-data", "db"]).succeeds();
    bench.run(&["cp", "as-it-was:/", "out"]).succeeds();
    assert_eq!(fs::read(bench.path("out/big")).unwrap(), [1; FILE_BYTES]);
    assert!(!bench.path("out/more").exists());
    bench.run(&["cp", "db:/big", "now"]).succeeds();
    assert_eq!(fs::read_to_string(bench.path("now")).unwrap(), "short");
    bench.run(&["rm", "-f", "db"]).succeeds();
}

#[test]
fn what_was_mounted_meanwhile_stays_mounted() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    let (first, second) = (stuck_export(&bench, "db"), stuck_export(&bench, "db"));
    bench.run(&["mount", "db", "mnt"]).succeeds();
    finish(&bench, first, "one");
    finish(&bench, second, "two");
    assert_eq!(fs::read(bench.path("mnt/big")).unwrap().len(), FILE_BYTES);
    bench.run(&["umount", "db"]).succeeds();
    assert_eq!(
        bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
        ""
    );
}

#[test]
fn a_volume_that_is_read_is_open_to_those_who_need_it_alone() {
    let bench = bench();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let (first, second) = (stuck_export(&bench, "db"), stuck_export(&bench, "db@s"));
    let in_use = ["volume \"db\" is open in another process", "wait for it"];
    bench.run(&["rm", "-f", "db"]).fails(5, &in_use);
    bench.run(&["rollback", "db@s"]).fails(5, &in_use);
    bench
        .run(&["umount", "db"])
        .fails(1, &["db\" is not mounted"]);
    bench.run(&["snapshot", "db@meanwhile"]).succeeds();
    finish(&bench, first, "one");
    bench.run(&["rm", "-f", "db"]).fails(5, &in_use);
    finish(&bench, second, "two");
    bench.run(&["rm", "-f", "db"]).succeeds();
}

#[test]
fn a_command_that_is_killed_leaves_the_volume_closed() {
    let bench = bench();
    drop(stuck_export(&bench, "db"));
    bench.wait_until_closed("db");
    wait_for("its server's files are gone", || {
        !bench.volume_dir("db").join("control.sock").exists()
    });
    assert_eq!(
        bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
        ""
    );
    bench.run(&["rm", "-f", "db"]).succeeds();
}

#[test]
fn a_server_that_is_killed_ends_the_command_and_nothing_else() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    let (mut export, _) = stuck_export(&bench, "db");
    kill_process(bench.server_of("db"), Signal::KILL).unwrap();
    let mut rest = Vec::new();
    let out = export.0.stdout.as_mut().unwrap();
    out.read_to_end(&mut rest).unwrap();
    assert_eq!(export.0.wait().unwrap().code(), Some(1));
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(fs::read(bench.path("mnt/big")).unwrap().len(), FILE_BYTES);
    bench.run(&["umount", "db"]).succeeds();
    assert_eq!(
        bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
        ""
    );
    bench.run(&["check", "db"]).succeeds();
}

/// Where a server died that had mounts, reading changes nothing about what is found of them.
#[test]
fn mounts_that_a_dead_server_left_are_found_during_and_after_a_reading() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    crate::killing::kill_for_good(bench.server_of("db"));
    wait_for("it is dead", || status(&bench) == "dead");
    let export = stuck_export(&bench, "db");
    assert_eq!(status(&bench), "dead");
    finish(&bench, export, "whole");
    assert_eq!(status(&bench), "dead");
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(fs::read(bench.path("mnt/big")).unwrap().len(), FILE_BYTES);
    bench.run(&["umount", "db"]).succeeds();
}

#[test]
fn an_ephemeral_volume_goes_with_its_mounts_and_not_with_a_reading() {
    if !can_mount() {
        return;
    }
    let bench = bench();
    bench.run(&["clone", "--ephemeral", "db", "e"]).succeeds();
    let (first, second) = (stuck_export(&bench, "e"), stuck_export(&bench, "e"));
    finish(&bench, first, "one");
    finish(&bench, second, "two");
    assert!(bench.volume_dir("e").exists());
    let export = stuck_export(&bench, "e");
    bench.run(&["mount", "e", "mnt"]).succeeds();
    bench.run(&["umount", "e"]).fails(5, &["still reads"]);
    assert!(bench.volume_dir("e").exists());
    finish(&bench, export, "three");
    assert!(!bench.volume_dir("e").exists());
}

/// A service manager that ends processes ends no backup half way, and nobody waits for ever.
#[test]
fn a_signal_to_the_server_lets_who_reads_go_on() {
    let bench = bench();
    let export = stuck_export(&bench, "db");
    let server: Pid = bench.server_of("db");
    kill_process(server, Signal::TERM).unwrap();
    finish(&bench, export, "whole");
    bench.wait_until_closed("db");
}
