//! `cask log`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::support::{Bench, can_mount};

#[test]
fn the_log_of_a_server_is_shown() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let none = bench.run(&["log", "db"]).succeeds();
    assert_eq!(none.out, "");
    assert!(none.err.contains("was not mounted yet"), "{none:?}");
    bench.run(&["log", "nope"]).fails(3, &["nope"]);
    bench.run(&["mount", "db", "mnt"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
    let all = bench.run(&["log", "db"]).succeeds().out;
    assert!(all.contains(" INFO serving "), "{all}");
    let last = bench.run(&["log", "--lines", "1", "db"]).succeeds().out;
    assert!(
        last.ends_with("is closed\n") && last.lines().count() == 1,
        "{last}"
    );
    // What was put aside comes first.
    let log = bench.volume_dir("db").join("server.log");
    fs::write(log.with_extension("log.old"), "older\n").unwrap();
    assert_eq!(
        bench.run(&["log", "db"]).succeeds().out,
        format!("older\n{all}")
    );
    assert_eq!(bench.run(&["log", "-n", "1", "db"]).succeeds().out, last);
    assert_eq!(bench.run(&["log", "-n", "0", "db"]).succeeds().out, "");
}

#[test]
fn a_log_is_followed_from_one_server_to_the_next_until_the_volume_goes() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let mut follow = bench.command(&["log", "-f", "-n", "0", "db"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(follow.stdout.take().unwrap());
    let (tell, told) = channel();
    let reading = thread::spawn(move || {
        for line in out.lines() {
            tell.send(line.unwrap()).unwrap();
        }
    });
    let next = |what: &str| loop {
        let line = told.recv_timeout(Duration::from_secs(30));
        let line = line.unwrap_or_else(|e| panic!("{what}: {e}"));
        if line.contains(what) {
            return;
        }
    };
    for _ in 0..2 {
        bench.run(&["mount", "db", "mnt"]).succeeds();
        next("serving");
        bench.run(&["umount", "db"]).succeeds();
        next("is closed");
        let log = bench.volume_dir("db").join("server.log");
        fs::rename(&log, log.with_extension("log.old")).unwrap();
    }
    bench.run(&["rm", "db"]).succeeds();
    assert!(follow.wait().unwrap().success());
    reading.join().unwrap();
}
