//! `cask prune`: what it removes, and all that it leaves alone.

use std::fs;

use cask::volume::store::DirLock;

use crate::killing::kill_for_good;
use crate::removing::on_a_terminal;
use crate::support::{Bench, can_mount, wait_for};

/// The names that a run of `cask prune` shows, and the last line.
#[track_caller]
fn pruned(bench: &Bench, arguments: &[&str]) -> (Vec<String>, String) {
    let out = bench.run(&[&["prune"], arguments].concat()).succeeds().out;
    let last = out.lines().last().unwrap().to_owned();
    let rows = out.lines().skip(1).take_while(|line| !line.is_empty());
    let name = |row: &str| row.split_whitespace().nth(1).unwrap().to_owned();
    (rows.map(name).collect(), last)
}

#[track_caller]
fn trash(bench: &Bench, keep: &str, names: &[&str]) {
    for name in names {
        bench.run(&["create", name]).succeeds();
        bench
            .run(&["rm", "--trash", "--keep", keep, name])
            .succeeds();
    }
}

#[test]
fn what_is_due_and_what_was_left_half_done_goes() {
    let bench = Bench::with_volume();
    bench.run(&["snapshot", "db@s"]).succeeds();
    trash(&bench, "0s", &["old"]);
    trash(&bench, "1h", &["young"]);
    let left = format!(".new-{}", uuid::Uuid::new_v4());
    fs::create_dir(bench.volume_dir(&left)).unwrap();
    fs::write(bench.volume_dir(&left).join("half"), [1; 100_000]).unwrap();
    fs::create_dir(bench.volume_dir(".new-mine")).unwrap();
    let before = bench.inventory();
    bench
        .run(&["prune"])
        .fails(1, &["no terminal", "use -f", "--dry-run"]);
    let (names, total) = pruned(&bench, &["--dry-run"]);
    assert_eq!(names, ["old", &left]);
    let amount = total.strip_prefix("Total reclaimable space: ").unwrap();
    assert_ne!(amount, "0B");
    assert_eq!(bench.inventory(), before, "a dry run changed something");
    let (names, total) = pruned(&bench, &["-f"]);
    assert_eq!(names, ["old", &left]);
    assert_eq!(total, format!("Total reclaimed space: {amount}"));
    assert!(!bench.volume_dir(&left).exists());
    assert!(bench.volume_dir(".new-mine").exists());
    assert_eq!(bench.run(&["ls", "-q"]).succeeds().out, "db\n");
    let trash = bench.run(&["ls", "--trash", "-q"]).succeeds().out;
    assert_eq!(trash, "young\n");
    let nothing = bench.run(&["prune", "-f"]).succeeds().out;
    assert_eq!(nothing, "Total reclaimed space: 0B\n");
}

#[test]
fn a_root_without_anything_is_left_without() {
    let bench = Bench::new();
    for how in ["-f", "--dry-run"] {
        bench.run(&["prune", how]).succeeds();
    }
    assert!(!bench.path("root").exists());
}

#[test]
fn on_a_terminal_it_asks_once_for_all() {
    let bench = Bench::new();
    trash(&bench, "0s", &["a", "b"]);
    let refused = on_a_terminal(&bench, "prune", "n\n").succeeds();
    assert!(refused.out.contains("Remove it for good? [y/N]"));
    assert!(refused.out.contains("Total reclaimed space: 0B"));
    assert_eq!(bench.run(&["ls", "--trash", "-q"]).succeeds().out, "a\nb\n");
    on_a_terminal(&bench, "prune", "y\n").succeeds();
    assert_eq!(bench.run(&["ls", "--trash", "-q"]).succeeds().out, "");
    let unasked = on_a_terminal(&bench, "prune", "").succeeds();
    assert!(!unasked.out.contains("[y/N]"), "{unasked:?}");
}

#[test]
fn an_ephemeral_volume_goes_that_a_killed_server_left() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    for name in ["waiting", "left", "mounted"] {
        bench.run(&["create", "--ephemeral", name]).succeeds();
    }
    bench
        .run(&["mount", "--create", "mounted", "mnt"])
        .succeeds();
    bench.run(&["mount", "--create", "left", "dead"]).succeeds();
    kill_for_good(bench.server_of("left"));
    bench.wait_until_closed("left");
    // Its mount is still there.
    assert!(pruned(&bench, &["-f"]).0.is_empty());
    bench.run(&["umount", "dead"]).succeeds();
    let (names, _) = pruned(&bench, &["--dry-run"]);
    assert_eq!(names, ["left"]);
    assert_eq!(pruned(&bench, &["-f"]).0, ["left"]);
    let listed = bench.run(&["ls", "-q"]).succeeds().out;
    assert_eq!(listed, "mounted\nwaiting\n");
    fs::write(bench.path("mnt/a"), "usable").unwrap();
}

#[test]
fn an_ephemeral_volume_goes_that_was_open_when_it_should_have_gone() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    bench.run(&["create", "--ephemeral", "e"]).succeeds();
    bench.run(&["mount", "--create", "e", "mnt"]).succeeds();
    let dir = bench.volume_dir("e");
    // Whoever is faster than the server's last act has it.
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| {
            let mut lock = None;
            wait_for("the volume is closed or gone", || {
                lock = DirLock::take(&dir).ok();
                lock.is_some() || !dir.exists()
            });
            lock
        });
        bench.run(&["umount", "mnt"]).succeeds();
        let lock = taken.join().unwrap();
        if dir.join("volume.json").exists() {
            assert!(pruned(&bench, &["-f"]).0.is_empty(), "it is open");
            drop(lock);
            assert_eq!(pruned(&bench, &["-f"]).0, ["e"]);
        }
    });
    assert_eq!(bench.run(&["ls", "-q"]).succeeds().out, "");
}

#[test]
fn what_is_protected_or_open_stays() {
    let bench = Bench::new();
    trash(&bench, "0s", &["kept", "open"]);
    let list = ["ls", "--trash", "--format", "{{.Dir}}"];
    let dirs = bench.run(&list).succeeds().out;
    let dirs: Vec<&str> = dirs.lines().collect();
    bench.run(&["set", dirs[0], "protect=on"]).succeeds();
    let lock = DirLock::take(dirs[1].as_ref()).unwrap();
    assert!(pruned(&bench, &["-f"]).0.is_empty());
    drop(lock);
    assert_eq!(pruned(&bench, &["-f"]).0, ["open"]);
    bench.run(&["set", dirs[0], "protect=off"]).succeeds();
    assert_eq!(pruned(&bench, &["-f"]).0, ["kept"]);
}
