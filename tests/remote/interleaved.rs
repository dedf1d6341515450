//! Pushes, collections and removals at the same time, on a store in memory: which of them makes its next request is drawn
//! by a seed, so that a run can be repeated.
//!
//! What is published is whole at the end, whatever the order was. The same of pushes that build on a snapshot that is
//! forgotten and collected meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use cask::remote::{
    Ability, Bytes, Key, Listed, Memory, PushState, RemoteSnapshot, Repository, Result, Shelf, Tag,
};
use cask::transfer::{Collect, Error, Extent, Waits, collect, pull};
use cask::types::ChunkBytes;
use cask::volume::Config;

use crate::bit_by_bit::{assert_pushed, large_world};
use crate::deltas::copy;
use crate::races::{Nobody, World, collected, content, named};
use crate::random::Random;
use crate::repacking::{before_it_is_forgotten, check, push_old_and_kept, take_racing};

/// Longer than any run takes: whoever waits so long for a push waits for its end.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What goes on at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A push of `racing`, which has a chunk of a pack that is condemned, and one of a pack of which little is needed.
    Push,
    /// A push of another snapshot of the same volume, from another host.
    Other,
    /// A collection that waits for pushes.
    Patient,
    /// One that takes all others for dead at once.
    Hasty,
    /// A removal of the snapshot that has most, and of the one that others build on.
    Forget,
    /// A pull of what is there all the time.
    Pull,
}

/// Whether a push of `racing` pushes the snapshot before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PushesNear {
    No,
    First,
}

/// Whose turn it is.
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turns")
    }
}

struct State {
    /// Who has not ended.
    parts: BTreeSet<usize>,
    /// Who waits with a request.
    waiting: BTreeSet<usize>,
    /// Whose request is being made, until it has the next one.
    turn: Option<usize>,
    /// How often each part is drawn, beside the others.
    speeds: Vec<usize>,
    random: Random,
    requests: u64,
}

impl Turns {
    /// Some parts are much faster than others.
    fn new(parts: usize, mut random: Random) -> Self {
        let speeds = (0..parts).map(|_| random.pick(&[1, 1, 4, 16])).collect();
        Self {
            state: Mutex::new(State {
                parts: (0..parts).collect(),
                waiting: BTreeSet::new(),
                turn: None,
                speeds,
                random,
                requests: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits until this part may make its next request. Each makes one at a time.
    fn wait(&self, part: usize) {
        let mut state = self.state.lock().unwrap();
        if state.turn == Some(part) {
            state.turn = None;
        }
        state.waiting.insert(part);
        self.draw(&mut state);
        while state.turn != Some(part) {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// This part makes no request any more.
    fn end(&self, part: usize) {
        let mut state = self.state.lock().unwrap();
        state.parts.remove(&part);
        if state.turn == Some(part) {
            state.turn = None;
        }
        self.draw(&mut state);
    }

    /// Draws the next one when all wait: what they do between two requests is done by then.
    fn draw(&self, state: &mut State) {
        if state.turn.is_some() || state.waiting != state.parts || state.parts.is_empty() {
            return;
        }
        let waiting = state.waiting.iter();
        let all = waiting.flat_map(|part| std::iter::repeat_n(*part, state.speeds[*part]));
        let all: Vec<_> = all.collect();
        let next = state.random.pick(&all);
        state.waiting.remove(&next);
        state.turn = Some(next);
        state.requests += 1;
        // Before a panic, which the others find out by the lock.
        self.changed.notify_all();
        assert!(state.requests < 20_000, "somebody waits in vain");
    }
}

/// A store that makes a request when it is its turn.
#[derive(Debug)]
struct InTurn {
    shelf: Arc<Memory>,
    turns: Arc<Turns>,
    part: usize,
}

impl Shelf for InTurn {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.turns.wait(self.part);
        self.shelf.put(key, bytes)
    }
    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.turns.wait(self.part);
        self.shelf.create(key, bytes)
    }
    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        self.turns.wait(self.part);
        self.shelf.replace(key, bytes, tag)
    }
    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        self.turns.wait(self.part);
        self.shelf.get(key)
    }
    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        self.turns.wait(self.part);
        self.shelf.get_range(key, range)
    }
    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.turns.wait(self.part);
        self.shelf.list(dir)
    }
    fn delete(&self, key: &Key) -> Result<()> {
        self.turns.wait(self.part);
        self.shelf.delete(key)
    }
}

