//! What other volumes of a root have is not fetched again.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::proxy::Proxy;
use crate::random::{Random, seed};
use crate::support::can_mount;

const MIB: u64 = 1 << 20;
const FILE_BYTES: u64 = 64 * MIB;
const PAGE: u64 = 4096;
/// A hundredth of the file.
const CHANGED_BYTES: u64 = FILE_BYTES / 100;

/// Two hosts: the first has pushed a state and one that differs by a hundredth, the other has pulled the first state.
fn hosts(store: &Store, proxy: &Proxy) -> (Host, Host) {
    let mut random = Random::new(seed());
    let here = store.host().untuned();
    here.create();
    let bytes = random.bytes(usize::try_from(FILE_BYTES).unwrap());
    here.make_volume("db", &[("table", &bytes)]);
    here.run(&["snapshot", "db@a"]).succeeds();
    here.push("db@a");
    let there = store.host_through(proxy).untuned();
    there.add(&["--key-file=key"]).succeeds();
    there.run(&["pull", "r:db@a", "old"]).succeeds();

    let mnt = here.bench.path("mnt");
    here.run(&["mount", "db", mnt.to_str().unwrap()]).succeeds();
    let file = OpenOptions::new().write(true).open(mnt.join("table"));
    let file = file.unwrap();
    for _ in 0..CHANGED_BYTES / PAGE {
        let page = random.below(FILE_BYTES / PAGE) * PAGE;
        let bytes = random.bytes(usize::try_from(PAGE).unwrap());
        file.write_all_at(&bytes, page).unwrap();
    }
    drop(file);
    here.run(&["umount", mnt.to_str().unwrap()]).succeeds();
    here.bench.wait_until_closed("db");
    here.run(&["snapshot", "db@b"]).succeeds();
    here.push("db@b");
    (here, there)
}

/// Bytes that a pull of the second state fetches, which is whole.
#[track_caller]
fn pulled(here: &Host, there: &Host, proxy: &Proxy, name: &str) -> u64 {
    proxy.reset_traffic();
    there.run(&["pull", "r:db@b", name]).succeeds();
    let traffic = proxy.traffic();
    there.run(&["check", "--read-data", name]).succeeds();
    assert!(there.read(name, "table") == here.read("db@b", "table"));
    assert_eq!(traffic.count_at("PUT", ""), 0);
    traffic.down
}

/// What changed, and for each pack and run what tells of them.
const DOWN_MAX: u64 = CHANGED_BYTES + MIB;

#[test]
fn a_pull_fetches_what_no_volume_here_has() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let (here, there) = hosts(&store, &proxy);
    let down = pulled(&here, &there, &proxy, "closed");
    eprintln!("{down} bytes are fetched beside a closed volume");
    assert!(down <= DOWN_MAX, "{down} bytes are fetched");
    there.run(&["rm", "--force", "closed"]).succeeds();

    let mnt = there.bench.path("mnt");
    there
        .run(&["mount", "old", mnt.to_str().unwrap()])
        .succeeds();
    let down = pulled(&here, &there, &proxy, "served");
    eprintln!("{down} bytes are fetched beside a volume in use");
    assert!(down <= DOWN_MAX, "{down} bytes are fetched");
    there.run(&["umount", mnt.to_str().unwrap()]).succeeds();
    there.bench.wait_until_closed("old");
    there.run(&["rm", "--force", "served"]).succeeds();

    // A chunk that is damaged here is fetched, and one that is not is not.
    let segments = there.bench.volume_dir("old").join("segments");
    for segment in fs::read_dir(segments).unwrap() {
        let file = OpenOptions::new().write(true).open(segment.unwrap().path());
        file.unwrap().write_all_at(b"damage", 200_000).unwrap();
    }
    let down = pulled(&here, &there, &proxy, "beside");
    assert!(down <= DOWN_MAX + 4 * MIB, "{down} bytes are fetched");

    // A volume that is none any more keeps nobody from pulling.
    fs::write(there.bench.volume_dir("old").join("meta.db"), b"damage").unwrap();
    there.run(&["rm", "--force", "beside"]).succeeds();
    let down = pulled(&here, &there, &proxy, "alone");
    assert!(down > FILE_BYTES, "{down} bytes are fetched");
}
