//! `kill -9` of the command, or of the server that works for it, in the middle of a snapshot, a clone or a
//! rollback: the volume is as before or as after, and its tables keep their invariants.

use std::fs;
use std::time::Duration;

use cask::types::{Caller, Ino};
use cask::volume::{self, SetXattrMode, Volume};
use rustix::process::{Pid, Signal, kill_process};

use crate::killing::kill_for_good;
use crate::support::{Bench, can_mount, start, wait_for};

const FILES: usize = 300;

/// Volume `db` with a snapshot `s` of 300 files that say `old`, and 300 that say `new` in its head.
fn prepared() -> Bench {
    let bench = Bench::with_mount();
    let fill = |text: &str| {
        for i in 0..FILES {
            fs::write(bench.path(&format!("mnt/{i}")), text).unwrap();
        }
    };
    fill("old");
    bench.run(&["snapshot", "db@s"]).succeeds();
    fill("new");
    bench
}

#[track_caller]
fn assert_sound(bench: &Bench, volume: &str) -> Vec<String> {
    let mut opened = Volume::open(&bench.volume_dir(volume));
    // A server that a killed command had started may only come to open it now, and finds nothing to do.
    wait_for("nobody has the volume open", || {
        if matches!(opened, Err(volume::Error::InUse { .. })) {
            opened = Volume::open(&bench.volume_dir(volume));
        }
        !matches!(opened, Err(volume::Error::InUse { .. }))
    });
    let opened = opened.unwrap();
    opened.reap().unwrap();
    assert_eq!(opened.audit().unwrap(), [""; 0]);
    let names = opened.snapshots().unwrap().into_iter();
    let names = names.map(|snapshot| snapshot.name.into()).collect();
    opened.close().unwrap();
    names
}

/// What all files of a volume say.
#[track_caller]
fn said(bench: &Bench, volume: &str) -> String {
    let at = bench.text(&format!("look-{volume}"));
    bench.run(&["mount", "--create", volume, &at]).succeeds();
    let read = |i: usize| fs::read_to_string(format!("{at}/{i}")).unwrap();
    let first = read(0);
    assert!((1..FILES).all(|i| read(i) == first), "half of each");
    bench.run(&["umount", &at]).succeeds();
    first
}

/// Runs a command and kills it after each of these times.
fn killed(bench: &Bench, arguments: impl Fn(usize) -> Vec<String>, mut check: impl FnMut(usize)) {
    for (i, micros) in (0..40_000).step_by(1_700).enumerate() {
        let arguments = arguments(i);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = start(&mut bench.command(&arguments));
        std::thread::sleep(Duration::from_micros(micros));
        drop(command.0.kill());
        command.0.wait().unwrap();
        bench.wait_until_closed("db");
        check(i);
    }
}

#[test]
fn a_command_that_dies_in_a_snapshot_took_it_or_not() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    let take = |i| vec!["snapshot".to_owned(), format!("db@{i}")];
    let mut taken = 0;
    killed(&bench, take, |_| {
        taken = assert_sound(&bench, "db").len() - 1;
    });
    eprintln!("{taken} snapshots were taken all the same");
    assert_eq!(said(&bench, "db"), "new");
}

#[test]
fn a_command_that_dies_in_a_rollback_did_it_or_not() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    bench.run(&["snapshot", "db@new"]).succeeds();
    // There and back again, in turns.
    let target = |i: usize| if i.is_multiple_of(2) { "s" } else { "new" };
    let back = |i| vec!["rollback".to_owned(), format!("db@{}", target(i))];
    let mut before = "new".to_owned();
    killed(&bench, back, |i| {
        assert_sound(&bench, "db");
        let now = said(&bench, "db");
        let expected = if target(i) == "s" { "old" } else { "new" };
        assert!(now == before || now == expected);
        before = now;
    });
}

#[test]
fn a_command_that_dies_in_a_clone_made_a_whole_one_or_none() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    let clone = |i| {
        ["clone", "db@s", &format!("c{i}")]
            .map(str::to_owned)
            .to_vec()
    };
    killed(&bench, clone, |i| {
        let name = format!("c{i}");
        if bench.volume_dir(&name).exists() {
            assert_eq!(assert_sound(&bench, &name), [""; 0]);
            assert_eq!(said(&bench, &name), "old");
            bench.run(&["rm", "-f", &name]).succeeds();
        }
        assert_sound(&bench, "db");
    });
    // The next creation clears away what was left.
    bench.run(&["create", "other"]).succeeds();
    let left = fs::read_dir(bench.path("root/volumes")).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".new")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_command_that_dies_in_an_import_made_a_whole_volume_or_none() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    fs::create_dir(bench.path("from")).unwrap();
    for i in 0..FILES {
        fs::write(bench.path(&format!("from/{i}")), "old").unwrap();
    }
    let import = |i| {
        ["import", &format!("i{i}"), "from"]
            .map(str::to_owned)
            .to_vec()
    };
    killed(&bench, import, |i| {
        let name = format!("i{i}");
        if bench.volume_dir(&name).exists() {
            assert_sound(&bench, &name);
            assert_eq!(said(&bench, &name), "old");
        }
    });
}

