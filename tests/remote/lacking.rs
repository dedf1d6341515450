//! Volumes that are used before all of them is here: what they lack comes from the remote when it is read, and in the
//! background; a store that does not answer fails the read that needs it, and nothing else.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::inodes::{Size, facts, plant};
use crate::proxy::{Fault, When};
use crate::random::Random;
use crate::round_trip::{another, assert_same, mounted_facts};
use crate::support::can_mount;

const TREE: Size = Size {
    big_bytes: 3_000_001,
    small_files: 200,
};

/// Mounts the new volume `name` from `r:db`, with more arguments.
#[track_caller]
pub(crate) fn mount_from(host: &Host, name: &str, more: &[&str]) -> PathBuf {
    let mnt = host.bench.path(&format!("{name}-mnt"));
    let place = mnt.to_str().unwrap().to_owned();
    let mut arguments = vec!["mount", name, "--from", "r:db"];
    arguments.extend(more);
    arguments.push(&place);
    host.run(&arguments).succeeds();
    mnt
}

#[track_caller]
pub(crate) fn umount(host: &Host, name: &str) {
    host.run(&["umount", name]).succeeds();
    host.bench.wait_until_closed(name);
}

pub(crate) fn inspected(host: &Host, name: &str) -> serde_json::Value {
    let told = host.run(&["inspect", name]).succeeds().out;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    told[0]["Origin"].clone()
}

pub(crate) fn lacks(host: &Host, name: &str) -> u64 {
    inspected(host, name)["Chunks"].as_u64().unwrap_or(0)
}

#[track_caller]
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Files that share no chunk, each larger than what is fetched with another.
pub(crate) fn push_files(host: &Host, count: u64) {
    let files: Vec<_> = (0..count)
        .map(|number| (format!("f{number}"), Random::new(number).bytes(200_000)))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    host.make_volume("db", &files);
    host.push("db");
}

pub(crate) fn is_whole(mnt: &Path, number: u64) -> bool {
    fs::read(mnt.join(format!("f{number}"))).unwrap() == Random::new(number).bytes(200_000)
}

#[track_caller]
fn is_used_before_it_is_here(store: &Store) {
    let here = store.host();
    here.create();
    let mnt = here.bench.path("mnt");
    here.run(&["mount", "--create", "db", mnt.to_str().unwrap()])
        .succeeds();
    plant(&mnt, TREE, 1);
    umount(&here, "db");
    here.push("db");
    let before = mounted_facts(&here, "db");

    let there = another(store);
    let mnt = mount_from(&there, "new", &["--prefetch", "metadata"]);
    assert!(lacks(&there, "new") > 0, "nothing came that nobody needs");
    // Of a state in which nearly all is elsewhere.
    there.run(&["snapshot", "new@lacking"]).succeeds();
    there.run(&["clone", "new@lacking", "other"]).succeeds();
    there.run(&["check", "new"]).succeeds();
    assert_same(&before, &facts(&mnt));
    assert!(lacks(&there, "new") < 5, "what was read is kept");
    umount(&there, "new");
    there.run(&["check", "--read-data", "new"]).succeeds();
    assert_same(&before, &mounted_facts(&there, "new@lacking"));
    // The clone has fetched nothing yet, and gets it by its own.
    assert!(lacks(&there, "other") > 0);
    assert_same(&before, &mounted_facts(&there, "other"));
}

#[test]
fn a_volume_is_used_before_it_is_here_from_a_directory() {
    if can_mount() {
        is_used_before_it_is_here(&Store::dir());
    }
}

#[test]
fn a_volume_is_used_before_it_is_here_from_an_engine() {
    if !can_mount() {
        return;
    }
    if let Some(store) = Store::bucket(Kind::SeaweedFs) {
        is_used_before_it_is_here(&store);
    }
}

