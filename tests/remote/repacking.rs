//! Packs of which little is needed give their space back, beside pushes and pulls and whatever is killed: what is published
//! is there byte by byte, in whatever packs it lies meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cask::remote::{
    Ability, Bytes, Error, Key, Listed, PushState, Replacing, Repository, Result, Shelf, Tag,
};
use cask::transfer::{Collect, Collected, Depth, Extent, Waits, collect, pull, verify};
use cask::types::{ChunkBytes, Ino, Name};
use cask::volume::{Config, Volume};

use crate::host::Store;
use crate::races::{Nobody, World, at_each_request, collected, content, named};
use crate::random::Random;
use crate::round_trip::another;
use crate::support::can_mount;

const WEAK: Ability = Ability {
    creates: false,
    replaces: Replacing::Never,
};

/// A pack of five chunks, one of which snapshot `kept` has. Snapshot `racing` has that one, one that nothing needs and one
/// that is new.
fn world(ability: Ability) -> World {
    let world = before_it_is_forgotten(ability);
    world.forget("old");
    world
}

/// The same while snapshot `old` is there, which has all five.
pub(crate) fn before_it_is_forgotten(ability: Ability) -> World {
    let world = World::empty(ability);
    push_old_and_kept(&world);
    take_racing(&world);
    world
}

pub(crate) fn push_old_and_kept(world: &World) {
    let names = [1, 2, 3, 4, 5].map(|seed| format!("f{seed}"));
    for (name, seed) in names.iter().zip(1..) {
        world.source.file(name, &content(seed));
    }
    world.source.snapshot("old");
    world.push("old");
    for name in &names[..4] {
        world.source.remove(name);
    }
    world.source.snapshot("kept");
    world.push("kept");
}

pub(crate) fn take_racing(world: &World) {
    world.source.file("again", &content(1));
    world.source.file("new", &content(6));
    world.source.snapshot("racing");
}

/// What is in the files of each snapshot, by the seeds of their contents.
fn expected(snapshot: &str) -> Vec<(&'static str, u8)> {
    match snapshot {
        "kept" => vec![("f5", 5)],
        "near" => vec![("f5", 5)],
        "racing" => vec![("f5", 5), ("again", 1), ("new", 6)],
        "more" => vec![("f5", 5), ("again", 1), ("new", 6), ("f2", 2), ("f3", 3)],
        other => panic!("{other} is not published"),
    }
}

/// All that is published is verified, and has what it had.
#[track_caller]
pub(crate) fn check(world: &World, what: &str) {
    let found = verify(&world.repository, Depth::Data, &Nobody).unwrap();
    assert_eq!(found.faults, Vec::<String>::new(), "{what}");
    let mut published = world.snapshots();
    published.retain(|one| one.state == PushState::Published);
    assert!(
        published.iter().any(|one| one.name == named("kept")),
        "{what}"
    );
    for snapshot in published {
        let pulled = world.dir.path().join("compared");
        let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
        let made = pull(&world.repository, &snapshot, (&pulled, &config), &Nobody);
        made.unwrap_or_else(|e| panic!("{what}: {}: {e:?}", snapshot.name));
        let volume = Volume::open(&pulled).unwrap();
        for (name, seed) in expected(snapshot.name.as_str()) {
            assert_eq!(read(&volume, name), content(seed), "{what}: {name}");
        }
        drop(volume);
        fs::remove_dir_all(pulled).unwrap();
    }
}

fn read(volume: &Volume, name: &str) -> Vec<u8> {
    let name = Name::parse(name.as_bytes()).unwrap();
    let attr = volume.lookup(Ino::ROOT, name).unwrap();
    volume.read(attr.ino, 0, 1 << 20).unwrap()
}

fn stored(repository: &Repository) -> u64 {
    repository.packs().unwrap().values().sum()
}

