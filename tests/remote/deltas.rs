//! What is pushed of a volume of which an earlier snapshot is there: what changed since. Whoever reads gets the state that
//! was pushed, whatever was below it, was forgotten or collected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use cask::remote::{Ability, Error, Key, PushedBases, PushedTree, Replacing, Shelf};
use cask::transfer::{Depth, pull, verify};
use cask::types::{Caller, ChunkBytes, FileKind, Ino, Name, NewNode};
use cask::volume::{Config, RootOwner, SetIdBits, Volume, WriteOrigin, create, repair};

use crate::host::{Host, Store};

use crate::bit_by_bit::{assert_pushed, large_world, levels, published};
use crate::races::{Nobody, World, at_each_request, collected, content, named};
use crate::random::Random;
use crate::round_trip::{another, assert_same, mounted_facts};
use crate::support::can_mount;

const WEAK: Ability = Ability {
    creates: false,
    replaces: Replacing::Never,
};

#[test]
fn a_push_after_one_change_is_small() {
    let world = large_world(Ability::FULL, 20_000);
    world.source.snapshot("whole");
    world.push("whole");
    let whole = published(&world, "whole");
    let whole_bytes: u64 = whole.runs.iter().map(|run| run.bytes).sum();
    assert!(whole_bytes > 250_000, "{whole_bytes}");
    world.source.file("one", &content(1)[..5000]);
    world.source.snapshot("changed");
    let (hooked, shelf) = world.hooked(u64::MAX, || ());
    let requests = shelf.requests.load(Ordering::SeqCst);
    let pushed = world.source.try_push(&hooked, &world.cache(), "changed");
    let pushed = pushed.unwrap();
    let requests = shelf.requests.load(Ordering::SeqCst) - requests;
    assert!(requests <= 9, "{requests} requests");
    assert_eq!((pushed.objects, pushed.packs), (2, 1));
    assert!(pushed.sent < 8000, "{} bytes", pushed.sent);
    let changed = published(&world, "changed");
    assert_eq!(changed.runs, whole.runs);
    let delta = &changed.deltas[0][0];
    assert!(delta.bytes < 2500, "{delta:?}");
    assert_eq!((changed.inodes, pushed.inodes), (20_002, 20_002));
    assert_eq!(changed.bytes, 5000);

    // What did not change at all needs no run of its own, and any cask can read it.
    world.source.snapshot("equal");
    let pushed = world.source.try_push(&hooked, &world.cache(), "equal");
    assert_eq!(pushed.unwrap().objects, 0);
    let equal = published(&world, "equal");
    assert_eq!(
        (&equal.runs, &equal.deltas),
        (&changed.runs, &changed.deltas)
    );

    // What tells of few rows is fetched with what tells where they are: a delta is one request more, and what may be
    // below of the file that is found here alone is another.
    let (hooked, shelf) = world.hooked(u64::MAX, || ());
    let look = |snapshot| {
        let before = shelf.requests.load(Ordering::SeqCst);
        let tree = PushedTree::open(&hooked, snapshot).unwrap();
        let name = Name::parse(b"one").unwrap();
        let found = tree.lookup(Ino::ROOT, name).unwrap();
        let requests = shelf.requests.load(Ordering::SeqCst) - before;
        (found.map(|one| one.size), requests)
    };
    let (_, below) = look(&whole);
    let (size, requests) = look(&equal);
    assert_eq!(size, Some(5000));
    assert!(
        requests <= below + 2,
        "{requests} requests, {below} without"
    );
    assert!(requests <= 8, "{requests} requests");
}

/// The formats that objects begin with.
fn format_of(world: &World, key: &Key) -> u8 {
    world.memory.get(key).unwrap().0[8]
}