/// It is a volume like any other while it lacks chunks: written, exported, and pushed in its turn, without what is there
/// being sent or fetched.
#[test]
fn a_volume_that_lacks_chunks_is_written_and_pushed() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let here = store.host();
    here.create();
    push_files(&here, 40);
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    let mnt = mount_from(&there, "new", &["--prefetch", "metadata"]);
    fs::write(mnt.join("fresh"), b"fresh").unwrap();
    fs::remove_file(mnt.join("f0")).unwrap();
    // A page of a chunk that is elsewhere: the rest of it is read from there.
    let mut changed = Random::new(1).bytes(200_000);
    changed[50_000..50_100].fill(7);
    let file = fs::OpenOptions::new().write(true).open(mnt.join("f1"));
    std::os::unix::fs::FileExt::write_all_at(&file.unwrap(), &[7; 100], 50_000).unwrap();
    // What chunks are called is not known before they have come.
    let refused = there.run(&["send", "new"]);
    assert!(refused.code == 1 && refused.err.contains("in a remote still"));
    proxy.reset_traffic();
    there.push("new");
    let traffic = proxy.traffic();
    assert!(
        traffic.up < 500_000 && traffic.down < 500_000,
        "{traffic:?}"
    );
    assert!(lacks(&there, "new") > 30);
    umount(&there, "new");

    let third = another(&store);
    third.run(&["pull", "r:new"]).succeeds();
    third.run(&["check", "--read-data", "new"]).succeeds();
    assert!(third.read("new", "f1") == changed);
    assert!(third.read("new", "f39") == Random::new(39).bytes(200_000));
    third.run(&["export", "new"]).succeeds();
    // To another repository it is fetched for.
    let other = Store::dir();
    let copied = other.host();
    let address = format!("file://{}", other.objects().display());
    copied.create();
    there
        .run(&["remote", "add", "q", &address, "--key-file=key"])
        .succeeds();
    there.run(&["push", "new", "q"]).succeeds();
    copied.verify();
    copied.run(&["pull", "r:new"]).succeeds();
    assert!(copied.read("new", "f39") == Random::new(39).bytes(200_000));
}

#[test]
fn all_comes_in_the_background_and_the_remote_is_forgotten() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    push_files(&here, 30);
    let there = another(&store);
    let mnt = mount_from(&there, "new", &[]);
    wait_until("all comes", || inspected(&there, "new").is_null());
    fs::rename(store.objects(), store.objects().with_extension("gone")).unwrap();
    there.run(&["remote", "rm", "r"]).succeeds();
    assert!((0..30).all(|number| is_whole(&mnt, number)));
    umount(&there, "new");
    there.run(&["check", "--read-data", "new"]).succeeds();
}

/// Killed again and again in the middle, the next server goes on where it was.
#[test]
fn a_server_that_is_killed_while_chunks_come_loses_nothing() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let here = store.host();
    here.create();
    push_files(&here, 60);
    let proxy = store.proxy();
    proxy.add(
        When::request("GET", "/pack/"),
        Fault::Delay(Duration::from_millis(60)),
    );
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    let mnt = mount_from(&there, "new", &["--prefetch", "metadata"]);
    for number in (0..60).step_by(15) {
        assert!(is_whole(&mnt, number));
        let told = there.run(&["inspect", "new", "--format", "{{.Server.Pid}}"]);
        let pid = told.succeeds().out.trim().parse().unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        assert!(is_whole(&mnt, number + 1));
    }
    assert!((0..60).all(|number| is_whole(&mnt, number)));
    assert_eq!(lacks(&there, "new"), 0);
    umount(&there, "new");
    there.run(&["check", "--read-data", "new"]).succeeds();
}