#[test]
fn what_is_needed_of_a_pack_stays_and_the_rest_goes() {
    let world = world(Ability::FULL);
    let old = *world.repository.packs().unwrap().keys().next().unwrap();
    let looked = collect(&Collect {
        repository: &world.repository,
        cache: &world.cache(),
        watch: &Nobody,
        extent: Extent::Look,
        waits: Waits::default(),
    });
    let looked = looked.unwrap();
    assert_eq!((looked.packs, looked.repacked), (0, 1));
    let before = stored(&world.repository);
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!((found.packs, found.runs, found.repacked), (0, 1, 1));
    let after = stored(&world.repository);
    assert!(after < 101_000, "{after} bytes of packs");
    assert!(before - after <= found.bytes && found.bytes <= looked.bytes + 1000);
    assert!(!world.repository.packs().unwrap().contains_key(&old));
    assert_eq!(world.repository.moved_packs().unwrap(), [old].into());
    check(&world, "after it");
    let again = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(again, Collected::default());

    // The index tells of the new place, and of what is gone no more.
    world.push("racing");
    assert!(stored(&world.repository) < 302_000, "one chunk is not sent");
    check(&world, "pushed after it");
    let racing = world
        .snapshots()
        .into_iter()
        .find(|one| one.name == named("racing"));
    world
        .repository
        .put_about(&cask::remote::VolumeAbout {
            volume: racing.unwrap().volume,
            name: "v".to_owned(),
            host: "here".to_owned(),
        })
        .unwrap();
    world.forget("kept");
    collected(&world.repository, &world.cache()).unwrap();
    assert!(
        world.repository.moved_packs().unwrap().is_empty(),
        "nothing names the old pack"
    );
    let found = verify(&world.repository, Depth::Data, &Nobody).unwrap();
    assert_eq!(found.faults, Vec::<String>::new());
}

/// Snapshots come and go, and what is stored stays near to what is needed.
#[test]
fn space_comes_back_after_many_small_changes() {
    let world = World::empty(Ability::FULL);
    let name = |number: u8| format!("f{number}");
    for number in 0..40 {
        world.source.file(&name(number), &content(number));
    }
    let mut seeds: BTreeMap<u8, u8> = (0..40).map(|number| (number, number)).collect();
    world.source.snapshot("first");
    world.push("first");
    let mut seed = 40;
    for round in 0..25_u8 {
        for step in 0..4 {
            let number = (round * 7 + step * 11) % 40;
            world.source.remove(&name(number));
            world.source.file(&name(number), &content(seed));
            seeds.insert(number, seed);
            seed += 1;
        }
        let taken = format!("s{round}");
        world.source.snapshot(&taken);
        world.push(&taken);
        if round >= 2 {
            world.forget(&format!("s{}", round - 2));
        }
        if round == 3 {
            world.forget("first");
        }
        collected(&world.repository, &world.cache()).unwrap();
        let needed = 100_000 * (40 + 4);
        let there = stored(&world.repository);
        assert!(
            there <= 2 * needed + 100_000,
            "round {round}: {there} bytes"
        );
    }
    let found = verify(&world.repository, Depth::Data, &Nobody).unwrap();
    assert_eq!(found.faults, Vec::<String>::new());
    let last = world.snapshots().pop().unwrap();
    let pulled = world.dir.path().join("pulled");
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    for snapshot in world.snapshots() {
        let made = pull(&world.repository, &snapshot, (&pulled, &config), &Nobody);
        made.unwrap();
        if snapshot.epoch == last.epoch && snapshot.name == named("s24") {
            let volume = Volume::open(&pulled).unwrap();
            for (number, seed) in &seeds {
                assert_eq!(read(&volume, &name(*number)), content(*seed), "{number}");
            }
        }
        fs::remove_dir_all(&pulled).unwrap();
    }
    for moved in world.repository.moved_packs().unwrap() {
        assert!(!world.repository.packs().unwrap().contains_key(&moved));
    }
}

