//! A damaged volume gets back from a remote what it has lost, and a remote that is away or damaged itself leaves the
//! repair what it was.

use std::fs;
use std::os::unix::fs::FileExt as _;

use crate::host::{Host, Store};
use crate::random::{Random, seed};

const FILE: &str = "table";
const BYTES: usize = 3_000_000;

/// A host whose volume `db` was pushed, and what its file holds.
fn pushed(store: &Store) -> (Host, Vec<u8>) {
    let here = store.host();
    here.create();
    let bytes = Random::new(seed()).bytes(BYTES);
    here.make_volume("db", &[(FILE, &bytes)]);
    here.push("db");
    (here, bytes)
}

/// Flips a byte in every so many of what the volume has stored.
fn flip(host: &Host, every: u64) {
    let segments = host.bench.volume_dir("db").join("segments");
    for segment in fs::read_dir(segments).unwrap() {
        let mut options = fs::File::options();
        let file = options.read(true).write(true);
        let file = file.open(segment.unwrap().path()).unwrap();
        let mut at = 5000;
        while at < file.metadata().unwrap().len() {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[!byte[0]], at).unwrap();
            at += every;
        }
    }
    let told = host.run(&["check", "--read-data", "db"]);
    assert_eq!(told.code, 6, "{}{}", told.out, told.err);
}

#[track_caller]
fn is_whole(host: &Host, bytes: &[u8]) {
    let told = host.run(&["check", "--read-data", "db"]).succeeds().out;
    assert!(!told.contains("lost"), "{told}");
    assert!(host.read("db", FILE) == bytes);
}

#[test]
fn what_is_damaged_comes_from_the_remote() {
    let store = Store::dir();
    let (here, bytes) = pushed(&store);
    flip(&here, 100_000);
    let told = here.run(&["check", "--repair", "db"]).succeeds().out;
    assert!(
        told.contains(" chunks were fetched from remote r\n") && !told.contains("lost"),
        "{told}"
    );
    is_whole(&here, &bytes);
    let told = here.run(&["check", "--repair", "db"]).succeeds().out;
    assert_eq!(told, "db: nothing to repair\n");
}

#[test]
fn what_was_lost_comes_when_the_remote_is_there_again() {
    let store = Store::dir();
    let (here, bytes) = pushed(&store);
    flip(&here, 100_000);
    let away = store.objects().with_extension("away");
    fs::rename(store.objects(), &away).unwrap();
    for _ in 0..2 {
        let told = here.run(&["check", "--repair", "db"]).succeeds().out;
        assert!(
            told.contains("not all could be looked for: remote r: ")
                && told.contains("bytes of 1 files are lost")
                && !told.contains("fetched"),
            "{told}"
        );
    }
    fs::rename(&away, store.objects()).unwrap();
    let told = here.run(&["check", "--repair", "db"]).succeeds().out;
    assert!(told.contains("fetched from remote r\n"), "{told}");
    is_whole(&here, &bytes);
}

/// What is whole is taken from a pack that is not, and nothing else for it.
#[test]
fn a_damaged_remote_gives_what_is_whole() {
    let store = Store::dir();
    let (here, _) = pushed(&store);
    flip(&here, 16_384);
    let packs = store.objects().join("pack");
    let shelf = fs::read_dir(packs).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(shelf).unwrap().next().unwrap().unwrap().path();
    let mut sealed = fs::read(&pack).unwrap();
    sealed[1_000_000] ^= 1;
    fs::write(&pack, sealed).unwrap();
    let told = here.run(&["check", "--repair", "db"]).succeeds().out;
    assert!(
        told.contains("fetched from remote r\n") && told.contains("not all could be looked for: "),
        "{told}"
    );
    assert!(told.contains("bytes of 1 files are lost"), "{told}");
    here.run(&["check", "--read-data", "db"]).succeeds();
    here.run(&["cp", "db:/table", here.bench.path("no").to_str().unwrap()])
        .fails(1, &[]);
}