/// What the kernel reads ahead and writes back, of which it has so many under way and no more.
#[track_caller]
fn reads_and_writes_here(mnt: &Path) {
    let here = fs::File::open(mnt.join("f0")).unwrap();
    rustix::fs::fadvise(&here, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let since = Instant::now();
    assert!(is_whole(mnt, 0));
    let fresh = fs::File::create(mnt.join("fresh")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&fresh, &[7; 300_000], 0).unwrap();
    fresh.sync_all().unwrap();
    let took = since.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_store_that_does_not_answer_fails_what_needs_it_and_nothing_else() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let here = store.host();
    here.create();
    push_files(&here, 360);
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    let options = ["--prefetch", "metadata", "-o", "remote_timeout=3s"];
    let mnt = mount_from(&there, "new", &options);
    assert!(is_whole(&mnt, 0));
    proxy.refuse();
    let failed = |number: u64| fs::read(mnt.join(format!("f{number}"))).unwrap_err();
    let since = Instant::now();
    assert_eq!(failed(249).raw_os_error(), Some(libc::EIO));
    let took = since.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(8),
        "{took:?}"
    );
    let told = inspected(&there, "new");
    assert!(
        told["Error"].as_str().unwrap().contains("does not answer"),
        "{told}"
    );
    let doctor = there.run(&["doctor"]).out;
    assert!(
        doctor.contains("new cannot fetch what it lacks"),
        "{doctor}"
    );

    // Two hundred who wait for it hinder nobody: names are looked up, what is here is read.
    thread::scope(|scope| {
        let waiting: Vec<_> = (40..240)
            .map(|number| scope.spawn(move || failed(number)))
            .collect();
        thread::sleep(Duration::from_millis(300));
        let mut slowest = Duration::ZERO;
        for round in 0..100 {
            let since = Instant::now();
            // One that nobody has asked for, so that the server has to.
            let absent = mnt.join(format!("absent {round}"));
            assert!(fs::symlink_metadata(absent).is_err());
            assert!(fs::metadata(mnt.join("f0")).unwrap().size() == 200_000);
            slowest = slowest.max(since.elapsed());
        }
        assert!(slowest < Duration::from_millis(100), "{slowest:?}");
        reads_and_writes_here(&mnt);
        for reader in waiting {
            assert_eq!(reader.join().unwrap().raw_os_error(), Some(libc::EIO));
        }
    });

    proxy.resume();
    assert!(is_whole(&mnt, 200), "the first read after it is back");
    assert!(inspected(&there, "new")["Error"].is_null());
    // It may go once more. Further on than anybody read ahead: what was asked for before comes now that it is back.
    proxy.refuse();
    thread::scope(|scope| {
        let reader = scope.spawn(|| failed(359));
        thread::sleep(Duration::from_millis(300));
        assert_eq!(reader.join().unwrap().raw_os_error(), Some(libc::EIO));
    });
    umount(&there, "new");
}

#[test]
fn a_damaged_pack_fails_what_needs_it() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    push_files(&here, 3);
    let there = another(&store);
    let mnt = mount_from(&there, "new", &["--prefetch", "metadata"]);
    let packs = store.objects().join("pack");
    let below = fs::read_dir(&packs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let pack = fs::read_dir(below).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&pack).unwrap();
    let mut damaged = whole.clone();
    damaged[100_000] ^= 1;
    fs::write(&pack, &damaged).unwrap();
    let read = |number: u64| fs::read(mnt.join(format!("f{number}")));
    let failed = (0..3).filter(|number| read(*number).is_err()).count();
    // Nobody sees a byte that is not what was stored, and what is damaged keeps nobody from what lies beside it.
    assert_eq!(failed, 1);
    assert!((0..3).all(|number| read(number).is_err() || is_whole(&mnt, number)));
    fs::write(&pack, &whole).unwrap();
    assert!(
        (0..3).all(|number| is_whole(&mnt, number)),
        "nothing stays broken"
    );
}

