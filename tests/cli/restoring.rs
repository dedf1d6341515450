//! `cask restore` that is killed, beside another, and of what may not be written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::{Bench, can_mount, start};

const FILES: usize = 300;

/// Volume `db` whose directory `d` has 300 files that say `new`; in snapshot `s` they say `old`.
fn prepared() -> Bench {
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt/d")).unwrap();
    fill(&bench, "old");
    bench.run(&["snapshot", "db@s"]).succeeds();
    fill(&bench, "new");
    bench
}

fn fill(bench: &Bench, text: &str) {
    for i in 0..FILES {
        fs::write(bench.path(&format!("mnt/d/{i}")), text).unwrap();
    }
}

/// What all files of `d` say.
#[track_caller]
fn said(bench: &Bench) -> String {
    let read = |i: usize| fs::read_to_string(bench.path(&format!("mnt/d/{i}"))).unwrap();
    let first = read(0);
    assert!((1..FILES).all(|i| read(i) == first), "half of each");
    first
}

fn names(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.path("mnt")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn a_killed_restore_leaves_the_old_or_the_new_and_the_next_clears_up() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    for millis in (0..300).step_by(30) {
        let mut command = start(&mut bench.command(&["restore", "db@s:/d"]));
        // Not before it has begun, where it is not done by then.
        while names(&bench).len() == 1 && command.0.try_wait().unwrap().is_none() {}
        std::thread::sleep(Duration::from_millis(millis));
        drop(command.0.kill());
        command.0.wait().unwrap();
        if said(&bench) == "old" {
            fill(&bench, "new");
        }
    }
    bench.run(&["restore", "db@s:/d"]).succeeds();
    assert_eq!(said(&bench), "old");
    assert_eq!(names(&bench), ["d"]);
}

#[test]
fn two_at_once_leave_one_of_them() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| bench.run(&["restore", "db@s:/d"]).succeeds());
        }
    });
    assert_eq!(said(&bench), "old");
    assert_eq!(names(&bench), ["d"]);
}

#[test]
fn what_is_being_restored_is_open_to_nobody() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    fs::set_permissions(bench.path("mnt"), Permissions::from_mode(0o777)).unwrap();
    let mut command = start(&mut bench.command(&["restore", "db@s:/d"]));
    let mut modes = Vec::new();
    while command.0.try_wait().unwrap().is_none() {
        let all = names(&bench);
        let staging = all.iter().filter(|name| *name != "d");
        let found = staging.map(|name| fs::metadata(bench.path(&format!("mnt/{name}"))));
        modes.extend(
            found
                .flatten()
                .map(|found| found.permissions().mode() & 0o777),
        );
    }
    assert!(
        !modes.is_empty() && modes.iter().all(|&mode| mode == 0o700),
        "{modes:?}"
    );
}