/// Whether it did what it was to do; `false` when another part has ended it, as it may.
fn play(
    (part, pushes_near): (Part, PushesNear),
    number: usize,
    world: &World,
    repository: &Repository,
) -> bool {
    let cache = world.dir.path().join(format!("host{number}"));
    let collects = |silence| {
        let found = collect(&Collect {
            repository,
            cache: &cache,
            watch: &Nobody,
            extent: Extent::Remove,
            waits: Waits {
                silence,
                pause: Duration::ZERO,
            },
        });
        match found {
            Ok(_) => true,
            Err(Error::Collecting) => false,
            Err(error) => panic!("{part:?}: {error:?}"),
        }
    };
    match part {
        Part::Push => {
            // On which the next one builds, unless it fails.
            if pushes_near == PushesNear::First {
                world.source.push(repository, &cache, "near");
            }
            world.source.push(repository, &cache, "racing")
        }
        Part::Other => world.source.push(repository, &cache, "more"),
        Part::Patient => collects(FOR_EVER),
        Part::Hasty => collects(Duration::ZERO),
        Part::Forget => {
            let volume = world.source.volume.config().uuid;
            let found = repository.snapshots(volume).unwrap().whole.into_iter();
            found
                .filter(|one| [named("old"), named("near")].contains(&one.name))
                .for_each(|one| repository.withdraw(&one).unwrap());
            true
        }
        Part::Pull => {
            let snapshots = world
                .repository
                .snapshots(world.source.volume.config().uuid);
            let mut snapshots = snapshots.unwrap().whole.into_iter();
            let kept = snapshots.find(|one| one.name == named("kept")).unwrap();
            let config = Config::new(ChunkBytes::DEFAULT, std::collections::BTreeMap::new());
            let into = world.dir.path().join(format!("pulled{number}"));
            pull(repository, &kept, (&into, &config), &Nobody).unwrap();
            true
        }
    }
}

