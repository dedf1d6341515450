//! Snapshots that are taken by themselves.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Bench, Outcome, can_mount, wait_for};

pub(crate) const SCHEDULE: &str = "schedule=hourly=2 daily=3";

/// A volume `db`, which is changed by [`change`]; nothing where nothing can be mounted.
fn volume() -> Option<Bench> {
    if !can_mount() {
        return None;
    }
    let bench = Bench::with_volume();
    bench.run(&["set", "db", SCHEDULE]).succeeds();
    Some(bench)
}

/// Changes the volume while it has no schedule: its server would take a snapshot of its own.
pub(crate) fn change(bench: &Bench, edit: impl Fn(&Path)) {
    bench.run(&["set", "db", "schedule=off"]).succeeds();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    edit(&bench.path("mnt"));
    bench.run(&["umount", "db"]).succeeds();
    bench.run(&["set", "db", SCHEDULE]).succeeds();
}

/// A round at `time`, of all volumes.
pub(crate) fn round(bench: &Bench, time: &str) -> Outcome {
    bench.run(&["schedule", "run", "--at", time])
}

/// One that finds another byte in the volume.
pub(crate) fn changed_round(bench: &Bench, time: &str) -> String {
    change(bench, |at| fs::write(at.join("file"), time).unwrap());
    round(bench, time).succeeds().out
}

pub(crate) fn names(bench: &Bench) -> Vec<String> {
    let listed = bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out;
    listed.lines().map(str::to_owned).collect()
}

pub(crate) fn schedule(bench: &Bench) -> Value {
    let shown = bench.run(&["inspect", "db"]).succeeds().out;
    let mut shown: Value = serde_json::from_str(&shown).unwrap();
    shown[0]["Schedule"].take()
}

#[test]
fn a_round_takes_one_snapshot_if_something_has_changed() {
    let Some(bench) = volume() else { return };
    let first = round(&bench, "2026-11-26T09:59:59Z").succeeds().out;
    assert_eq!(first, "db@auto-2026-11-26T09:00\n");
    assert_eq!(round(&bench, "2026-11-26T09:00:00Z").succeeds().out, "");
    assert_eq!(round(&bench, "2026-11-26T10:00:00Z").succeeds().out, "");
    let shown = schedule(&bench);
    assert_eq!(shown["Last"], "auto-2026-11-26T09:00");
    assert_eq!(shown["Taken"], "2026-11-26T09:59:59Z");
    assert_eq!(shown["SeenTo"], "2026-11-26T10:00:00Z");
    let edits: [fn(&Path); 5] = [
        |at| fs::write(at.join("a"), "a").unwrap(),
        |at| fs::rename(at.join("a"), at.join("b")).unwrap(),
        |at| {
            fs::set_permissions(
                at.join("b"),
                std::os::unix::fs::PermissionsExt::from_mode(0o600),
            )
            .unwrap();
        },
        |at| fs::write(at.join("b"), "b").unwrap(),
        |at| fs::remove_file(at.join("b")).unwrap(),
    ];
    for (hour, edit) in (11..).zip(edits) {
        change(&bench, edit);
        let taken = round(&bench, &format!("2026-11-26T{hour}:30:00Z")).succeeds();
        assert_eq!(taken.out, format!("db@auto-2026-11-26T{hour}:00\n"));
    }
}

#[test]
fn what_no_rule_keeps_goes_and_what_others_took_stays() {
    let Some(bench) = volume() else { return };
    // By name it could be one of ours.
    bench
        .run(&["snapshot", "db@auto-2026-11-20T00:00"])
        .succeeds();
    for time in ["24T10", "24T11", "25T12", "26T13", "26T14"] {
        changed_round(&bench, &format!("2026-11-{time}:00:00Z"));
    }
    // The newest of each of three days, and of the last two hours.
    let kept = [
        "auto-2026-11-20T00:00",
        "auto-2026-11-24T11:00",
        "auto-2026-11-25T12:00",
        "auto-2026-11-26T13:00",
        "auto-2026-11-26T14:00",
    ];
    assert_eq!(names(&bench), kept);
    bench
        .run(&["snapshot", "hold", "db@auto-2026-11-24T11:00"])
        .succeeds();
    changed_round(&bench, "2026-11-27T09:00:00Z");
    changed_round(&bench, "2026-11-27T10:00:00Z");
    let kept = [
        "auto-2026-11-20T00:00",
        "auto-2026-11-24T11:00",
        "auto-2026-11-25T12:00",
        "auto-2026-11-26T14:00",
        "auto-2026-11-27T09:00",
        "auto-2026-11-27T10:00",
    ];
    assert_eq!(names(&bench), kept);
}