/// Also where packs were packed anew before.
#[test]
fn a_collection_of_little_takes_few_requests() {
    let world = world(Ability::FULL);
    for number in 0..100 {
        world
            .source
            .file(&format!("g{number}"), &content(100 + number));
    }
    world.source.snapshot("many");
    world.push("many");
    collected(&world.repository, &world.cache()).unwrap();
    for round in 0..3 {
        let (before, after) = (format!("before{round}"), format!("after{round}"));
        world.source.file(&before, &content(10 + round));
        world.source.snapshot(&before);
        world.push(&before);
        world.source.remove(&before);
        world.source.snapshot(&after);
        world.push(&after);
        world.forget(&before);
        let (hooked, shelf) = world.hooked(u64::MAX, || ());
        let found = collected(&hooked, &world.cache()).unwrap();
        assert_eq!((found.packs, found.repacked), (1, 0));
        let requests = shelf.requests.load(Ordering::SeqCst);
        assert!(requests <= 60, "{requests} requests");
        world.forget(&after);
    }
    assert_eq!(world.repository.moved_packs().unwrap().len(), 1);
}

#[test]
fn a_repacking_at_any_request_of_a_push_costs_nothing_that_is_published() {
    at_each_request(|at| {
        let world = world(Ability::FULL);
        let (repository, cache) = (world.repository.clone(), world.dir.path().join("other"));
        let (hooked, shelf) = world.hooked(at, move || {
            collected(&repository, &cache).unwrap();
        });
        let is_pushed = world.source.push(&hooked, &world.cache(), "racing");
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        check(&world, &format!("at request {at}"));
        if !is_pushed {
            world.push("racing");
            check(&world, &format!("again, after one at request {at}"));
        }
        reached
    });
}

#[test]
fn a_push_at_any_request_of_a_repacking_is_whole() {
    for ability in [Ability::FULL, WEAK] {
        at_each_request(|at| {
            let world = Arc::new(world(ability));
            if ability == WEAK {
                collected(&world.repository, &world.cache()).unwrap();
                world.memory.age(Duration::from_secs(25 * 3600));
            }
            let pushing = Arc::clone(&world);
            let (hooked, shelf) = world.hooked(at, move || {
                let cache = pushing.dir.path().join("other");
                let is_pushed = pushing.source.push(&pushing.repository, &cache, "racing");
                assert!(is_pushed, "a push at request {at}");
            });
            collected(&hooked, &world.cache()).unwrap();
            let reached = shelf.requests.load(Ordering::SeqCst) > at;
            check(&world, &format!("a push at request {at}"));
            collected(&world.repository, &world.cache()).unwrap();
            check(
                &world,
                &format!("collected again after a push at request {at}"),
            );
            reached
        });
    }
}

/// A push that has published just before names the old pack, also a chunk that nothing had needed.
#[test]
fn what_was_published_while_it_was_waited_for_is_moved_as_well() {
    let world = world(Ability::FULL);
    world.push("racing");
    let old = world.repository.packs().unwrap();
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(found.repacked, 1, "two chunks of five are needed: {old:?}");
    check(&world, "both chunks were moved");
}

#[test]
fn a_repacking_that_was_killed_is_gone_on_with() {
    for ability in [Ability::FULL, WEAK] {
        at_each_request(|at| {
            if at == 0 {
                // Of its being opened.
                return true;
            }
            let world = world(ability);
            if ability == WEAK {
                collected(&world.repository, &world.cache()).unwrap();
                world.memory.age(Duration::from_secs(25 * 3600));
            }
            let (hooked, shelf) = world.hooked(at, || panic_any("killed"));
            let cache = world.cache();
            drop(catch_unwind(AssertUnwindSafe(|| {
                collected(&hooked, &cache)
            })));
            let reached = shelf.requests.load(Ordering::SeqCst) > at;
            check(&world, &format!("killed at request {at}"));
            // On a weak store what was stored in vain is marked, and goes a day later.
            for _ in 0..3 {
                collected(&world.repository, &world.cache()).unwrap();
                world.memory.age(Duration::from_secs(25 * 3600));
            }
            assert!(
                world.repository.marks().unwrap().is_empty(),
                "killed at {at}"
            );
            let there = stored(&world.repository);
            assert!(there < 101_000, "killed at {at}: {there} bytes");
            check(
                &world,
                &format!("gone on with after a kill at request {at}"),
            );
            world.push("racing");
            check(&world, &format!("pushed after a kill at request {at}"));
            reached
        });
    }
}

