//! Scheduled snapshots on a disk that is full: told, nothing lost, and made up for once there is room.

use std::fs;
use std::path::Path;

use cask::volume::Volume;

use crate::schedules::{SCHEDULE, change, changed_round, names, round, schedule};
use crate::support::{Bench, can_mount, sh, wait_for};

const TMPFS: &str = "mount -t tmpfs -o size=64M none root";
const EXT4: &str = "truncate -s 64M image; mkfs.ext4 -q -m 0 image; mount -o loop image root";
/// What those who look are told of a full disk.
const NO_SPACE: &str = "no space left";

/// A volume `db` on a small disk of its own, with a scheduled snapshot and a change since; nothing where disks cannot be
/// mounted.
fn on_a_disk(mount: &str) -> Option<Bench> {
    if !can_mount() || (mount == EXT4 && !Path::new("/dev/loop-control").exists()) {
        return None;
    }
    let bench = Bench::new();
    sh(&bench, &format!("mkdir root mnt; {mount}"), &[]);
    bench.run(&["create", "db"]).succeeds();
    bench.run(&["set", "db", SCHEDULE]).succeeds();
    changed_round(&bench, "2026-11-24T10:00:00Z");
    change(&bench, |at| {
        fs::write(at.join("kept"), [7; 300_000]).unwrap();
    });
    Some(bench)
}

/// Fills the disk but for `left` KiB.
fn fill(bench: &Bench, left: usize) {
    let script = r#"cd root
        dd if=/dev/zero of=ballast bs=64K status=none || true
        dd if=/dev/zero of=ballast oflag=append conv=notrunc bs=512 status=none || true
        sync -f .; truncate -s "-$1K" ballast; sync -f ."#;
    sh(bench, script, &[Path::new(&left.to_string())]);
}

fn make_room(bench: &Bench) {
    fs::remove_file(bench.path("root/ballast")).unwrap();
}

#[track_caller]
fn assert_sound(bench: &Bench) {
    let volume = Volume::open(&bench.volume_dir("db")).unwrap();
    assert_eq!(volume.audit().unwrap(), [""; 0]);
    volume.close().unwrap();
    bench.run(&["check", "--read-data", "db"]).succeeds();
    bench.run(&["cp", "db:/kept", "copied"]).succeeds();
    assert!(fs::read(bench.path("copied")).unwrap() == [7; 300_000]);
    fs::remove_file(bench.path("copied")).unwrap();
}

#[track_caller]
fn assert_told(bench: &Bench) {
    let shown = schedule(bench);
    assert!(shown["Failures"].as_u64() > Some(0), "{shown}");
    let cause = shown["Error"].as_str().unwrap_or_default();
    assert!(cause.contains(NO_SPACE), "{shown}");
    let told = bench.run(&["doctor"]).out;
    let line = told
        .lines()
        .find(|line| line.contains("snapshots of db failed"));
    assert!(line.is_some_and(|line| line.contains(NO_SPACE)), "{told}");
}

#[test]
fn a_server_that_finds_no_room_says_so_and_takes_it_once_there_is_some() {
    for disk in [TMPFS, EXT4] {
        let Some(bench) = on_a_disk(disk) else {
            continue;
        };
        // As if files had been removed on a full disk before: else the snapshot would have that.
        fs::write(bench.volume_dir("db").join("reserve"), "").unwrap();
        fill(&bench, 24);
        bench.run(&["mount", "db", "mnt"]).succeeds();
        wait_for("the failure is noted", || schedule(&bench)["Failures"] != 0);
        assert_told(&bench);
        assert_eq!(names(&bench), ["auto-2026-11-24T10:00"]);
        assert!(fs::read(bench.path("mnt/kept")).unwrap() == [7; 300_000]);
        make_room(&bench);
        wait_for("there is another", || names(&bench).len() == 2);
        wait_for("it is noted", || schedule(&bench)["Failures"] == 0);
        assert_eq!(schedule(&bench)["Last"], names(&bench)[1].as_str());
        bench.run(&["umount", "db"]).succeeds();
        bench.wait_until_closed("db");
        assert_sound(&bench);
    }
}

#[test]
fn a_run_with_too_little_room_takes_all_of_a_snapshot_or_nothing() {
    for disk in [TMPFS, EXT4] {
        let Some(bench) = on_a_disk(disk) else {
            continue;
        };
        let mut failed = 0;
        for (hour, left) in (11..).zip([0, 4, 8, 16, 64, 128, 512]) {
            fill(&bench, left);
            let time = format!("2026-11-24T{hour}:00:00Z");
            let before = names(&bench);
            let done = round(&bench, &time);
            let taken = format!("auto-2026-11-24T{hour}:00");
            if done.code == 0 {
                assert_eq!(done.out, format!("db@{taken}\n"), "{left} KiB: {done:?}");
            } else {
                failed += 1;
                assert!(done.err.contains(NO_SPACE), "{left} KiB: {done:?}");
                assert_eq!(names(&bench), before, "{left} KiB");
                assert_told(&bench);
            }
            make_room(&bench);
            round(&bench, &time).succeeds();
            assert!(names(&bench).contains(&taken), "{left} KiB");
            let shown = schedule(&bench);
            assert_eq!(shown["Last"], taken.as_str(), "{left} KiB");
            assert_eq!(shown["Failures"], 0, "{left} KiB");
            assert_sound(&bench);
            change(&bench, |at| fs::write(at.join("file"), [hour]).unwrap());
        }
        eprintln!("{failed} runs found no room");
    }
}
