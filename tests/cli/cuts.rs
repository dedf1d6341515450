//! `cask snapshot` of several volumes: one cut, or none.

use std::fs;
use std::time::{Duration, Instant};

use cask::control::{Bytes, Client, GroupPart};
use cask::types::{GroupId, VolumeId};
use cask::volume::{Config, Volume};

use crate::killing::kill_for_good;
use crate::support::{Bench, can_mount, start, wait_for};

/// Volume `db`, mounted at `mnt`, and volume `other`, which is not.
fn mounted_and_not() -> Bench {
    let bench = Bench::with_mount();
    bench.run(&["create", "other"]).succeeds();
    bench
}

fn names(bench: &Bench, volume: &str) -> Vec<String> {
    let listed = bench.run(&["snapshot", "ls", "-q", volume]).succeeds().out;
    listed.lines().map(str::to_owned).collect()
}

/// Records of cuts in the directories of these volumes.
fn records(bench: &Bench, volumes: &[&str]) -> usize {
    let all = volumes.iter().flat_map(|volume| {
        let entries = fs::read_dir(bench.volume_dir(volume)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
    });
    all.filter(|name| name.starts_with("cut-")).count()
}

fn uuid(bench: &Bench, volume: &str) -> VolumeId {
    Config::load(&bench.volume_dir(volume)).unwrap().uuid
}

/// The volume's part in a cut that it decides itself.
fn part(bench: &Bench, volume: &str) -> GroupPart {
    GroupPart {
        group: GroupId::random(),
        coordinator: uuid(bench, volume),
        coordinator_dir: Bytes(bench.volume_dir(volume).to_str().unwrap().into()),
        name: "held".parse().unwrap(),
        label: String::new(),
    }
}

#[track_caller]
fn assert_sound(bench: &Bench, volume: &str) {
    let opened = Volume::open(&bench.volume_dir(volume)).unwrap();
    assert_eq!(opened.audit().unwrap(), [""; 0]);
    opened.close().unwrap();
}

#[test]
fn volumes_in_any_state_are_cut_together() {
    if !can_mount() {
        return;
    }
    let bench = mounted_and_not();
    let dir = bench.text("by-dir");
    bench.run(&["create", &dir]).succeeds();
    fs::write(bench.path("mnt/file"), "text").unwrap();
    let by_dir = format!("{dir}@two words");
    let taken = bench.run(&["snapshot", "other@s", "db@s", &by_dir, "--label", "a note"]);
    let expected = format!("other@s\ndb@s\n{by_dir}\n");
    assert_eq!(taken.succeeds().out, expected);
    for (volume, name) in [("db", "s"), ("other", "s"), (dir.as_str(), "two words")] {
        let format = "{{.Name}} {{.Label}}";
        let listed = bench.run(&["snapshot", "ls", volume, "--format", format]);
        assert_eq!(listed.succeeds().out, format!("{name} a note\n"));
    }
    bench.run(&["cp", "db@s:/file", "copy"]).succeeds();
    assert_eq!(fs::read_to_string(bench.path("copy")).unwrap(), "text");
    // Without names they get the same one, and it is another each time.
    for _ in 0..3 {
        bench.run(&["snapshot", "db", "other"]).succeeds();
    }
    assert_eq!(names(&bench, "db"), names(&bench, "other"));
    assert_eq!(names(&bench, "db").len(), 4);
    assert_eq!(records(&bench, &["db", "other", "../../by-dir"]), 0);
    bench.run(&["snapshot", "rm", "db@s", "other@s"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
    assert_sound(&bench, "db");
    assert_sound(&bench, "other");
}

#[test]
fn when_one_volume_cannot_take_part_nothing_is_taken() {
    if !can_mount() {
        return;
    }
    let bench = mounted_and_not();
    bench.run(&["import", "--seal", "sealed", "mnt"]).succeeds();
    bench.run(&["snapshot", "other@s"]).succeeds();
    let before = bench.inventory();
    for states in [["db@s", "other@s"], ["other@s", "db@s"]] {
        bench
            .run(&["snapshot", states[0], states[1]])
            .fails(4, &["snapshot \"s\" of volume \"other\"", "exists already"]);
    }
    bench
        .run(&["snapshot", "db@n", "sealed@n"])
        .fails(1, &["volume \"sealed\"", "read-only"]);
    bench
        .run(&["snapshot", "db@n", "nope@n"])
        .fails(3, &["no volume \"nope\""]);
    let dir = bench.volume_dir("db");
    let same = format!("{}@m", dir.display());
    bench
        .run(&["snapshot", "db@n", &same])
        .fails(2, &["are the same volume", "name each volume once"]);
    let open = Volume::open(&bench.volume_dir("other")).unwrap();
    bench
        .run(&["snapshot", "db@n", "other@n"])
        .fails(5, &["volume \"other\" is open in another process"]);
    drop(open);
    assert_eq!(names(&bench, "db"), [""; 0]);
    assert_eq!(names(&bench, "other"), ["s"]);
    assert_eq!(bench.inventory(), before);
}

#[test]
fn cuts_in_opposite_order_do_not_wait_for_each_other_for_ever() {
    if !can_mount() {
        return;
    }
    let bench = mounted_and_not();
    bench.run(&["create", "third"]).succeeds();
    bench
        .run(&["mount", "--create", "third", "mnt3"])
        .succeeds();
    for round in 0..10 {
        let mut running: Vec<_> = [["db", "other", "third"], ["third", "other", "db"]]
            .into_iter()
            .enumerate()
            .map(|(who, volumes)| {
                let states = volumes.map(|volume| format!("{volume}@{round}-{who}"));
                let states = states.iter().map(String::as_str);
                let arguments: Vec<_> = ["snapshot"].into_iter().chain(states).collect();
                start(&mut bench.command(&arguments))
            })
            .collect();
        for command in &mut running {
            assert!(command.0.wait().unwrap().success());
        }
    }
    for volume in ["db", "other", "third"] {
        assert_eq!(names(&bench, volume).len(), 20);
    }
}

/// Either both have the snapshot, or neither has; nothing stays behind.
#[track_caller]
fn both_or_neither(bench: &Bench, name: &str) -> bool {
    let has = ["db", "other"].map(|volume| names(bench, volume).iter().any(|one| one == name));
    assert_eq!(has[0], has[1], "{name}: half a cut");
    has[0]
}

#[test]
fn a_command_that_dies_in_a_cut_leaves_all_snapshots_or_none() {
    if !can_mount() {
        return;
    }
    for bench in [mounted_and_not(), Bench::with_volume()] {
        if !bench.volume_dir("other").exists() {
            bench.run(&["create", "other"]).succeeds();
        }
        let mut taken = 0;
        for (round, micros) in (0..40_000).step_by(1_000).enumerate() {
            let name = round.to_string();
            let states = [format!("db@{name}"), format!("other@{name}")];
            let mut command = start(&mut bench.command(&["snapshot", &states[0], &states[1]]));
            std::thread::sleep(Duration::from_micros(micros));
            drop(command.0.kill());
            command.0.wait().unwrap();
            bench.wait_until_closed("other");
            // A server hears of the end of the command in its own time.
            std::thread::sleep(Duration::from_millis(20));
            taken += usize::from(both_or_neither(&bench, &name));
        }
        eprintln!("{taken} of 40 cuts were taken all the same");
        // In one of the two it is not mounted.
        drop(bench.run(&["umount", "db"]));
        // A container that is just starting elsewhere has a copy of every mount for a moment.
        bench.wait_until_closed("db");
        assert_sound(&bench, "db");
        assert_sound(&bench, "other");
        assert_eq!(records(&bench, &["db", "other"]), 0);
    }
}

#[test]
fn a_server_that_dies_in_a_cut_leaves_all_snapshots_or_none() {
    if !can_mount() {
        return;
    }
    let bench = mounted_and_not();
    let mnt = bench.path("mnt");
    for (round, micros) in (4_000..28_000).step_by(2_000).enumerate() {
        let (name, server) = (round.to_string(), bench.server_of("db"));
        let states = [format!("db@{name}"), format!("other@{name}")];
        let mut command = start(&mut bench.command(&["snapshot", &states[0], &states[1]]));
        std::thread::sleep(Duration::from_micros(micros));
        kill_for_good(server);
        let succeeded = command.0.wait().unwrap().success();
        wait_for("the mount is dead", || !cask::server::mounts::answers(&mnt));
        bench.run(&["umount", "db"]).succeeds();
        bench.wait_until_closed("db");
        let taken = both_or_neither(&bench, &name);
        assert!(taken || !succeeded, "{name}: said to be taken");
        assert_sound(&bench, "db");
        bench.run(&["mount", "db", "mnt"]).succeeds();
    }
    bench.run(&["umount", "db"]).succeeds();
    assert_sound(&bench, "other");
    assert_eq!(records(&bench, &["db", "other"]), 0);
}

#[test]
fn who_holds_a_volume_and_is_stuck_or_dies_does_not_block_it() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let timeout = Duration::from_secs(5);
    let hold = || {
        let mut client = Client::connect(&bench.volume_dir("db")).unwrap().unwrap();
        client
            .hold_for_group(part(&bench, "db"), timeout)
            .map(|()| client)
    };
    let write = |name: &str| {
        let since = Instant::now();
        fs::write(bench.path("mnt").join(name), name).unwrap();
        since.elapsed()
    };
    let mut stuck = hold().unwrap();
    let waited = write("stuck");
    assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(8));
    stuck.prepare_in_group().unwrap();
    let late = stuck.prepared_within(timeout).unwrap_err().to_string();
    assert!(late.contains("not ready within 5 s"), "{late}");
    drop(stuck);
    let dying = hold().unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write("dying"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!writing.is_finished());
        drop(dying);
        assert!(writing.join().unwrap() < Duration::from_secs(2));
    });
    assert_eq!(names(&bench, "db"), [""; 0]);
    bench.run(&["snapshot", "db@held"]).succeeds();
}