/// A push takes over what another collection, which was killed, had packed anew: that stays.
#[test]
fn a_push_after_a_killed_repacking_is_whole_whatever_goes_on() {
    at_each_request(|at| {
        if at == 0 {
            return true;
        }
        let world = world(Ability::FULL);
        let (hooked, shelf) = world.hooked(at, || panic_any("killed"));
        let cache = world.cache();
        drop(catch_unwind(AssertUnwindSafe(|| {
            collected(&hooked, &cache)
        })));
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        world.push("racing");
        check(&world, &format!("pushed after a kill at request {at}"));
        for _ in 0..2 {
            // From another host, which has to find out that the first one is dead.
            collected(&world.repository, &world.dir.path().join("other")).unwrap();
            check(&world, &format!("collected after a kill at request {at}"));
        }
        let there = stored(&world.repository);
        assert!(there < 403_000, "killed at {at}: {there} bytes");
        reached
    });
}

/// A world with a pack that was packed anew by a collection that was killed before the pack went, by its request `at`.
fn killed_at(at: u64) -> World {
    let world = world(Ability::FULL);
    let (hooked, _) = world.hooked(at, || panic_any("killed"));
    let cache = world.cache();
    drop(catch_unwind(AssertUnwindSafe(|| {
        collected(&hooked, &cache)
    })));
    world
}

/// By which request a collection is killed so that the pack is there, and what tells of it as well.
fn before_it_goes() -> u64 {
    let is_left = |at: &u64| {
        let repository = killed_at(*at).repository;
        let packs = repository.packs().unwrap();
        let moved = repository.moved_packs().unwrap();
        moved.iter().any(|id| packs.contains_key(id))
    };
    (1..100).find(is_left).unwrap()
}

/// Else its chunks would be there twice for as long as they are needed.
#[test]
fn a_pack_that_was_moved_goes_however_much_of_it_is_needed_by_then() {
    let world = killed_at(before_it_goes());
    for mark in world.repository.marks().unwrap() {
        world.repository.unmark(mark.key()).unwrap();
    }
    world.source.file("f2", &content(2));
    world.source.file("f3", &content(3));
    world.source.snapshot("more");
    world.push("more");
    collected(&world.repository, &world.cache()).unwrap();
    let packs = world.repository.packs().unwrap();
    let moved = world.repository.moved_packs().unwrap();
    assert!(moved.iter().all(|id| !packs.contains_key(id)));
    collected(&world.repository, &world.cache()).unwrap();
    let there = stored(&world.repository);
    assert!(there < 502_000, "{there} bytes of five chunks");
    check(&world, "after it");
}

/// Between two collections of one host nothing is marked: a push may count on what the first one had not moved.
#[test]
fn a_push_at_any_request_of_the_one_that_goes_on_is_whole() {
    let killed = before_it_goes();
    at_each_request(|at| {
        let world = Arc::new(killed_at(killed));
        let pushing = Arc::clone(&world);
        let (hooked, shelf) = world.hooked(at, move || {
            let cache = pushing.dir.path().join("other");
            let is_pushed = pushing.source.push(&pushing.repository, &cache, "racing");
            assert!(is_pushed, "a push at request {at}");
        });
        collected(&hooked, &world.cache()).unwrap();
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        check(&world, &format!("a push at request {at}"));
        collected(&world.repository, &world.cache()).unwrap();
        check(&world, &format!("collected again after a push at {at}"));
        reached
    });
}

#[test]
fn a_pull_goes_on_across_a_repacking() {
    at_each_request(|at| {
        let world = world(Ability::FULL);
        let kept = world.snapshots().pop().unwrap();
        let (repository, cache) = (world.repository.clone(), world.cache());
        let (hooked, shelf) = world.hooked(at, move || {
            collected(&repository, &cache).unwrap();
        });
        let pulled = world.dir.path().join("pulled");
        let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
        pull(&hooked, &kept, (&pulled, &config), &Nobody).unwrap();
        assert_eq!(read(&Volume::open(&pulled).unwrap(), "f5"), content(5));
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        reached || at <= 5
    });
}

