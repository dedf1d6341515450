//! A collection that is asked for, or runs all the time, beside imports, snapshots and clones.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cask::volume::Volume;

use crate::support::{Bench, Running, can_mount, run, sh};
use crate::tuning::EAGER_VARIABLE;

/// Ends the threads beside a test, also when that fails.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn assert_sound(bench: &Bench, volume: &str) {
    let opened = Volume::open(&bench.volume_dir(volume)).unwrap();
    assert_eq!(opened.audit().unwrap(), [""; 0]);
    opened.close().unwrap();
    bench.run(&["check", "--read-data", volume]).succeeds();
}

/// Directories of volumes that are being made.
fn unfinished(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.path("root/volumes"))
        .into_iter()
        .flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.map(|path| path.to_str().unwrap().to_owned());
    paths.filter(|path| path.contains("/.new-")).collect()
}

/// An archive of several MiB, large files and small equal ones; its tree is `d`.
fn archive(bench: &Bench) -> Vec<u8> {
    let script = "mkdir d; for i in 1 2 3 4 5 6 7 8; do
        head -c 1M /dev/urandom >d/$i; head -c 5000 d/1 >d/small-$i; done; tar cf in.tar d";
    sh(bench, script, &[]);
    fs::read(bench.path("in.tar")).unwrap()
}

#[track_caller]
fn assert_imported(bench: &Bench, volume: &str) {
    bench
        .run(&["cp", &format!("{volume}:/d"), "out"])
        .succeeds();
    sh(bench, "diff -r d out; rm -r out", &[]);
}

#[test]
fn gc_of_a_volume_that_is_being_imported_is_refused_and_the_import_is_whole() {
    let bench = Bench::new();
    let archive = archive(&bench);
    let mut import = bench.command(&["import", "in", "-"]);
    let import = import
        .env(EAGER_VARIABLE.0, EAGER_VARIABLE.1)
        .stdin(Stdio::piped());
    let mut import = Running(import.stdout(Stdio::null()).spawn().unwrap());
    let mut pipe = import.0.stdin.take().unwrap();
    for (i, part) in archive.chunks(1 << 20).enumerate() {
        bench.run(&["gc", "in"]).fails(3, &["no volume \"in\""]);
        // Who knows what it is called until then waits in vain.
        if i == 5 {
            let dirs = unfinished(&bench);
            assert_eq!(dirs.len(), 1, "{dirs:?}");
            let refused = bench.run(&["gc", &dirs[0]]);
            refused.fails(5, &["is open in another process"]);
        }
        pipe.write_all(part).unwrap();
    }
    drop(pipe);
    assert!(import.0.wait().unwrap().success());
    for _ in 0..2 {
        assert_imported(&bench, "in");
        assert_sound(&bench, "in");
        bench.run(&["gc", "in"]).succeeds();
    }
}

#[test]
fn gc_that_is_asked_for_all_the_time_leaves_an_import_whole() {
    let bench = Bench::new();
    archive(&bench);
    let is_over = AtomicBool::new(false);
    for round in 0..3 {
        let volume = format!("in{round}");
        is_over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let code = bench.run(&["gc", &volume]).code;
                    assert!(code == 0 || code == 3, "{code}");
                }
            });
            let _over = Over(&is_over);
            bench.run(&["import", &volume, "in.tar"]).succeeds();
            thread::sleep(Duration::from_millis(50));
        });
        assert_imported(&bench, &volume);
        assert_sound(&bench, &volume);
    }
}

#[test]
fn snapshots_and_clones_beside_a_collector_that_runs_all_the_time_are_whole() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let mut mount = bench.command(&["mount", "db", &bench.text("mnt")]);
    run(mount.env(EAGER_VARIABLE.0, EAGER_VARIABLE.1)).succeeds();
    archive(&bench);
    sh(&bench, "cp -r d mnt/d", &[]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in (0_u8..250).cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                // What changes is dead soon; every second time equal small files, which come to share.
                let bytes = vec![round | 1; if round % 2 == 0 { 300_000 } else { 3000 }];
                for i in 0..4 {
                    fs::write(bench.path(&format!("mnt/changing-{i}")), &bytes).unwrap();
                }
            }
        });
        let _over = Over(&is_over);
        for i in 0..8 {
            bench.run(&["snapshot", &format!("db@{i}")]).succeeds();
            let state = if i % 2 == 0 { "db" } else { "db@0" };
            bench.run(&["clone", state, &format!("copy{i}")]).succeeds();
            if i >= 2 {
                bench
                    .run(&["snapshot", "rm", &format!("db@{}", i - 1)])
                    .succeeds();
            }
        }
    });
    sh(&bench, "diff -r d mnt/d", &[]);
    bench.run(&["umount", "db"]).succeeds();
    assert_sound(&bench, "db");
    for i in 0..8 {
        let copy = format!("copy{i}");
        assert_imported(&bench, &copy);
        assert_sound(&bench, &copy);
    }
}