/// Runs all parts to their ends; what became of each.
fn run((world, near): (&World, PushesNear), parts: &[Part], seed: u64) -> Vec<bool> {
    let mut random = Random::new(seed);
    // They do not begin together: until then each lets so many turns go by.
    let delays: Vec<_> = parts
        .iter()
        .map(|_| random.pick(&[0, 1]) * random.below(60))
        .collect();
    let turns = Arc::new(Turns::new(parts.len(), random));
    thread::scope(|scope| {
        let threads: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(number, part)| {
                let (turns, delay) = (Arc::clone(&turns), delays[number]);
                scope.spawn(move || {
                    let shelf = Arc::new(InTurn {
                        shelf: Arc::clone(&world.memory),
                        turns: Arc::clone(&turns),
                        part: number,
                    });
                    // Else the others would wait for it.
                    let played = catch_unwind(AssertUnwindSafe(|| {
                        (0..delay).for_each(|_| turns.wait(number));
                        let (id, master) = (world.repository.id(), world.repository.master());
                        let opened = Repository::open(shelf, Ability::FULL, id, master.clone());
                        play((*part, near), number, world, &opened.unwrap())
                    }));
                    turns.end(number);
                    played.unwrap_or_else(|panic| resume_unwind(panic))
                })
            })
            .collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|played| played.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// What goes on at the same time in a run.
fn parts_of(seed: u64) -> Vec<Part> {
    let collections = [Part::Patient, Part::Hasty];
    let more = [
        Part::Hasty,
        Part::Forget,
        Part::Other,
        Part::Pull,
        Part::Push,
    ];
    let mut random = Random::new(seed ^ 0x5eed);
    let mut parts = vec![Part::Push, random.pick(&collections), random.pick(&more)];
    if random.below(3) == 0 {
        parts.push(random.pick(&more));
    }
    parts
}

/// Snapshot `racing` can build on `near`, which builds on others: that is there, and all hosts know it, or it is pushed
/// first. Some of them have bytes of their own.
fn building_world(seed: u64) -> World {
    let world = large_world(Ability::FULL, 250);
    push_old_and_kept(&world);
    let bytes = if seed.is_multiple_of(3) {
        content(7)
    } else {
        Vec::new()
    };
    world.source.file("near", &bytes);
    world.source.snapshot("near");
    if seed.is_multiple_of(2) {
        world.push("near");
    }
    take_racing(&world);
    for host in 0..4 {
        copy(
            &world.cache(),
            &world.dir.path().join(format!("host{host}")),
        );
    }
    world
}

/// Whether `racing` builds on another snapshot at the end.
fn race(seed: u64, (world, near): (&World, PushesNear)) -> bool {
    let parts = parts_of(seed);
    let what = format!("seed {seed}: {parts:?}");
    if parts.contains(&Part::Other) {
        world.source.file("f2", &content(2));
        world.source.file("f3", &content(3));
        world.source.snapshot("more");
    }
    if !parts.contains(&Part::Forget) {
        world.forget("old");
    }
    let outcomes = run((world, near), &parts, seed);
    check(world, &what);
    let is_anybody_hasty = parts.contains(&Part::Hasty);
    for (part, has_succeeded) in parts.iter().zip(&outcomes) {
        let may_fail = is_anybody_hasty && *part != Part::Pull && *part != Part::Forget;
        assert!(*has_succeeded || may_fail, "{what}: {part:?} has failed");
    }
    // Nothing is left that hinders anybody, or that the next collections do not find.
    for _ in 0..2 {
        collected(&world.repository, &world.cache()).unwrap();
        check(world, &format!("{what}, collected again"));
    }
    assert!(world.repository.marks().unwrap().is_empty(), "{what}");
    let is_published = |name| {
        let mut all = world.snapshots().into_iter();
        all.any(|one| one.name == named(name) && one.state == PushState::Published)
    };
    if !is_published("racing") {
        world.push("racing");
        check(world, &format!("{what}, pushed again"));
    }
    for snapshot in world.snapshots() {
        if snapshot.state == PushState::Published {
            assert_pushed(world, snapshot.name.as_str());
        }
    }
    let is_built = |one: &RemoteSnapshot| one.name == named("racing") && !one.deltas.is_empty();
    world.snapshots().iter().any(is_built)
}

fn seeds() -> Range<u64> {
    let is_long = std::env::var_os("CASK_TEST_LONG").is_some_and(|value| value == "1");
    let count = if is_long { 200 } else { 20 };
    match std::env::var("CASK_TEST_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}

#[test]
fn whatever_the_order_what_is_published_is_whole() {
    for seed in seeds() {
        let world = before_it_is_forgotten(Ability::FULL);
        assert!(!race(seed, (&world, PushesNear::No)));
    }
}

#[test]
fn whatever_the_order_what_builds_on_others_is_whole() {
    let seeds = seeds();
    let many = seeds.end - seeds.start > 5;
    let built = seeds.filter(|seed| {
        let near = match seed.is_multiple_of(2) {
            true => PushesNear::No,
            false => PushesNear::First,
        };
        race(*seed, (&building_world(*seed), near))
    });
    let built = built.count();
    // Else nothing would be told of those that do, or of those whose base goes.
    assert!(!many || built > 2, "{built} build on another");
}
