//! Volumes that keep nothing of what is read (`--prefetch none`): chunks are in a cache of the root, which all such
//! volumes of the repository share, which has a bound, and of which nothing is believed or needed.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::inodes::{Size, facts, plant};
use crate::lacking::{inspected, is_whole, lacks, mount_from, push_files, umount, wait_until};
use crate::random::Random;
use crate::round_trip::{another, assert_same, mounted_facts};
use crate::support::can_mount;

const NONE: [&str; 2] = ["--prefetch", "none"];

/// A repository with so many files in `r:db`, and a host that knows it.
fn host_beside(store: &Store, files: u64) -> Host {
    let here = store.host();
    here.create();
    push_files(&here, files);
    another(store)
}

/// What a directory takes, with all below it.
fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            match entry.metadata() {
                Ok(found) if found.is_dir() => bytes_in(&entry.path()),
                Ok(found) => found.blocks() * 512,
                Err(_) => 0,
            }
        })
        .sum()
}

fn cache(host: &Host) -> PathBuf {
    host.bench.path("root/cache")
}

fn cache_files(host: &Host) -> Vec<PathBuf> {
    let below = fs::read_dir(cache(host)).unwrap();
    let dirs = below.map(|dir| fs::read_dir(dir.unwrap().path()).unwrap());
    dirs.flatten().map(|file| file.unwrap().path()).collect()
}

fn segment_bytes(host: &Host, volume: &str) -> u64 {
    bytes_in(&host.bench.path(&format!("root/volumes/{volume}/segments")))
}

/// Mounts a volume again: what its server had in memory, and the kernel, is gone.
#[track_caller]
fn remount(host: &Host, name: &str, more: &[&str]) -> PathBuf {
    umount(host, name);
    let mnt = host.bench.path(&format!("{name}-mnt"));
    let mut arguments = vec!["mount", name, mnt.to_str().unwrap()];
    arguments.extend(more);
    host.run(&arguments).succeeds();
    mnt
}

#[track_caller]
fn assert_all_whole(mnt: &Path, files: u64) {
    for number in 0..files {
        assert!(is_whole(mnt, number), "f{number}");
    }
}

/// The store is gone, for who looks for it.
fn take_away(store: &Store) {
    fs::rename(store.objects(), store.objects().with_extension("gone")).unwrap();
}

fn give_back(store: &Store) {
    fs::rename(store.objects().with_extension("gone"), store.objects()).unwrap();
}

/// Every kind of inode is what it was, and the volume stays what it was made as; without the store what was read once is
/// read again, also by another server.
#[test]
fn what_is_read_is_kept_in_the_cache_and_not_in_the_volume() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    let mnt = here.bench.path("mnt");
    here.run(&["mount", "--create", "db", mnt.to_str().unwrap()])
        .succeeds();
    let size = Size {
        big_bytes: 3_000_001,
        small_files: 200,
    };
    plant(&mnt, size, 1);
    umount(&here, "db");
    here.push("db");
    let before = mounted_facts(&here, "db");

    let there = another(&store);
    let mnt = mount_from(&there, "new", &NONE);
    let lacking = lacks(&there, "new");
    assert!(lacking > 20);
    assert_same(&before, &facts(&mnt));
    assert_eq!(lacks(&there, "new"), lacking, "nothing of it is kept");
    assert!(segment_bytes(&there, "new") < 200_000);
    assert!(bytes_in(&cache(&there)) > 1_000_000);
    let told = inspected(&there, "new");
    assert_eq!(told["Prefetch"], "none");
    assert!(told["CacheBytes"].as_u64().unwrap() > 1_000_000);
    let checked = there.run(&["check", "--read-data", "new"]).succeeds().out;
    assert!(
        checked.contains("more are in the remote still"),
        "{checked}"
    );

    take_away(&store);
    let mnt = remount(&there, "new", &[]);
    assert_same(&before, &facts(&mnt));
    // What is put together or made equal while a volume is quiet is what it has itself.
    there.run(&["gc", "new"]).succeeds();
    assert_eq!(lacks(&there, "new"), lacking);
    assert!(segment_bytes(&there, "new") < 200_000);
}

/// Each of them fetches what the other has not, and no more.
#[test]
fn volumes_of_one_repository_share_the_cache() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let here = store.host();
    here.create();
    push_files(&here, 30);
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    let packs = || proxy.traffic().count_at("GET", "/pack/");
    let one = mount_from(&there, "one", &NONE);
    assert_all_whole(&one, 30);
    assert!(packs() > 0);
    // A clone of the snapshot there, and one of the volume here.
    there
        .run(&["clone", "r:db", "two", "--prefetch", "none"])
        .succeeds();
    there.run(&["clone", "one", "three"]).succeeds();
    proxy.reset_traffic();
    for name in ["two", "three"] {
        let mnt = there.bench.path(name);
        fs::create_dir(&mnt).unwrap();
        there
            .run(&["mount", name, mnt.to_str().unwrap()])
            .succeeds();
        assert_all_whole(&mnt, 30);
        assert!(segment_bytes(&there, name) < 100_000);
    }
    assert_eq!(packs(), 0);
    there
        .run(&["clone", "one", "four", "--prefetch", "none"])
        .fails(2, &["--prefetch"]);
    for name in ["one", "two", "three"] {
        umount(&there, name);
    }
}

