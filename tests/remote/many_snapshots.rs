//! Repositories with many snapshots: what is said of them is read together and once.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::proxy::{Fault, When};

/// A volume with so many snapshots, all of which are pushed.
#[track_caller]
fn push_many(host: &Host, count: usize) {
    host.make_volume("db", &[("file", b"content")]);
    for number in 0..count {
        host.run(&["snapshot", &format!("db@s{number:03}")])
            .succeeds();
    }
    host.run(&["push", "db", "--all-snapshots"]).succeeds();
}

/// What the host keeps of snapshots that it has read.
fn kept(host: &Host) -> Vec<PathBuf> {
    let dir = host.bench.path("root/remotes/r/cache/snapshots");
    let volumes = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = volumes.flat_map(|volume| fs::read_dir(volume.path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[track_caller]
fn are_read_together_and_once(kind: Kind) {
    let Some(store) = Store::bucket(kind) else {
        return;
    };
    let count = 40;
    let proxy = store.proxy();
    let here = store.host_through(&proxy);
    here.create();
    push_many(&here, count);

    let trip = Duration::from_millis(100);
    proxy.add(When::request("GET", "/snap/"), Fault::Delay(trip));
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    let reads = |what: &[&str]| {
        proxy.reset_traffic();
        let since = Instant::now();
        there.run(what).succeeds();
        let requests = proxy.traffic().requests.into_iter();
        // A list may be below that name as well.
        let reads = requests.filter(|one| one.kind() == "GET" && one.target.contains("/snap/"));
        (reads.count(), since.elapsed())
    };
    let (requests, took) = reads(&["remote", "ls", "r"]);
    assert_eq!(requests, count);
    assert!(took < trip * 20, "{took:?} for {count} requests");
    assert_eq!(kept(&there).len(), count);
    let (requests, _) = reads(&["pull", "r:db@s007", "copy"]);
    assert_eq!(requests, 0, "they stay as they are");
    let (requests, _) = reads(&["remote", "check"]);
    assert_eq!(requests, count, "whether they are whole is seen there");

    // What a host has pushed since, it is to read once.
    let (requests, _) = reads(&["snapshot", "copy@new"]);
    assert_eq!(requests, 0);
    reads(&["push", "copy@new"]);
    let (requests, _) = reads(&["push", "copy@new"]);
    assert!(requests <= 1, "{requests}");
    let (requests, _) = reads(&["push", "copy@new"]);
    assert_eq!(requests, 0);

    // One that is damaged on this host is read anew, and one that is another there as well.
    let files = kept(&there);
    let mut bytes = fs::read(&files[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let (requests, _) = reads(&["remote", "ls", "r"]);
    assert_eq!(requests, 1);
    there
        .run(&["remote", "forget", "r:db", "--keep-last", "3"])
        .succeeds();
    assert_eq!(kept(&there).len(), 3 + 1, "they go with the snapshots");
    let (requests, _) = reads(&["remote", "gc"]);
    assert_eq!(requests, 0);
    there.verify();
}

#[test]
fn snapshots_are_read_together_and_once_from_seaweedfs() {
    are_read_together_and_once(Kind::SeaweedFs);
}

#[test]
fn snapshots_are_read_together_and_once_from_ceph() {
    are_read_together_and_once(Kind::Ceph);
}
