//! What was pushed is pulled on another host as it was: every kind of inode, and all that is told of it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::inodes::{Facts, Size, facts, plant};
use crate::support::can_mount;

const SMALL: Size = Size {
    big_bytes: 3_000_001,
    small_files: 200,
};
const LARGE: Size = Size {
    big_bytes: 70 << 20,
    small_files: 5000,
};

#[track_caller]
pub(crate) fn assert_same(one: &BTreeMap<Vec<u8>, Facts>, other: &BTreeMap<Vec<u8>, Facts>) {
    assert!(one.len() > 20, "there is a tree");
    for (name, facts) in one {
        assert_eq!(
            Some(facts),
            other.get(name),
            "{}",
            String::from_utf8_lossy(name)
        );
    }
    assert_eq!(one.len(), other.len());
}

/// What is told of a state, mounted for that.
#[track_caller]
pub(crate) fn mounted_facts(host: &Host, state: &str) -> BTreeMap<Vec<u8>, Facts> {
    let dir = host.bench.path("look");
    fs::create_dir_all(&dir).unwrap();
    let place = dir.to_str().unwrap();
    host.run(&["mount", "--read-only", state, place]).succeeds();
    let found = facts(&dir);
    host.run(&["umount", place]).succeeds();
    found
}

/// Another host has the key file.
pub(crate) fn another(store: &Store) -> Host {
    let host = store.host();
    host.add(&["--key-file=key"]).succeeds();
    host
}

#[track_caller]
fn comes_back(store: &Store, size: Size) {
    let here = store.host();
    here.create();
    let mnt = here.bench.path("mnt");
    here.run(&["mount", "--create", "db", mnt.to_str().unwrap()])
        .succeeds();
    plant(&mnt, size, 1);
    here.run(&["snapshot", "db@cut"]).succeeds();

    let is_over = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let writers = [0, 1].map(|number| {
            let (mnt, is_over) = (&mnt, &is_over);
            scope.spawn(move || write_beside(mnt, number, is_over))
        });
        let told = here.push("db@cut");
        is_over.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        told
    });
    assert_eq!(told["Snapshot"], "r:db@cut");
    here.verify();
    let before = mounted_facts(&here, "db@cut");

    let there = another(store);
    there.run(&["pull", "r:db@cut", "back"]).succeeds();
    there.run(&["check", "--read-data", "back"]).succeeds();
    assert_same(&before, &mounted_facts(&there, "back"));

    // What the writers left is pushed from the closed volume, and pulled with a passphrase.
    here.run(&["umount", mnt.to_str().unwrap()]).succeeds();
    here.bench.wait_until_closed("db");
    here.push("db");
    here.write_secret("phrase", b"correct horse battery staple\n");
    here.run(&["remote", "key", "add", "r", "--passphrase-file=phrase"])
        .succeeds();
    let third = store.host();
    third.write_secret("phrase", b"correct horse battery staple");
    third.add(&["--passphrase-file=phrase"]).succeeds();
    third.run(&["pull", "r:db"]).succeeds();
    third.run(&["check", "--read-data", "db"]).succeeds();
    assert_same(&mounted_facts(&here, "db"), &mounted_facts(&third, "db"));
    third.verify();
    still_works(&third);
}

/// Changes files that were pushed and makes others, until it is told.
pub(crate) fn write_beside(mnt: &Path, number: usize, is_over: &AtomicBool) {
    let big = OpenOptions::new()
        .write(true)
        .open(mnt.join("big"))
        .unwrap();
    let mut round = 0;
    while !is_over.load(Ordering::Relaxed) && round < 2000 {
        use std::os::unix::fs::FileExt as _;
        big.write_all_at(&[7; 5000], (round * 2 + number as u64) * 5000)
            .unwrap();
        let mut text = fs::File::create(mnt.join(format!("fresh {number}"))).unwrap();
        text.write_all(&vec![8; 100_000]).unwrap();
        drop(text);
        // It may be the other who moved it.
        drop(fs::rename(
            mnt.join(format!("many/{round}")),
            mnt.join(format!("many/at {number}")),
        ));
        round += 1;
    }
}

/// A volume that was pulled is one like any other: it can be changed, and pushed in its turn.
fn still_works(host: &Host) {
    let mnt = host.bench.path("mnt");
    host.run(&["mount", "db", mnt.to_str().unwrap()]).succeeds();
    let before = facts(&mnt);
    fs::write(mnt.join("new"), b"new").unwrap();
    fs::hard_link(mnt.join("new"), mnt.join("d/new")).unwrap();
    fs::remove_file(mnt.join("big")).unwrap();
    fs::remove_dir_all(mnt.join("many")).unwrap();
    let after = facts(&mnt);
    let ino = |found: &BTreeMap<Vec<u8>, Facts>, name: &str| found[name.as_bytes()].ino();
    let is_known = before.values().any(|one| one.ino() == ino(&after, "new"));
    assert!(!is_known, "the number of an inode was given out twice");
    host.run(&["umount", mnt.to_str().unwrap()]).succeeds();
    host.bench.wait_until_closed("db");
    host.run(&["check", "--read-data", "db"]).succeeds();
    host.push("db");
    host.verify();
}

#[test]
fn a_directory_keeps_every_kind_of_inode() {
    if can_mount() {
        comes_back(&Store::dir(), LARGE);
    }
}

#[track_caller]
fn an_engine_keeps_every_kind(kind: Kind) {
    if !can_mount() {
        return;
    }
    if let Some(store) = Store::bucket(kind) {
        comes_back(&store, SMALL);
    }
}

#[test]
fn seaweedfs_keeps_every_kind_of_inode() {
    an_engine_keeps_every_kind(Kind::SeaweedFs);
}

#[test]
fn ceph_keeps_every_kind_of_inode() {
    an_engine_keeps_every_kind(Kind::Ceph);
}

/// They accept conditions and keep none: that is found out, and told.
#[track_caller]
fn without_conditions_every_kind_is_kept(kind: Kind) {
    let Some(store) = Store::bucket(kind) else {
        return;
    };
    let told = store.host().create().out;
    assert!(told.contains("both may believe"), "{told}");
    an_engine_keeps_every_kind(kind);
}

#[test]
fn rclone_keeps_every_kind_of_inode() {
    without_conditions_every_kind_is_kept(Kind::Rclone);
}

#[test]
fn garage_keeps_every_kind_of_inode() {
    without_conditions_every_kind_is_kept(Kind::Garage);
}

/// It shows objects that are half the old and half the new.
#[test]
fn s3rver_is_refused() {
    let Some(store) = Store::bucket(Kind::S3rver) else {
        return;
    };
    let refused = store.host().add(&["--create", "--key-file=key"]);
    refused.fails(1, &["remote \"r\"", "cannot be used", "use another store"]);
}