/// Two servers at once, which know nothing of each other.
#[test]
fn two_servers_use_the_cache_at_once() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 60);
    there.run(&["remote", "set", "r", "cache=8M"]).succeeds();
    let mounts = ["one", "two"].map(|name| mount_from(&there, name, &NONE));
    thread::scope(|scope| {
        for mnt in &mounts {
            scope.spawn(move || assert_all_whole(mnt, 60));
        }
    });
    assert!(bytes_in(&cache(&there)) <= 8 << 20);
    let mounts = ["one", "two"].map(|name| remount(&there, name, &[]));
    mounts.iter().for_each(|mnt| assert_all_whole(mnt, 60));
}

#[test]
fn the_cache_has_a_bound_and_what_was_used_longest_ago_goes_first() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 60);
    there.run(&["remote", "set", "r", "cache=4M"]).succeeds();
    let names: Vec<u64> = {
        // As they lie in packs: by the order of their names.
        let mut names: Vec<_> = (0..60_u64).map(|number| number.to_string()).collect();
        names.sort();
        names.iter().map(|name| name.parse().unwrap()).collect()
    };
    let mnt = mount_from(
        &there,
        "new",
        &["--prefetch", "none", "-o", "remote_timeout=1s"],
    );
    let (first, last) = (names[0], names[59]);
    for number in names {
        assert!(is_whole(&mnt, number));
        let bytes = bytes_in(&cache(&there));
        assert!(bytes <= 4 << 20, "{bytes} after f{number}");
    }
    let bytes = bytes_in(&cache(&there));
    assert!(bytes > 1 << 20, "{bytes}");
    // More is read ahead than such a bound takes, in any order: used last is what is read now.
    let mnt = remount(&there, "new", &[]);
    assert!(is_whole(&mnt, last));
    take_away(&store);
    let mnt = remount(&there, "new", &[]);
    assert!(is_whole(&mnt, last));
    let gone = fs::read(mnt.join(format!("f{first}"))).unwrap_err();
    assert_eq!(gone.raw_os_error(), Some(libc::EIO));
    give_back(&store);
    assert!(is_whole(&mnt, first));
    // Less is allowed, and nothing at all.
    there.run(&["remote", "set", "r", "cache=1M"]).succeeds();
    assert!(bytes_in(&cache(&there)) <= 1 << 20);
    there.run(&["remote", "set", "r", "cache=0"]).succeeds();
    assert_eq!(cache_files(&there), Vec::<PathBuf>::new());
    // Also by a server that could have added more before.
    assert!((20..40).all(|number| is_whole(&mnt, number)));
    assert_eq!(cache_files(&there), Vec::<PathBuf>::new());
    let mnt = remount(&there, "new", &[]);
    assert_all_whole(&mnt, 60);
    assert_eq!(cache_files(&there), Vec::<PathBuf>::new());
    there
        .run(&["remote", "set", "r", "cache=much"])
        .fails(2, &["such as 10G"]);
}

#[test]
fn the_cache_may_be_deleted_and_damaged_at_any_time() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 20);
    let mnt = mount_from(&there, "new", &NONE);
    assert!((0..5).all(|number| is_whole(&mnt, number)));
    fs::remove_dir_all(cache(&there)).unwrap();
    assert_all_whole(&mnt, 20);
    assert!(!cache_files(&there).is_empty());
    let mut random = Random::new(7);
    for round in 0..6 {
        for path in cache_files(&there) {
            let mut bytes = fs::read(&path).unwrap();
            match round % 3 {
                0 => bytes.truncate(random.index(bytes.len())),
                1 => {
                    let at = random.index(bytes.len());
                    bytes[at] ^= 1 << random.index(8);
                }
                _ => bytes[..64].fill(0),
            }
            fs::write(&path, bytes).unwrap();
        }
        let mnt = remount(&there, "new", &[]);
        assert_all_whole(&mnt, 20);
    }
    // Mended as well: it is read without the store.
    let mnt = remount(&there, "new", &[]);
    assert_all_whole(&mnt, 20);
    take_away(&store);
    let mnt = remount(&there, "new", &[]);
    // Of a volume that is mounted, by another process, and by its server.
    assert!(there.read("new", "f7") == Random::new(7).bytes(200_000));
    assert_all_whole(&mnt, 20);
}

