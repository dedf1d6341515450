//! A volume's snapshots, pulled all at once: each is what it was, and what they share is there once.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{FallocateFlags, XattrFlags};

use crate::host::{Host, Store};
use crate::inodes::{Facts, Size, plant};
use crate::random::Random;
use crate::round_trip::{another, assert_same, mounted_facts};
use crate::support::can_mount;

const TREE: Size = Size {
    big_bytes: 3_000_001,
    small_files: 100,
};
const NAMES: [&str; 5] = ["e", "a", "c", "back", "d d"];

/// Takes five snapshots of the volume `db`: all kinds of inodes, then all kinds of changes, and back to the second.
fn make_history(here: &Host) {
    let mnt = here.bench.path("mnt");
    let place = mnt.to_str().unwrap();
    here.run(&["mount", "--create", "db", place]).succeeds();
    let take = |name: &str| {
        let snapshot = format!("db@{name}");
        let label = format!("this is {name}");
        here.run(&["snapshot", &snapshot, "--label", &label])
            .succeeds();
    };
    plant(&mnt, TREE, 1);
    take(NAMES[0]);
    change_names(&mnt);
    take(NAMES[1]);
    change_contents(&mnt);
    take(NAMES[2]);
    here.run(&["umount", place]).succeeds();
    here.bench.wait_until_closed("db");
    here.run(&["rollback", &format!("db@{}", NAMES[1])])
        .succeeds();
    take(NAMES[3]);
    here.run(&["mount", "db", place]).succeeds();
    change_attributes(&mnt);
    take(NAMES[4]);
    here.run(&["umount", place]).succeeds();
    here.bench.wait_until_closed("db");
}

fn change_names(mnt: &Path) {
    fs::remove_file(mnt.join("empty")).unwrap();
    fs::rename(mnt.join("big"), mnt.join("moved")).unwrap();
    fs::write(mnt.join("big"), b"another").unwrap();
    fs::hard_link(mnt.join("moved"), mnt.join("many/link")).unwrap();
    fs::remove_dir_all(mnt.join("d")).unwrap();
    fs::create_dir_all(mnt.join("d/e/f")).unwrap();
    fs::remove_file(mnt.join("fifo")).unwrap();
    fs::create_dir(mnt.join("fifo")).unwrap();
    fs::rename(mnt.join("many"), mnt.join("fifo/many")).unwrap();
    for number in 0..50 {
        fs::remove_file(mnt.join(format!("fifo/many/{number}"))).unwrap();
    }
}

fn change_contents(mnt: &Path) {
    let open = |name: &str| {
        let file = OpenOptions::new().write(true).open(mnt.join(name));
        file.unwrap()
    };
    let text = open("text");
    text.set_len(77_777).unwrap();
    text.write_all_at(b"here", 50_000).unwrap();
    let moved = open("moved");
    moved
        .write_all_at(&Random::new(7).bytes(100_000), 999_999)
        .unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&moved, punch, 2_000_000, 500_000).unwrap();
    let same = Random::new(7).bytes(100_000);
    fs::write(mnt.join("same"), same).unwrap();
}

fn change_attributes(mnt: &Path) {
    fs::set_permissions(mnt.join("text"), fs::Permissions::from_mode(0o400)).unwrap();
    std::os::unix::fs::chown(mnt.join("big"), Some(77), None).unwrap();
    let set = |key: &str, value: &[u8], flags| {
        rustix::fs::lsetxattr(mnt.join("text"), key, value, flags).unwrap();
    };
    set("trusted.x", b"another", XattrFlags::REPLACE);
    set("user.new", b"1", XattrFlags::CREATE);
    rustix::fs::lremovexattr(mnt.join("text"), "user.long").unwrap();
    fs::remove_file(mnt.join("link too")).unwrap();
    symlink("elsewhere", mnt.join("link too")).unwrap();
}

fn facts_of(host: &Host, volume: &str) -> Vec<BTreeMap<Vec<u8>, Facts>> {
    let snapshots = NAMES.iter().map(|name| format!("{volume}@{name}"));
    let states = snapshots.chain([volume.to_owned()]);
    states.map(|state| mounted_facts(host, &state)).collect()
}

