//! Collections beside pushes, in every order: at each request of the one all of the other is done, on a store in memory.
//!
//! Whatever comes of it, what is published can be pulled, byte by byte.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cask::remote::{Ability, Replacing};
use cask::transfer::Collected;

use crate::races::{World, at_each_request, collected};

#[test]
fn a_collection_at_any_request_of_a_push_costs_nothing_that_is_published() {
    at_each_request(|at| {
        let world = World::new(Ability::FULL);
        let (repository, cache) = (world.repository.clone(), world.dir.path().join("other"));
        let (hooked, shelf) = world.hooked(at, move || {
            // The push counts as dead at once: it has to find out.
            collected(&repository, &cache).unwrap();
        });
        let is_pushed = world.source.push(&hooked, &world.cache(), "racing");
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        world.check(&format!("a collection at request {at}"));
        if !is_pushed {
            let again = world
                .source
                .push(&world.repository, &world.cache(), "racing");
            assert!(again, "pushed again after a collection at request {at}");
            world.check(&format!("again, after a collection at request {at}"));
        }
        reached
    });
}

#[test]
fn a_push_at_any_request_of_a_collection_is_whole() {
    for ability in [
        Ability::FULL,
        Ability {
            creates: false,
            replaces: Replacing::Never,
        },
    ] {
        at_each_request(|at| {
            let world = Arc::new(World::new(ability));
            let pushing = Arc::clone(&world);
            let (hooked, shelf) = world.hooked(at, move || {
                let cache = pushing.dir.path().join("other");
                let is_pushed = pushing.source.push(&pushing.repository, &cache, "racing");
                assert!(is_pushed, "a push at request {at} of a collection");
            });
            collected(&hooked, &world.cache()).unwrap();
            let reached = shelf.requests.load(Ordering::SeqCst) > at;
            world.check(&format!("a push at request {at}"));
            reached
        });
    }
}

#[test]
fn what_nothing_needs_goes_and_can_be_pushed_again() {
    let world = World::new(Ability::FULL);
    let before = world.repository.packs().unwrap().len();
    let first = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!((first.packs, first.runs), (1, 1));
    assert!(first.bytes > 100_000);
    assert_eq!(world.repository.packs().unwrap().len(), before - 1);
    assert!(world.repository.marks().unwrap().is_empty());
    let second = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!(second, Collected::default());
    assert!(
        world
            .source
            .push(&world.repository, &world.cache(), "racing")
    );
    world.check("pushed again");
}

#[test]
fn where_a_store_decides_nothing_a_mark_is_left_for_a_day() {
    let world = World::new(Ability {
        creates: false,
        replaces: Replacing::Never,
    });
    for _ in 0..2 {
        let found = collected(&world.repository, &world.cache()).unwrap();
        assert_eq!((found.packs, found.marked), (0, 2));
        assert_eq!(world.repository.marks().unwrap().len(), 1);
    }
    world.memory.age(Duration::from_secs(25 * 3600));
    let found = collected(&world.repository, &world.cache()).unwrap();
    assert_eq!((found.packs, found.runs, found.marked), (1, 1, 0));
    assert!(world.repository.marks().unwrap().is_empty());
    world.check("a day later");
}

#[test]
fn a_collection_that_was_killed_is_gone_on_with() {
    at_each_request(|at| {
        if at == 0 {
            // Of its being opened.
            return true;
        }
        let world = World::new(Ability::FULL);
        let (hooked, shelf) = world.hooked(at, || std::panic::panic_any("killed"));
        let cache = world.cache();
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| collected(&hooked, &cache)));
        let reached = shelf.requests.load(Ordering::SeqCst) > at;
        world.check(&format!("killed at request {at}"));
        drop(outcome);
        collected(&world.repository, &world.cache()).unwrap();
        assert!(
            world.repository.marks().unwrap().is_empty(),
            "killed at {at}"
        );
        assert_eq!(world.repository.packs().unwrap().len(), 1, "killed at {at}");
        let is_pushed = world
            .source
            .push(&world.repository, &world.cache(), "racing");
        assert!(is_pushed, "killed at request {at}");
        world.check(&format!("pushed after a kill at request {at}"));
        reached
    });
}