#[test]
fn who_knows_no_deltas_is_told_so_by_the_objects_that_need_them() {
    let world = large_world(Ability::FULL, 300);
    for name in ["whole", "equal", "changed"] {
        world.source.snapshot(name);
        world.push(name);
        if name == "equal" {
            world.source.file(name, b"more");
        }
    }
    for (name, format) in [("whole", 1), ("equal", 1), ("changed", 2)] {
        let snapshot = published(&world, name);
        assert_eq!(format_of(&world, &snapshot.key()), format, "{name}");
        let pin = world.repository.pin(&snapshot).unwrap();
        assert_eq!(format_of(&world, &Key::new(format!("pin/{pin}"))), format);
        assert_eq!(world.repository.pinned(&pin).unwrap(), snapshot);
        let key = |id: &cask::remote::ObjectId| {
            let id = id.to_string();
            Key::new(format!("run/{}/{id}", &id[..2]))
        };
        for run in &snapshot.runs {
            assert_eq!(format_of(&world, &key(&run.id)), 1);
        }
        for run in snapshot.deltas.iter().flatten() {
            assert_eq!(format_of(&world, &key(&run.id)), 2);
        }
    }
    // The same of what this cask does not know.
    let snapshot = published(&world, "changed");
    world.memory.damage(&snapshot.key(), |bytes| bytes[8] = 3);
    let found = world.repository.stored_snapshots(snapshot.volume).unwrap();
    let newer = |error: &Error| {
        matches!(
            error,
            Error::Newer {
                found: 3,
                known: 2,
                ..
            }
        )
    };
    assert!(found.damaged.iter().any(newer), "{:?}", found.damaged);
}

#[test]
fn a_chain_stays_short_and_small() {
    let world = large_world(Ability::FULL, 4000);
    let mut depths = Vec::new();
    for round in 0..20_u32 {
        let name = format!("s{round}");
        world.source.file(&name, b"x");
        world.source.snapshot(&name);
        world.push(&name);
        depths.push(levels(&world, &name));
    }
    let expected: Vec<usize> = (1..=17).chain(1..=3).collect();
    assert_eq!(depths, expected, "sixteen deltas, and then all rows");
    assert_pushed(&world, "s16");
    assert_pushed(&world, "s19");

    let world = large_world(Ability::FULL, 300);
    let bytes = |runs: &[cask::remote::PublishedRun]| runs.iter().map(|run| run.bytes).sum::<u64>();
    let mut renewed = 0;
    for round in 0..12_u32 {
        let name = format!("s{round}");
        for file in 0..10 {
            world.source.file(&format!("{name}-{file}"), b"x");
        }
        world.source.snapshot(&name);
        world.push(&name);
        let snapshot = published(&world, &name);
        let above: u64 = snapshot.deltas.iter().map(|runs| bytes(runs)).sum();
        assert!(2 * above <= bytes(&snapshot.runs), "{snapshot:?}");
        renewed += usize::from(round > 0 && snapshot.deltas.is_empty());
    }
    assert!((1..8).contains(&renewed), "{renewed} times all rows");
    assert_pushed(&world, "s11");
}

#[test]
fn what_a_chain_needs_stays_and_what_it_no_longer_names_goes() {
    let world = large_world(Ability::FULL, 600);
    world.source.file("old", &content(1));
    world.source.file("older", &content(5));
    world.source.file("kept", &content(2));
    world.source.snapshot("base");
    world.push("base");
    let first = world.repository.packs().unwrap();
    world.source.remove("old");
    world.source.remove("older");
    world.source.file("new", &content(3));
    world.source.snapshot("kept");
    world.push("kept");
    world.source.remove("new");
    world.source.file("newer", &content(4));
    world.source.snapshot("last");
    world.push("last");
    assert_eq!(levels(&world, "last"), 3);
    // While the base is there, what only it names is needed.
    collected(&world.repository, &world.cache()).unwrap();
    for name in ["base", "kept", "last"] {
        assert_pushed(&world, name);
    }
    world.forget("base");
    let runs = world.repository.runs().unwrap();
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(world.repository.runs().unwrap(), runs, "others name them");
    assert_eq!(found.repacked, 1, "of the first pack a third is needed");
    let packs = world.repository.packs().unwrap();
    assert!(first.keys().all(|id| !packs.contains_key(id)), "{packs:?}");
    for name in ["kept", "last"] {
        assert_pushed(&world, name);
    }
    // In the middle as well.
    world.forget("kept");
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!((found.packs, found.runs), (1, 0), "content 3");
    assert_pushed(&world, "last");
    let stored: u64 = world.repository.packs().unwrap().values().sum();
    assert!((200_000..202_000).contains(&stored), "{stored} bytes");
    // Nothing that it was built on is there as it was: all rows again, and then the old ones go.
    world.source.snapshot("again");
    world.push("again");
    assert_eq!(levels(&world, "again"), 1);
    world.forget("last");
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(found.runs, 3);
    assert_pushed(&world, "again");
    assert_eq!(world.repository.runs().unwrap().len(), 1);
}