/// What a volume lacks is not collected, also when its snapshot is forgotten.
#[test]
fn a_collection_leaves_what_a_volume_lacks() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    push_files(&here, 5);
    let there = another(&store);
    let mnt = mount_from(&there, "new", &["--prefetch", "metadata"]);
    fs::write(here.bench.path("more"), b"more").unwrap();
    here.make_volume("kept", &[("file", b"file")]);
    here.push("kept");
    here.run(&["remote", "forget", "r:db", "--keep-last", "0"])
        .fails(2, &[]);
    here.run(&["remote", "forget", "r:db", "--all"]);
    let left = here.run(&["remote", "ls", "r:db"]).out;
    here.run(&["remote", "gc"]).succeeds();
    assert!((0..5).all(|number| is_whole(&mnt, number)), "{left}");
    here.verify();
}

/// A pin counts for a day: whoever comes back later makes it anew while the snapshot is there.
#[test]
fn a_pin_that_has_ended_is_made_anew() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    push_files(&here, 2);
    let there = another(&store);
    mount_from(&there, "new", &["--prefetch", "metadata"]);
    umount(&there, "new");
    let pins = store.objects().join("pin");
    let count = || fs::read_dir(&pins).map_or(0, Iterator::count);
    assert_eq!(count(), 1);
    fs::remove_dir_all(&pins).unwrap();
    let mnt = there.bench.path("mnt");
    there
        .run(&["mount", "new", mnt.to_str().unwrap()])
        .succeeds();
    wait_until("it is pinned", || count() == 1);
    assert!(is_whole(&mnt, 1));
}

/// Of a remote, too, a clone is one of its own: it is read without a mount, and what it lacks comes when it is mounted.
#[test]
fn a_clone_of_what_is_in_a_remote_lacks_what_nobody_has_read() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    push_files(&here, 8);
    let there = another(&store);
    let told = there.run(&["clone", "r:db", "new"]).succeeds().out;
    assert_eq!(told, "new\n");
    assert!(lacks(&there, "new") > 0);
    assert!(there.read("new", "f3") == Random::new(3).bytes(200_000));
    there.run(&["check", "new"]).succeeds();
    // Of this one nothing comes but what is read: whoever reads has a server read for him.
    there
        .run(&["clone", "--prefetch", "metadata", "r:db", "lean"])
        .succeeds();
    assert!(there.read("lean", "f3") == Random::new(3).bytes(200_000));
    assert!(lacks(&there, "lean") > 0);
    there
        .run(&["clone", "--ephemeral", "r:db", "brief"])
        .succeeds();
    let mnt = there.bench.path("mnt");
    there
        .run(&["mount", "new", mnt.to_str().unwrap()])
        .succeeds();
    wait_until("all comes", || inspected(&there, "new").is_null());
    umount(&there, "new");
    there.run(&["check", "--read-data", "new"]).succeeds();
    there.run(&["clone", "r:db", "new"]).fails(4, &["\"new\""]);
    there
        .run(&["clone", "r:db@none", "other"])
        .fails(3, &["no r:db@none"]);
}

#[test]
fn what_cannot_be_mounted_leaves_no_volume() {
    let store = Store::dir();
    let here = store.host();
    here.create();
    push_files(&here, 1);
    let mnt = here.bench.path("mnt");
    let place = mnt.to_str().unwrap();
    here.run(&["mount", "db", "--from", "r:db", place])
        .fails(4, &["\"db\" exists"]);
    here.run(&["mount", "new", "--from", "r:none", place])
        .fails(3, &["there is no r:none"]);
    here.run(&["mount", "new", "--from", "q:db", place])
        .fails(3, &["there is no remote \"q\""]);
    here.run(&["mount", "new@s", "--from", "r:db", place])
        .fails(2, &["--from makes a volume"]);
    here.run(&[
        "mount",
        "new",
        "--from",
        "r:db",
        "--prefetch",
        "some",
        place,
    ])
    .fails(2, &["all or metadata"]);
    here.run(&[
        "mount",
        "new",
        "--from",
        "r:db",
        "-o",
        "remote_timeout=x",
        place,
    ])
    .fails(2, &["remote_timeout=x"]);
    here.run(&["mount", "new", "--prefetch", "all", place])
        .fails(2, &["--from"]);
    assert_eq!(here.left_over(), ["db"]);
}