#[test]
fn the_server_of_a_mounted_volume_takes_them() {
    let Some(bench) = volume() else { return };
    bench.run(&["mount", "db", "mnt"]).succeeds();
    fs::write(bench.path("mnt/file"), "kept").unwrap();
    wait_for("there is a snapshot", || names(&bench).len() == 1);
    let name = names(&bench).remove(0);
    assert!(
        name.starts_with("auto-2") && name.ends_with(":00"),
        "{name}"
    );
    wait_for("it is noted", || schedule(&bench)["Last"] == name.as_str());
    let shown = schedule(&bench);
    assert_eq!(shown["Keep"], "hourly=2 daily=3");
    assert_eq!(shown["Failures"], 0);
    assert!(shown["Next"].as_str() > shown["Taken"].as_str());
    bench.run(&["umount", "db"]).succeeds();
    // Its name works wherever that of a snapshot does.
    bench
        .run(&["clone", &format!("db@{name}"), "copy"])
        .succeeds();
    bench.run(&["diff", &format!("db@{name}")]).succeeds();
}

#[test]
fn a_snapshot_in_use_stays_until_a_later_round() {
    let Some(bench) = volume() else { return };
    changed_round(&bench, "2026-11-24T10:00:00Z");
    changed_round(&bench, "2026-11-24T11:00:00Z");
    let used = "db@auto-2026-11-24T11:00";
    for hour in [12, 13] {
        change(&bench, |at| fs::write(at.join("file"), [hour]).unwrap());
        bench.run(&["mount", used, "mnt"]).succeeds();
        round(&bench, &format!("2026-11-24T{hour}:00:00Z")).succeeds();
        bench.run(&["umount", used]).succeeds();
    }
    assert_eq!(names(&bench).len(), 4);
    changed_round(&bench, "2026-11-24T14:00:00Z");
    // The first is the oldest of three days that are not over yet.
    assert_eq!(
        names(&bench),
        [
            "auto-2026-11-24T10:00",
            "auto-2026-11-24T13:00",
            "auto-2026-11-24T14:00"
        ]
    );
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let Some(bench) = volume() else { return };
    changed_round(&bench, "2026-11-24T10:00:00Z");
    changed_round(&bench, "2038-01-01T00:00:00Z");
    let taken = changed_round(&bench, "2026-11-24T11:00:00Z");
    assert_eq!(taken, "db@auto-2026-11-24T11:00\n");
    assert!(names(&bench).contains(&taken[3..].trim_end().to_owned()));
    // What a wrong clock has named takes nobody's place, however few are to stay.
    bench.run(&["set", "db", "schedule=hourly=1"]).succeeds();
    change(&bench, |at| {
        fs::write(at.join("file"), "once more").unwrap();
    });
    bench.run(&["set", "db", "schedule=hourly=1"]).succeeds();
    let taken = round(&bench, "2026-11-24T12:00:00Z").succeeds().out;
    assert_eq!(taken, "db@auto-2026-11-24T12:00\n");
    assert_eq!(
        names(&bench),
        ["auto-2038-01-01T00:00", "auto-2026-11-24T12:00"]
    );
    bench.run(&["set", "db", SCHEDULE]).succeeds();
    // Back by less than a round: the one that is there is near enough.
    assert_eq!(changed_round(&bench, "2026-11-24T11:59:59Z"), "");
}

#[test]
fn a_failure_is_told_and_the_next_round_makes_up_for_it() {
    let Some(bench) = volume() else { return };
    // Something else holds the volume's lock: as good as any failure.
    let lock = cask::volume::store::DirLock::take(&bench.volume_dir("db")).unwrap();
    round(&bench, "2026-11-24T10:00:00Z").fails(1, &["db", "next run tries again"]);
    let shown = schedule(&bench);
    assert_eq!(shown["Failures"], 1);
    assert!(shown["Error"].as_str().unwrap().contains("db"));
    let told = bench.run(&["doctor"]).out;
    assert!(
        told.contains("warn  the scheduled snapshots of db failed 1 times"),
        "{told}"
    );
    let listed = bench.run(&["ls"]).succeeds().out;
    assert!(
        listed.contains("SNAPSHOT") && listed.contains("failed"),
        "{listed}"
    );
    drop(lock);
    let taken = round(&bench, "2026-11-24T10:10:00Z").succeeds().out;
    assert_eq!(taken, "db@auto-2026-11-24T10:00\n");
    assert_eq!(schedule(&bench)["Failures"], 0);
    // Of several that are named, each is tried.
    bench
        .run(&["create", "other", "--schedule", "daily=1"])
        .succeeds();
    let named = bench.run(&["schedule", "run", "copy", "other"]);
    assert!(
        named.code == 3 && named.out.starts_with("other@auto-"),
        "{named:?}"
    );
    // Nobody has seen to it for days.
    let told = bench.run(&["doctor"]).out;
    assert!(
        told.contains("the schedule of db was last seen to at 2026-11-24"),
        "{told}"
    );
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused() {
    let bench = Bench::with_volume();
    for bad in ["hourly=0", "yearly=1", "hourly", "", "daily=1 daily=2"] {
        let setting = format!("schedule={bad}");
        bench
            .run(&["set", "db", &setting])
            .fails(2, &["cannot set"]);
        let option = format!("--schedule={bad}");
        bench.run(&["create", "other", &option]).fails(2, &[]);
    }
    bench
        .run(&["schedule", "run", "db"])
        .fails(2, &["has no schedule", "cask set db schedule="]);
    bench
        .run(&["schedule", "run", "nothing"])
        .fails(3, &["nothing"]);
    assert_eq!(bench.run(&["schedule", "run"]).succeeds().out, "");
}