/// Two snapshots that build on one, and one that is pinned.
#[test]
fn a_base_of_two_is_read_for_both() {
    let world = large_world(Ability::FULL, 300);
    world.source.file("a", &content(1));
    world.source.snapshot("base");
    world.push("base");
    let other = world.dir.path().join("other");
    let volume = world.source.volume.config().uuid;
    copy(&world.cache(), &other);
    world.source.remove("a");
    world.source.file("b", &content(2));
    world.source.snapshot("kept");
    world.push("kept");
    world.source.file("c", &content(3));
    world.source.snapshot("last");
    // Of this host only the first is known.
    assert!(world.source.push(&world.repository, &other, "last"));
    assert_eq!((levels(&world, "kept"), levels(&world, "last")), (2, 2));
    let pinned = published(&world, "kept");
    world.repository.pin(&pinned).unwrap();
    for name in ["base", "kept"] {
        world.forget(name);
    }
    collected(&world.repository, &world.cache()).unwrap();
    let pulled = world.dir.path().join("pinned");
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    pull(&world.repository, &pinned, (&pulled, &config), &Nobody).unwrap();
    assert_pushed(&world, "last");
    assert!(
        PushedBases::in_cache(&other, volume)
            .newest(|_| true)
            .is_some()
    );
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Whatever happened to the base, here or there: all rows are sent.
#[test]
fn all_rows_are_sent_where_nothing_can_be_built_on() {
    let begin = || {
        let world = large_world(Ability::FULL, 300);
        world.source.file("file", &content(1));
        world.source.snapshot("base");
        world.push("base");
        world.source.file("more", b"more");
        world
    };
    let push = |world: &World, depth, what: &str| {
        world.source.snapshot("next");
        world.push("next");
        assert_eq!(levels(world, "next"), depth, "{what}");
        assert_pushed(world, "next");
    };
    push(&begin(), 2, "nothing happened");
    let world = begin();
    world.source.volume.remove_snapshot(&named("base")).unwrap();
    push(&world, 1, "it is gone here");
    let world = begin();
    world.forget("base");
    push(&world, 1, "it is forgotten");
    let world = begin();
    fs::remove_dir_all(world.cache().join("pushed")).unwrap();
    push(&world, 1, "nothing is known");
    let world = begin();
    world
        .source
        .volume
        .rollback(&named("base"), &named("safety"))
        .unwrap();
    world.source.file("again", b"again");
    push(&world, 1, "rolled back");
    // What it names is lost.
    let world = begin();
    for id in world.repository.packs().unwrap().keys() {
        world.repository.delete_packs(&[*id]).unwrap();
    }
    push(&world, 1, "its packs are gone");
    // Nothing tells of its packs: a check has found them damaged.
    let world = begin();
    for listed in world.memory.list("index").unwrap() {
        world.memory.delete(&listed.key).unwrap();
    }
    push(&world, 1, "nothing tells of them");
    // What is kept of it has rotted.
    let world = begin();
    let volume = world.source.volume.config().uuid.to_string();
    let dir = world.cache().join("pushed").join(volume);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    push(&world, 1, "rotten");
    // Much of it is other than it was.
    let world = begin();
    let mut random = Random::new(7);
    for _ in 0..250 {
        world.source.file(&format!("{:016x}", random.next()), b"");
    }
    push(&world, 1, "much changed");
}

/// What a repair does to rows, nothing tells: only what comes after it is compared.
#[test]
fn a_repair_has_all_rows_be_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    let owner = RootOwner {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    create(&path, &config, owner).unwrap();
    let taken = |name: &str| {
        let volume = Volume::open(&path).unwrap();
        let new = NewNode {
            kind: FileKind::File,
            mode: 0o644,
            umask: 0,
            rdev: 0,
            target: b"",
        };
        let made = Name::parse(name.as_bytes()).unwrap();
        let made = volume.create(&Caller::root(), Ino::ROOT, made, &new);
        let (ino, bits) = (made.unwrap().ino, SetIdBits::Keep);
        volume
            .write(ino, 0, &content(1), WriteOrigin::Caller, bits)
            .unwrap();
        let taken = volume.take_snapshot(&named(name), "").unwrap();
        volume.close().unwrap();
        taken.epoch
    };
    let [first, second] = ["first", "second"].map(taken);
    let is_told = |from, to| {
        let volume = Volume::open(&path).unwrap();
        volume.frozen(to).changed_since(from).unwrap().is_some()
    };
    assert!(is_told(first, second));
    fs::remove_dir_all(path.join("segments")).unwrap();
    assert!(!repair(&path, &|_| ()).unwrap().changes.is_empty());
    let [third, fourth] = ["third", "fourth"].map(taken);
    for (from, to) in [
        (first, second),
        (first, third),
        (second, third),
        (second, fourth),
    ] {
        assert!(!is_told(from, to), "{from:?} to {to:?}");
    }
    assert!(is_told(third, fourth));
}

/// Of a state that came in a stream all rows are sent, and then what changed since.
#[test]
fn a_state_that_was_received_is_pushed_whole() {
    if !can_mount() {
        return;
    }
    let (from, store) = (Store::dir().host(), Store::dir());
    let here = store.host();
    here.create();
    let received = |base: &[&str], snapshot: &str| {
        let sent = from.bench.path("stream");
        let mut command = from.command(&[&["send"], base, &[snapshot]].concat());
        command.stdout(fs::File::create(&sent).unwrap());
        assert!(command.status().unwrap().success());
        let mut command = here.command(&["receive"]);
        command.stdin(fs::File::open(&sent).unwrap());
        assert!(command.output().unwrap().status.success());
        here.push(&format!("db@{}", snapshot.trim_start_matches("db@")));
    };
    let changed = |host: &Host, file: &str, snapshot: &str| {
        let mnt = host.bench.path("mnt");
        let place = mnt.to_str().unwrap();
        host.run(&["mount", "--create", "db", place]).succeeds();
        if file == "many" {
            (0..500).for_each(|n| fs::write(mnt.join(format!("{n:x}{:x}", n * n)), b"").unwrap());
        } else {
            fs::write(mnt.join(file), file).unwrap();
        }
        host.run(&["snapshot", snapshot]).succeeds();
        host.run(&["umount", place]).succeeds();
        host.bench.wait_until_closed("db");
    };
    let deltas = || {
        let runs = store.objects().join("run");
        let dirs = fs::read_dir(runs).unwrap().map(|dir| dir.unwrap().path());
        let runs = dirs.flat_map(|dir| fs::read_dir(dir).unwrap());
        let formats = runs.map(|run| fs::read(run.unwrap().path()).unwrap()[8]);
        formats.filter(|format| *format == 2).count()
    };
    changed(&from, "many", "db@a");
    received(&[], "db@a");
    changed(&from, "one", "db@b");
    received(&["--from", "@a"], "db@b");
    assert_eq!(deltas(), 0);
    changed(&here, "own", "db@c");
    here.push("db@c");
    assert_eq!(deltas(), 1);
    here.verify();
    let there = another(&store);
    for snapshot in ["a", "b", "c"] {
        there
            .run(&["pull", &format!("r:db@{snapshot}"), snapshot])
            .succeeds();
        let state = format!("db@{snapshot}");
        assert_same(
            &mounted_facts(&here, &state),
            &mounted_facts(&there, snapshot),
        );
    }
}

#[test]
fn damage_of_a_delta_is_told_by_name() {
    let world = large_world(Ability::FULL, 300);
    for name in ["base", "kept", "last"] {
        world.source.file(name, &content(1));
        world.source.snapshot(name);
        world.push(name);
    }
    let snapshot = published(&world, "last");
    assert_eq!(snapshot.levels().len(), 3);
    let runs: Vec<_> = snapshot.all_runs().map(|run| run.id.to_string()).collect();
    let named_by = [
        vec!["base", "kept", "last"],
        vec!["kept", "last"],
        vec!["last"],
    ];
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    for (run, names) in runs.iter().zip(named_by) {
        let key = Key::new(format!("run/{}/{run}", &run[..2]));
        let len = world.memory.get(&key).unwrap().0.len();
        for at in [0, 12, 70, len / 2, len - 1] {
            world.memory.damage(&key, |bytes| bytes[at] ^= 1);
            let found = verify(&world.repository, Depth::Metadata, &Nobody).unwrap();
            for name in ["base", "kept", "last"] {
                let told = found.faults.iter();
                let is_told = told
                    .filter(|one| one.contains(&format!("{name}: ")))
                    .any(|one| one.contains(run));
                assert_eq!(is_told, names.contains(&name), "{name}: {:?}", found.faults);
                let pulled = world.dir.path().join("pulled");
                let made = pull(
                    &world.repository,
                    &published(&world, name),
                    (&pulled, &config),
                    &Nobody,
                );
                assert_eq!(made.is_err(), names.contains(&name), "{name}");
                if let Err(error) = made {
                    assert!(format!("{error:?}").contains(run), "{error:?}");
                }
                drop(fs::remove_dir_all(pulled));
            }
            world.memory.damage(&key, |bytes| bytes[at] ^= 1);
        }
    }
    // Nobody can tell what is needed, or all that may be is.
    let delta = &runs[2];
    let key = Key::new(format!("run/{}/{delta}", &delta[..2]));
    world.memory.damage(&key, |bytes| bytes[70] ^= 1);
    collected(&world.repository, &world.cache()).unwrap();
    world.memory.damage(&key, |bytes| bytes[70] ^= 1);
    for name in ["base", "kept", "last"] {
        assert_pushed(&world, name);
    }
}

/// The base is forgotten, and collected, at each request of a push that builds on it.
#[test]
fn a_base_may_go_at_each_request_of_a_push() {
    // With bytes that only it has, and without.
    let others = [(Ability::FULL, 1), (Ability::FULL, 0), (WEAK, 1), (WEAK, 0)];
    for (ability, bytes) in others {
        at_each_request(|at| {
            let world = std::sync::Arc::new(large_world(ability, 250));
            world.source.file("file", &content(1));
            world.source.snapshot("kept");
            world.push("kept");
            world.source.remove("file");
            world.source.file("other", &content(2)[..bytes * 5000]);
            world.source.snapshot("base");
            world.push("base");
            assert_eq!(levels(&world, "base"), 2);
            world.source.file("new", &content(3));
            world.source.snapshot("racing");
            let other = std::sync::Arc::clone(&world);
            let (hooked, shelf) = world.hooked(at, move || {
                other.forget("base");
                let cache = other.dir.path().join("collector");
                drop(collected(&other.repository, &cache));
            });
            let pushed = world.source.push(&hooked, &world.cache(), "racing");
            let reached = shelf.requests.load(Ordering::SeqCst) > at;
            world.check(&format!("{ability:?}, request {at}"));
            if !pushed {
                world.push("racing");
            }
            assert_pushed(&world, "racing");
            assert!(
                reached || levels(&world, "racing") == 3,
                "it builds on others"
            );
            collected(&world.repository, &world.cache()).unwrap();
            assert_pushed(&world, "racing");
            assert_pushed(&world, "kept");
            reached
        });
    }
}