#[test]
fn a_check_finds_nothing_wrong_across_a_repacking() {
    for depth in [Depth::Metadata, Depth::Data] {
        at_each_request(|at| {
            let world = world(Ability::FULL);
            let (repository, cache) = (world.repository.clone(), world.cache());
            let (hooked, shelf) = world.hooked(at, move || {
                collected(&repository, &cache).unwrap();
            });
            let found = verify(&hooked, depth, &Nobody).unwrap();
            assert_eq!(
                found.faults,
                Vec::<String>::new(),
                "{depth:?}, request {at}"
            );
            shelf.requests.load(Ordering::SeqCst) > at
        });
    }
}

/// Chunks that were moved more than once are found, and what tells of them stays while it is needed.
#[test]
fn chunks_are_moved_again() {
    let world = World::empty(Ability::FULL);
    let names: Vec<String> = (1..=10).map(|seed| format!("f{seed}")).collect();
    for (name, seed) in names.iter().zip(1..) {
        world.source.file(name, &content(seed));
    }
    world.source.snapshot("old");
    world.push("old");
    let leave = |files: std::ops::Range<usize>, snapshot: &str| {
        files.for_each(|at| world.source.remove(&names[at]));
        world.source.snapshot(snapshot);
        world.push(snapshot);
    };
    leave(5..10, "more");
    leave(0..2, "less");
    leave(2..4, "kept");
    let first = *world.repository.packs().unwrap().keys().next().unwrap();
    world.forget("old");
    world.forget("more");
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(found.repacked, 1, "three of ten are needed");
    world.forget("less");
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(found.repacked, 1, "one of three is needed");
    let moved = world.repository.moved_packs().unwrap();
    assert_eq!(moved.len(), 2, "the first one, and what it was moved to");
    assert!(moved.contains(&first));
    assert!(stored(&world.repository) < 101_000);
    for opened in [&world.repository, &world.hooked(u64::MAX, || ()).0] {
        let kept = world.snapshots().pop().unwrap();
        let pulled = world.dir.path().join("pulled");
        let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
        pull(opened, &kept, (&pulled, &config), &Nobody).unwrap();
        assert_eq!(read(&Volume::open(&pulled).unwrap(), "f5"), content(5));
        fs::remove_dir_all(pulled).unwrap();
    }
    world.check("moved twice");
    let again = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(again, Collected::default());
}

/// One that was stopped for so long that another took it for dead, and did all of its work, does no harm with the request
/// that it was about to make, and makes few more.
#[test]
fn a_repacking_that_comes_back_from_the_dead_costs_nothing() {
    at_each_request(|at| {
        let world = Arc::new(world(Ability::FULL));
        let other = Arc::clone(&world);
        let (hooked, shelf) = world.hooked(at, move || {
            let cache = other.dir.path().join("other");
            collected(&other.repository, &cache).unwrap();
            other.push("racing");
        });
        match collected(&hooked, &world.cache()) {
            Ok(_) | Err(cask::transfer::Error::Collecting) => {}
            Err(error) => panic!("another at request {at}: {error}"),
        }
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        check(&world, &format!("another at request {at}"));
        collected(&world.repository, &world.cache()).unwrap();
        check(
            &world,
            &format!("collected again after another at request {at}"),
        );
        reached
    });
}

#[test]
fn damage_of_what_tells_of_a_move_is_named() {
    let world = world(Ability::FULL);
    let old = *world.repository.packs().unwrap().keys().next().unwrap();
    collected(&world.repository, &world.cache()).unwrap();
    let key = Key::new(format!("moved/{old}"));
    let is_there = world.memory.damage(&key, |bytes| bytes[70] ^= 1);
    assert!(is_there);
    let fresh = world.hooked(u64::MAX, || ()).0;
    let found = verify(&fresh, Depth::Metadata, &Nobody).unwrap();
    let names = |text: &str| found.faults.iter().any(|fault| fault.contains(text));
    assert!(names(key.as_str()), "{:?}", found.faults);
    assert!(names(&format!("kept: pack {old}")), "{:?}", found.faults);
    // Nobody can tell what is needed, and nothing is removed.
    let error = collected(&fresh, &world.cache()).unwrap_err();
    assert!(error.to_string().contains(key.as_str()), "{error}");
}