/// What differs between each two that follow each other, and between the first and the last.
fn differences(host: &Host, volume: &str) -> Vec<String> {
    let ends = [NAMES[0], NAMES[4]];
    let pairs = NAMES.windows(2).chain([&ends[..]]);
    pairs
        .map(|pair| {
            let [from, to] = [pair[0], pair[1]].map(|name| format!("{volume}@{name}"));
            host.run(&["diff", &from, &to]).succeeds().out
        })
        .collect()
}

fn listed(host: &Host, volume: &str) -> String {
    let format = "{{.Name}} {{.Created}} {{.Label}}";
    let told = host.run(&["snapshot", "ls", volume, "--format", format]);
    told.succeeds().out
}

/// How many rows there are of each table, with those that only snapshots see.
fn rows(host: &Host, volume: &str) -> Vec<i64> {
    let path = host.bench.volume_dir(volume).join("meta.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let count = |table: &str| {
        let query = format!("SELECT (SELECT count(*) FROM {table}) + count(*) FROM {table}_past");
        database.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    ["inode", "dentry", "xattr", "extent"].map(count).to_vec()
}

fn packs(store: &Store) -> usize {
    let shelves = fs::read_dir(store.objects().join("pack")).unwrap();
    let packs = shelves.map(|shelf| fs::read_dir(shelf.unwrap().path()).unwrap().count());
    packs.sum()
}

#[test]
fn all_snapshots_come_back_with_what_they_share() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    make_history(&here);
    here.run(&["push", "db", "--all-snapshots"]).succeeds();
    let there = another(&store);
    let told = there.run(&["pull", "r:db", "new", "--all-snapshots"]);
    assert_eq!(told.succeeds().out, "new\n");
    assert_eq!(there.left_over(), ["new"]);
    there.run(&["check", "--read-data", "new"]).succeeds();
    assert_eq!(listed(&here, "db"), listed(&there, "new"));
    let facts = facts_of(&here, "db");
    for (before, after) in facts.iter().zip(&facts_of(&there, "new")) {
        assert_same(before, after);
    }
    assert_eq!(differences(&here, "db"), differences(&there, "new"));
    let (before, after) = (rows(&here, "db"), rows(&there, "new"));
    for (before, after) in before.iter().zip(&after) {
        assert!(after <= before, "{before:?} {after:?}");
    }
    // It goes on: to the store without data, with snapshots that go, and with others.
    let before = packs(&store);
    there.run(&["push", "new", "--all-snapshots"]).succeeds();
    assert_eq!(packs(&store), before);
    let old = format!("new@{}", NAMES[1]);
    there.run(&["snapshot", "rm", &old]).succeeds();
    there.run(&["snapshot", "new@next"]).succeeds();
    there.run(&["gc", "new"]).succeeds();
    there.run(&["check", "--read-data", "new"]).succeeds();
    let state = format!("new@{}", NAMES[2]);
    assert_same(&facts[2], &mounted_facts(&there, &state));
}

/// What cannot be had of one snapshot is had of none.
#[test]
fn a_history_comes_as_a_whole_or_not_at_all() {
    let store = Store::dir();
    let here = store.host();
    here.create();
    here.make_volume("db", &[("one", &Random::new(1).bytes(300_000))]);
    here.run(&["snapshot", "db@a"]).succeeds();
    here.run(&["snapshot", "db@b"]).succeeds();
    here.run(&["push", "db", "--all-snapshots"]).succeeds();
    let there = another(&store);
    there
        .run(&["pull", "r:db@a", "new", "--all-snapshots"])
        .fails(2, &["a snapshot is named, and all are asked for"]);
    there
        .run(&["pull", "r:no", "new", "--all-snapshots"])
        .fails(3, &["r:no"]);
    let runs = fs::read_dir(store.objects().join("run")).unwrap();
    let shelf = runs.last().unwrap().unwrap().path();
    let run = fs::read_dir(shelf).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&run).unwrap();
    fs::write(&run, &whole[..whole.len() - 1]).unwrap();
    there
        .run(&["pull", "r:db", "new", "--all-snapshots"])
        .fails(6, &["run"]);
    assert!(there.left_over().is_empty());
    fs::write(&run, &whole).unwrap();
    there
        .run(&["pull", "r:db", "new", "--all-snapshots"])
        .succeeds();
    there.run(&["check", "--read-data", "new"]).succeeds();
}