#[test]
fn a_command_that_dies_in_an_export_leaves_a_whole_archive_or_none() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    let export = |i| {
        ["export", "db@s", "-o", &format!("{i}.tar")]
            .map(str::to_owned)
            .to_vec()
    };
    let mut whole = 0;
    killed(&bench, export, |i| {
        let archive = bench.path(&format!("{i}.tar"));
        if archive.exists() {
            bench
                .run(&["import", "new", &format!("{i}.tar")])
                .succeeds();
            assert_eq!(said(&bench, "new"), "old");
            bench.run(&["rm", "-f", "new"]).succeeds();
            fs::remove_file(archive).unwrap();
            whole += 1;
        }
        assert_sound(&bench, "db");
    });
    eprintln!("{whole} archives were written all the same");
    let left = fs::read_dir(bench.path("")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<_> = left.filter(|name| name.contains("tar")).collect();
    left.sort();
    assert_eq!(left, [""; 0]);
    assert_eq!(said(&bench, "db"), "new");
}

#[test]
fn a_command_that_dies_in_removing_a_snapshot_removed_it_or_not() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    let mut is_there = true;
    let remove = |_| ["snapshot", "rm", "db@s"].map(str::to_owned).to_vec();
    killed(&bench, remove, |_| {
        let now = assert_sound(&bench, "db").contains(&"s".to_owned());
        assert!(is_there || !now, "it came back");
        is_there = now;
        if is_there {
            bench.run(&["clone", "db@s", "c"]).succeeds();
            assert_eq!(said(&bench, "c"), "old");
            bench.run(&["rm", "-f", "c"]).succeeds();
        }
    });
    assert!(!is_there, "the last one had all the time it needs");
    wait_for("what it held is freed", || {
        let opened = Volume::open(&bench.volume_dir("db")).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        opened.close().unwrap();
        let database = cask::meta::Database::open(&bench.volume_dir("db").join("meta.db"));
        !database.unwrap().read().unwrap().has_purge().unwrap()
    });
    assert_eq!(said(&bench, "db"), "new");
}

#[test]
fn a_server_that_dies_in_a_snapshot_or_clone_leaves_a_sound_volume() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    for (i, micros) in (2_000..30_000).step_by(4_000).enumerate() {
        let server = bench.server_of("db");
        let snapshot = start(&mut bench.command(&["snapshot", &format!("db@{i}")]));
        let clone = start(&mut bench.command(&["clone", "db@s", &format!("c{i}")]));
        std::thread::sleep(Duration::from_micros(micros));
        kill_for_good(server);
        let mnt = bench.path("mnt");
        wait_for("the mount is dead", || !cask::server::mounts::answers(&mnt));
        let mut commands = [snapshot, clone];
        for command in &mut commands {
            // With the server gone the command does it itself.
            command.0.wait().unwrap();
        }
        bench.run(&["umount", "db"]).succeeds();
        bench.wait_until_closed("db");
        assert_sound(&bench, "db");
        let clone = format!("c{i}");
        if bench.volume_dir(&clone).exists() {
            assert_sound(&bench, &clone);
            assert_eq!(said(&bench, &clone), "old");
        }
        bench.run(&["mount", "db", "mnt"]).succeeds();
        assert_eq!(fs::read_to_string(bench.path("mnt/7")).unwrap(), "new");
    }
}

/// Changes the volume, which nobody has open.
fn touch(bench: &Bench, number: usize) {
    let volume = Volume::open(&bench.volume_dir("db")).unwrap();
    let value = number.to_string();
    let (root, mode) = (Caller::root(), SetXattrMode::Any);
    volume
        .set_xattr(&root, Ino::ROOT, b"user.n", value.as_bytes(), mode)
        .unwrap();
    volume.close().unwrap();
}

#[test]
fn a_scheduled_round_that_is_ended_took_its_snapshot_or_not() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    bench.run(&["set", "db", "schedule=hourly=1"]).succeeds();
    let run = |time: &str| ["schedule", "run", "--at", time].map(str::to_owned);
    let at = |i: usize| format!("2026-11-{:02}T{:02}:00:00Z", 1 + i / 24, i % 24);
    let mut taken = 0;
    for (i, micros) in (0..60_000).step_by(1_700).enumerate() {
        touch(&bench, i);
        let arguments = run(&at(i));
        let arguments = arguments.each_ref().map(String::as_str);
        let mut command = start(&mut bench.command(&arguments));
        std::thread::sleep(Duration::from_micros(micros));
        let signal = if i.is_multiple_of(2) {
            Signal::KILL
        } else {
            Signal::TERM
        };
        kill_process(Pid::from_child(&command.0), signal).unwrap();
        command.0.wait().unwrap();
        bench.wait_until_closed("db");
        let name = format!("auto-{}", at(i).trim_end_matches(":00Z"));
        taken += usize::from(assert_sound(&bench, "db").contains(&name));
        // Two that make up for it at once.
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| bench.run(&arguments).succeeds());
            }
        });
        // Nothing but the newest is kept.
        assert_eq!(assert_sound(&bench, "db"), ["s", &name]);
        let last = ["inspect", "db", "--format", "{{.Schedule.Last}}"];
        assert_eq!(bench.run(&last).succeeds().out.trim_end(), name);
    }
    eprintln!("{taken} snapshots were taken all the same");
    assert_eq!(said(&bench, "db"), "new");
}