/// Allows all but to delete.
#[derive(Debug)]
struct NoDelete(Arc<cask::remote::Memory>);

impl Shelf for NoDelete {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.0.put(key, bytes)
    }
    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.0.create(key, bytes)
    }
    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        self.0.replace(key, bytes, tag)
    }
    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        self.0.get(key)
    }
    fn get_range(&self, key: &Key, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        self.0.get_range(key, range)
    }
    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.0.list(dir)
    }
    fn delete(&self, key: &Key) -> Result<()> {
        Err(Error::Denied {
            op: "delete",
            object: key.to_string(),
            source: "AccessDenied".into(),
        })
    }
}

#[test]
fn who_may_not_delete_packs_nothing_anew() {
    let world = world(Ability::FULL);
    let before = world.repository.packs().unwrap();
    let shelf = Arc::new(NoDelete(Arc::clone(&world.memory)));
    let (id, master) = (world.repository.id(), world.repository.master().clone());
    let repository = Repository::open(shelf, Ability::FULL, id, master).unwrap();
    // There is a run that could go, which is refused.
    collected(&repository, &world.cache()).unwrap_err();
    assert_eq!(world.repository.packs().unwrap(), before);
    assert!(world.repository.moved_packs().unwrap().is_empty());
}

/// A damaged pack is left as it is: what is whole of it can be read.
#[test]
fn a_damaged_pack_is_not_packed_anew() {
    let world = world(Ability::FULL);
    let old = *world.repository.packs().unwrap().keys().next().unwrap();
    let key = Key::new(format!("pack/{}/{old}", &old.to_string()[..2]));
    // Any of its chunks: also the one that is needed.
    assert!(world.memory.damage(&key, |bytes| {
        for at in (64..500_000).step_by(1000) {
            bytes[at] ^= 1;
        }
    }));
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(found.repacked, 0);
    assert!(world.repository.packs().unwrap().contains_key(&old));
    assert!(world.repository.moved_packs().unwrap().is_empty());
}

/// A volume that is used before all of it is here goes on, and what it lacks is not sent when it is pushed.
#[test]
fn a_volume_that_lacks_chunks_goes_on_across_a_repacking() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    let here = store.host();
    here.create();
    let bytes = |number| Random::new(number).bytes(200_000);
    let files: Vec<(String, Vec<u8>)> = (0..8)
        .map(|number| (format!("f{number}"), bytes(number)))
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    here.make_volume("all", &files);
    here.make_volume("part", &files[5..7]);
    here.run(&["snapshot", "all@s"]).succeeds();
    here.push("all@s");
    here.push("part");
    let there = another(&store);
    let mnt = there.bench.path("mnt");
    let mount = ["mount", "new", "--from", "r:part", "--prefetch", "metadata"];
    let place = mnt.to_str().unwrap();
    there.run(&[&mount[..], &[place]].concat()).succeeds();
    assert_eq!(fs::read(mnt.join("f5")).unwrap(), bytes(5));

    here.run(&["remote", "forget", "r:all@s"]).succeeds();
    let told = here.run(&["remote", "gc"]).succeeds().out;
    assert!(told.contains("most of 1 packs"), "{told}");
    let packs = fs::read_dir(store.objects().join("pack")).unwrap();
    assert_eq!(
        packs
            .filter(|below| fs::read_dir(below.as_ref().unwrap().path())
                .unwrap()
                .count()
                > 0)
            .count(),
        1
    );
    let pushed = there.push("new");
    assert!(pushed["Sent"].as_u64().unwrap() < 20_000, "{pushed}");
    assert_eq!(fs::read(mnt.join("f6")).unwrap(), bytes(6));
    assert_eq!(fs::read(mnt.join("f5")).unwrap(), bytes(5));
    there.run(&["umount", "new"]).succeeds();
    there.bench.wait_until_closed("new");
    there.run(&["check", "--read-data", "new"]).succeeds();
    here.verify();
    here.run(&["pull", "r:new", "again"]).succeeds();
    assert_eq!(here.read("again", "f6"), bytes(6));
}
