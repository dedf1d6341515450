//! A push that builds on a snapshot whose own push a collection has overtaken: that has marked its runs before it was
//! published, and removes them if it is forgotten in time.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cask::remote::{
    Ability, Bytes, Key, Listed, Memory, ObjectId, PushState, RemoteSnapshot, Repository, Result,
    Shelf, Tag,
};
use cask::transfer::{Collect, Extent, Waits, collect};

use crate::bit_by_bit::{assert_pushed, large_world, levels, published};
use crate::races::{Nobody, World};

/// Stops before a snapshot is published: says so, and waits.
#[derive(Debug)]
struct Halting {
    shelf: Arc<Memory>,
    halt: Mutex<Option<(Sender<()>, Receiver<()>)>>,
}

impl Shelf for Halting {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.shelf.put(key, bytes)
    }
    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.shelf.create(key, bytes)
    }
    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        let halt = self.halt.lock().unwrap().take();
        if let Some((tell, wait)) = halt {
            tell.send(()).unwrap();
            wait.recv().unwrap();
        }
        self.shelf.replace(key, bytes, tag)
    }
    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        self.shelf.get(key)
    }
    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        self.shelf.get_range(key, range)
    }
    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.shelf.list(dir)
    }
    fn delete(&self, key: &Key) -> Result<()> {
        self.shelf.delete(key)
    }
}

/// A way to the store that halts once; when it does, and what lets it go on.
fn halting(world: &World) -> (Repository, Receiver<()>, Sender<()>) {
    let (tell, halted) = channel();
    let (go_on, wait) = channel();
    let shelf = Halting {
        shelf: Arc::clone(&world.memory),
        halt: Mutex::new(Some((tell, wait))),
    };
    let (id, master) = (world.repository.id(), world.repository.master().clone());
    let opened = Repository::open(Arc::new(shelf), Ability::FULL, id, master);
    (opened.unwrap(), halted, go_on)
}

#[test]
fn a_base_that_a_collection_has_marked_is_not_built_on() {
    let world = large_world(Ability::FULL, 250);
    world.source.snapshot("kept");
    world.push("kept");
    world.source.file("near", b"");
    world.source.snapshot("near");
    world.source.file("more", b"");
    world.source.snapshot("racing");
    // Somebody else pushes all the time: the collection waits for that.
    let other = RemoteSnapshot {
        state: PushState::Pending,
        id: ObjectId::random().unwrap(),
        ..published(&world, "kept")
    };
    world.repository.intend(&other).unwrap();
    let push = |repository: &Repository, name: &str| {
        let pushed = world.source.try_push(repository, &world.cache(), name);
        pushed.unwrap();
    };
    let [near, racing] = [(), ()].map(|()| halting(&world));
    thread::scope(|scope| {
        let pushing = scope.spawn(|| push(&near.0, "near"));
        near.1.recv().unwrap();
        // Its runs are there, and nothing names them.
        let collecting = scope.spawn(|| {
            let cache = world.dir.path().join("collector");
            collect(&Collect {
                repository: &world.repository,
                cache: &cache,
                watch: &Nobody,
                extent: Extent::Remove,
                waits: Waits {
                    silence: Duration::from_secs(3600),
                    pause: Duration::from_millis(1),
                },
            })
        });
        while world.repository.marks().unwrap().is_empty() {
            thread::yield_now();
        }
        // It has seen by then who pushes.
        thread::sleep(Duration::from_millis(300));
        near.2.send(()).unwrap();
        pushing.join().unwrap();
        let pushing = scope.spawn(|| push(&racing.0, "racing"));
        racing.1.recv().unwrap();
        world.forget("near");
        world.repository.withdraw(&other).unwrap();
        let collected = collecting.join().unwrap().unwrap();
        assert_eq!(collected.runs, 1, "that of the snapshot that was forgotten");
        racing.2.send(()).unwrap();
        pushing.join().unwrap();
    });
    world.check("after it");
    assert_pushed(&world, "racing");
    assert_eq!(levels(&world, "racing"), 1);
}
