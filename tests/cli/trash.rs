//! `cask rm --trash`, `cask ls --trash` and `cask restore-volume`.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Bench, can_mount, start};

fn listed(bench: &Bench, arguments: &[&str]) -> String {
    bench.run(arguments).succeeds().out
}

#[test]
fn a_trashed_volume_comes_back_with_all_it_held() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/file"), "text").unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let mounted = ["volume \"db\" is mounted at", "unmount it first"];
    bench.run(&["rm", "--trash", "db"]).fails(5, &mounted);
    bench.run(&["umount", "db"]).succeeds();
    let trash = ["rm", "--trash", "--keep", "2h", "db"];
    assert_eq!(listed(&bench, &trash), "db\n");
    assert_eq!(listed(&bench, &["ls", "-q"]), "");
    bench
        .run(&["inspect", "db"])
        .fails(3, &["no volume \"db\"", "`cask restore-volume db`"]);
    // The name is free.
    bench.run(&["create", "db"]).succeeds();
    bench.run(&["restore-volume", "db"]).fails(
        4,
        &["volume \"db\" exists already", "restore-volume db --as NEW"],
    );
    let restored = ["restore-volume", "db", "--as", "old"];
    assert_eq!(listed(&bench, &restored), "old\n");
    assert_eq!(listed(&bench, &["snapshot", "ls", "-q", "old"]), "s\n");
    bench.run(&["mount", "old", "mnt"]).succeeds();
    assert_eq!(fs::read_to_string(bench.path("mnt/file")).unwrap(), "text");
    bench
        .run(&["restore-volume", "db"])
        .fails(3, &["no volume \"db\" in the trash", "cask ls --trash"]);
}

#[test]
fn the_trash_is_listed_with_when_each_is_due() {
    let bench = Bench::new();
    assert_eq!(
        listed(&bench, &["ls", "--trash"]),
        "NAME   TRASHED   DUE   DISK\n"
    );
    for name in ["b", "a"] {
        bench.run(&["create", name]).succeeds();
        bench
            .run(&["rm", "--trash", "--keep", "3d", name])
            .succeeds();
    }
    assert_eq!(listed(&bench, &["ls", "--trash", "-q"]), "a\nb\n");
    let table = listed(&bench, &["ls", "--trash"]);
    assert!(table.lines().nth(1).unwrap().starts_with("a      20"));
    let json = listed(&bench, &["ls", "--trash", "--format", "json"]);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let time = |field: &str| -> jiff::Timestamp { first[field].as_str().unwrap().parse().unwrap() };
    let kept = time("Due").duration_since(time("Trashed"));
    assert_eq!(kept.as_hours(), 72);
    assert_eq!(first["Name"], "a");
    assert!(first["PhysicalBytes"].as_u64().unwrap() > 0);
    assert!(fs::metadata(first["Dir"].as_str().unwrap()).is_ok());
    let template = ["ls", "--trash", "--format", "{{.Name}}"];
    assert_eq!(listed(&bench, &template), "a\nb\n");
}

#[test]
fn of_several_the_one_that_went_last_comes_back_first() {
    let bench = Bench::new();
    for i in ["1", "2", "3"] {
        bench
            .run(&["create", "db", "--label", &format!("i={i}")])
            .succeeds();
        bench.run(&["rm", "--trash", "db"]).succeeds();
    }
    for i in ["3", "2", "1"] {
        bench
            .run(&["restore-volume", "db", "--as", &format!("v{i}")])
            .succeeds();
        let label = ["inspect", &format!("v{i}"), "--format", "{{.Labels.i}}"];
        assert_eq!(listed(&bench, &label), format!("{i}\n"));
    }
}

#[test]
fn a_volume_that_cannot_be_used_can_be_put_aside() {
    let bench = Bench::with_volume();
    fs::write(bench.volume_dir("db").join("volume.json"), "{ not json").unwrap();
    bench.run(&["rm", "--trash", "db"]).succeeds();
    assert_eq!(listed(&bench, &["ls", "-q"]), "");
    bench.run(&["restore-volume", "db"]).succeeds();
    assert_eq!(listed(&bench, &["ls", "-q"]), "db\n");
}

#[test]
fn what_the_trash_refuses() {
    let bench = Bench::with_volume();
    bench.run(&["create", "./by-dir"]).succeeds();
    bench.run(&["create", "kept"]).succeeds();
    bench.run(&["set", "kept", "protect=on"]).succeeds();
    bench.run(&["create", "gone"]).succeeds();
    bench.run(&["rm", "--trash", "gone"]).succeeds();
    let before = bench.inventory();
    let by_dir = ["./by-dir is named by its directory", "cask rm ./by-dir"];
    for (arguments, code, words) in [
        (&["rm", "--trash", "./by-dir"][..], 2, &by_dir[..]),
        (&["rm", "--trash", "kept"], 5, &["is protected", "off"]),
        (&["rm", "--trash", "-f", "kept"], 5, &["is protected"]),
        (&["rm", "--trash", "nope"], 3, &["no volume \"nope\""]),
        (&["rm", "--trash", "--keep", "7", "db"], 2, &["such as 7d"]),
        (&["rm", "--trash", "--keep", "-1d", "db"], 2, &["error:"]),
        (&["rm", "--trash", "--keep", "99999d", "db"], 2, &["36500d"]),
        (&["rm", "--keep", "7d", "db"], 2, &["--trash"]),
        (&["ls", "--trash", "--filter", "name=a"], 2, &["--filter"]),
        (&["restore-volume"], 2, &["error:"]),
        (&["restore-volume", "./by-dir"], 2, &["volume name"]),
        (
            &["restore-volume", "gone", "--as", "a b"],
            2,
            &["volume name"],
        ),
        (&["restore-volume", "gone", "--as", "db"], 4, &["--as NEW"]),
        (&["restore-volume", "db"], 3, &["cask ls --trash"]),
    ] {
        bench.run(arguments).fails(code, words);
        assert_eq!(bench.inventory(), before, "{arguments:?} changed something");
    }
    assert_eq!(listed(&bench, &["rm", "--trash", "-f", "nope"]), "");
    let dir = bench.volume_dir("db");
    let lock = cask::volume::store::DirLock::take(&dir).unwrap();
    let in_use = ["volume \"db\" is open in another process"];
    bench.run(&["rm", "--trash", "db"]).fails(5, &in_use);
    drop(lock);
}

#[test]
fn a_command_that_dies_leaves_the_volume_in_one_of_the_two_places() {
    let bench = Bench::with_volume();
    let mut moves = 0;
    for micros in (0..12_000).step_by(400) {
        for arguments in [&["rm", "--trash", "db"][..], &["restore-volume", "db"]] {
            let mut command = start(&mut bench.command(arguments));
            std::thread::sleep(Duration::from_micros(micros));
            drop(command.0.kill());
            let done = command.0.wait().unwrap();
            moves += usize::from(done.success());
            let here = listed(&bench, &["ls", "-q"]);
            let there = listed(&bench, &["ls", "--trash", "-q"]);
            assert_eq!(format!("{here}{there}"), "db\n");
        }
    }
    eprintln!("{moves} moves were done all the same");
    if listed(&bench, &["ls", "-q"]).is_empty() {
        bench.run(&["restore-volume", "db"]).succeeds();
    }
    bench.run(&["snapshot", "db@s"]).succeeds();
}