/// There is no room for it, or no directory: it is fetched, each time.
#[test]
fn what_cannot_be_cached_is_read() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 10);
    fs::write(cache(&there), b"in the way").unwrap();
    let mnt = mount_from(&there, "new", &NONE);
    assert_all_whole(&mnt, 10);
    let mnt = remount(&there, "new", &[]);
    assert_all_whole(&mnt, 10);
    fs::remove_file(cache(&there)).unwrap();
    // A full disk.
    fs::create_dir(cache(&there)).unwrap();
    let full = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=600k", "tmpfs"])
        .arg(cache(&there))
        .status();
    assert!(full.unwrap().success());
    let mnt = remount(&there, "new", &[]);
    assert_all_whole(&mnt, 10);
    umount(&there, "new");
    rustix::mount::unmount(cache(&there), rustix::mount::UnmountFlags::empty()).unwrap();
}

#[test]
fn a_server_that_is_killed_leaves_nothing_that_is_believed() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 60);
    let mnt = mount_from(&there, "new", &NONE);
    let served = || {
        let told = there.run(&["inspect", "new", "--format", "{{.Server.Pid}}"]);
        told.succeeds().out.trim().parse().ok()
    };
    for round in 0..4 {
        // A little after the last was killed there is none.
        wait_until("there is a server", || served().is_some());
        let pid = served().unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| (0..15).all(|at| is_whole(&mnt, round * 15 + at)));
            thread::sleep(std::time::Duration::from_millis(20 * round));
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid).unwrap(),
                rustix::process::Signal::KILL,
            )
            .unwrap();
            assert!(reader.join().unwrap());
        });
    }
    let mnt = remount(&there, "new", &[]);
    assert_all_whole(&mnt, 60);
    umount(&there, "new");
    there.run(&["check", "--read-data", "new"]).succeeds();
}

/// What is written is the volume's own: it is there without cache and store, in snapshots, and where it is pushed to.
#[test]
fn what_is_written_stays_in_the_volume() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 20);
    let mnt = mount_from(&there, "new", &NONE);
    fs::write(mnt.join("fresh"), Random::new(99).bytes(300_000)).unwrap();
    fs::remove_file(mnt.join("f0")).unwrap();
    // A page of a chunk that is elsewhere: the rest of it is read.
    let mut changed = Random::new(1).bytes(200_000);
    changed[50_000..50_100].fill(7);
    let file = fs::OpenOptions::new().write(true).open(mnt.join("f1"));
    let file = file.unwrap();
    file.write_all_at(&[7; 100], 50_000).unwrap();
    file.sync_all().unwrap();
    drop(file);
    there.run(&["snapshot", "new@written"]).succeeds();
    assert!((2..20).all(|number| is_whole(&mnt, number)));
    there.push("new@written");
    let checked = there.run(&["check", "--read-data", "new"]).succeeds().out;
    assert!(
        checked.contains("more are in the remote still"),
        "{checked}"
    );
    assert!(segment_bytes(&there, "new") < 1_000_000);
    there.verify();

    let third = another(&store);
    third.run(&["pull", "r:new@written", "new"]).succeeds();
    third.run(&["check", "--read-data", "new"]).succeeds();
    assert!(third.read("new", "f1") == changed);
    assert!(third.read("new", "fresh") == Random::new(99).bytes(300_000));
    assert!(third.read("new", "f19") == Random::new(19).bytes(200_000));

    take_away(&store);
    fs::remove_dir_all(cache(&there)).unwrap();
    let mnt = remount(&there, "new", &[]);
    assert!(fs::read(mnt.join("fresh")).unwrap() == Random::new(99).bytes(300_000));
    umount(&there, "new");
}

/// It is told where users look, and goes with the remote; what is left of it is garbage.
#[test]
fn what_the_cache_takes_is_told_and_it_goes_with_the_remote() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let there = host_beside(&store, 10);
    there.run(&["remote", "set", "r", "cache=1G"]).succeeds();
    let mnt = mount_from(&there, "new", &NONE);
    assert_all_whole(&mnt, 10);
    let doctor = there.run(&["doctor"]).out;
    assert!(doctor.contains("the cache of r takes "), "{doctor}");
    let df = there.run(&["df"]).succeeds().out;
    assert!(df.contains("cache of r") && df.contains("TOTAL"), "{df}");
    let told = there.run(&["remote", "inspect", "r"]).succeeds().out;
    assert!(told.contains("\"cache\":1073741824"), "{told}");
    umount(&there, "new");
    let kept = cache_files(&there);
    assert!(!kept.is_empty());
    there.run(&["prune", "-f"]).succeeds();
    assert_eq!(cache_files(&there), kept);
    // Another remote of the repository needs it.
    let address = format!("file://{}", store.objects().display());
    there
        .run(&["remote", "add", "q", &address, "--key-file=key"])
        .succeeds();
    there.run(&["remote", "rm", "q"]).succeeds();
    assert_eq!(cache_files(&there), kept);
    there.run(&["remote", "rm", "r"]).succeeds();
    assert_eq!(cache_files(&there), Vec::<PathBuf>::new());
    let left = cache(&there).join("7f8e6e0a-5cb0-4a52-a5ff-6d1e1f2a3b4c");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("part"), [1; 5000]).unwrap();
    let pruned = there.run(&["prune", "-f"]).succeeds().out;
    assert!(pruned.contains("cache"), "{pruned}");
    assert!(!left.exists());
}
