//! Repositories with many snapshots: what is said of them is read together and once, and removed together.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::proxy::{Fault, Proxy, When};

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

#[test]
fn snapshots_are_read_together_and_once_from_garage() {
    are_read_together_and_once(Kind::Garage);
}

/// How many requests delete several objects, and how many one.
fn deletions(proxy: &Proxy) -> (usize, usize) {
    let traffic = proxy.traffic();
    let several = traffic.count_at("POST", "delete");
    (several, traffic.count("DELETE"))
}

/// Forgets all snapshots but one, and collects; the requests that delete of each of the two.
#[track_caller]
fn forget_and_collect(host: &Host, proxy: &Proxy) -> [(usize, usize); 2] {
    proxy.reset_traffic();
    let forgotten = host.run(&["remote", "forget", "r:db", "--keep-last", "1"]);
    assert_eq!(forgotten.succeeds().out.lines().count(), MANY - 1);
    let first = deletions(proxy);
    host.run(&["remote", "gc"]).succeeds();
    let requests = proxy.traffic().requests.len();
    let both = deletions(proxy);
    let singly = both.1.saturating_sub(10);
    assert!(requests <= 60 + singly, "{requests} requests");
    host.verify();
    let runs = host.run(&["remote", "gc", "--dry-run"]).succeeds().out;
    assert!(runs.contains("0 packs and 0 runs"), "{runs}");
    [first, (both.0 - first.0, both.1 - first.1)]
}

const MANY: usize = 24;

#[track_caller]
fn go_together(kind: Kind) {
    let Some(store) = Store::bucket(kind) else {
        return;
    };
    let proxy = store.proxy();
    let here = store.host_through(&proxy);
    here.create();
    push_many(&here, MANY);
    let [forgotten, collected] = forget_and_collect(&here, &proxy);
    assert_eq!(forgotten, (1, 0));
    // The runs; and by themselves the mark and what it is tried with whether anything may be deleted.
    assert_eq!(collected.0, 1, "{collected:?}");
    assert!(collected.1 <= 4, "{collected:?}");
}

#[test]
fn what_goes_is_deleted_together_on_seaweedfs() {
    go_together(Kind::SeaweedFs);
}

#[test]
fn what_goes_is_deleted_together_on_ceph() {
    go_together(Kind::Ceph);
}

/// What snapshots leave stays for a day there: no condition says that nobody else needs it.
#[track_caller]
fn snapshots_go_together(kind: Kind) {
    let Some(store) = Store::bucket(kind) else {
        return;
    };
    let here = store.host();
    here.create();
    push_many(&here, 3);
    here.run(&["remote", "forget", "r:db", "--keep-last", "1"])
        .succeeds();
    let listed = here.run(&["remote", "ls", "r", "--format", "{{.Snapshot}}"]);
    assert_eq!(listed.succeeds().out.trim(), "s002");
    here.run(&["remote", "gc"]).succeeds();
    here.verify();
}

#[test]
fn what_goes_is_deleted_together_on_rclone() {
    snapshots_go_together(Kind::Rclone);
}

#[test]
fn what_goes_is_deleted_together_on_garage() {
    snapshots_go_together(Kind::Garage);
}

/// Some stores know no such request, or want a checksum of it that it does not have.
#[test]
fn where_a_store_takes_no_deletions_together_they_are_made_one_by_one() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    for refusal in [
        Fault::Answer(400, "MissingContentMD5"),
        Fault::Answer(405, "MethodNotAllowed"),
        Fault::Answer(501, "NotImplemented"),
    ] {
        let proxy = store.proxy();
        let name = format!("{refusal:?}").replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let here = store.host_through(&proxy).below(&name);
        here.create();
        push_many(&here, MANY);
        proxy.add(When::request("POST", "delete"), refusal);
        let since = Instant::now();
        let [forgotten, collected] = forget_and_collect(&here, &proxy);
        assert_eq!(forgotten, (1, MANY - 1), "{refusal:?}");
        assert_eq!(collected.0, 1, "{refusal:?}: {collected:?}");
        let took = since.elapsed();
        assert!(took < Duration::from_secs(20), "{refusal:?}: {took:?}");
    }
}

#[test]
fn who_may_not_delete_is_told_so() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let here = store.host_through(&proxy);
    here.create();
    push_many(&here, 3);
    for kind in ["POST", "DELETE"] {
        proxy.add(When::request(kind, "/"), Fault::Answer(403, "AccessDenied"));
    }
    here.run(&["remote", "forget", "r:db", "--keep-last", "1"])
        .fails(1, &["remote \"r\"", "does not allow", "credentials"]);
}

/// A store that says that it is too much sees less at once, and gets more again when it does not.
#[test]
fn a_store_that_is_busy_sees_less_at_once() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let here = store.host_through(&proxy);
    here.create();
    push_many(&here, MANY);
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    let trip = Duration::from_millis(300);
    let arrivals: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let seen = Arc::clone(&arrivals);
    proxy.add(When::request("GET", "/snap/"), Fault::Delay(trip));
    // Sixteen at once, then half of them, and half of those.
    let refused = 16 + 8 + 4;
    proxy.add(
        When::request("GET", "/snap/").times(refused),
        Fault::SLOW_DOWN,
    );
    proxy.add_rule(move |request| {
        if request.kind() == "GET" && request.target.contains("/snap/") {
            seen.lock().unwrap().push(Instant::now());
        }
        None
    });
    there.run(&["remote", "ls", "r"]).succeeds();
    let arrivals = arrivals.lock().unwrap();
    let at_once = at_once(&arrivals, trip);
    assert_eq!(at_once[15], 16, "{at_once:?}");
    assert!(at_once[16..24].iter().all(|one| *one <= 8), "{at_once:?}");
    assert!(at_once[24..28].iter().all(|one| *one <= 4), "{at_once:?}");
    assert!(at_once[28..].iter().any(|one| *one > 2), "{at_once:?}");
    assert_eq!(arrivals.len() as u64, refused + MANY as u64);
}

/// How many requests were under way when each arrived, with itself, where each takes so long at least.
fn at_once(arrivals: &[Instant], takes: Duration) -> Vec<usize> {
    let mut under_way = VecDeque::new();
    let counts = arrivals.iter().map(|at| {
        while under_way.front().is_some_and(|began| *at - *began >= takes) {
            under_way.pop_front();
        }
        under_way.push_back(*at);
        under_way.len()
    });
    counts.collect()
}
