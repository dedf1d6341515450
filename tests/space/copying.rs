//! Copies that are answered before their extents are written: nobody can tell, whatever happens to either file.

use super::*;
use crate::tuning::EAGER;
use cask::types::{Epoch, SnapshotName};
use cask::volume::{ChangeKind, FallocateMode, Frozen};

use crate::random::{Random, seed};

const FILES: usize = 6;
const SIZE_MAX: usize = 600 * 1024;
fn copy(volume: &Volume, from: (Ino, u64), to: (Ino, u64), len: u64) -> u64 {
    volume.copy_range(&Caller::root(), from, to, len).unwrap()
}

fn content(volume: &Volume, ino: Ino) -> Vec<u8> {
    volume.read(ino, 0, SIZE_MAX * 2).unwrap()
}

/// A file of `count` extents.
fn make_large(volume: &Volume, called: &str, count: u64) -> (Ino, Vec<u8>) {
    let file = make(volume, called);
    for i in 0..count {
        write(volume, file.ino, i * 4096, &noise(i + 1, 4096)).unwrap();
    }
    (file.ino, content(volume, file.ino))
}

/// Copies until a copy is still under way after it was answered; the two files.
fn under_way(volume: &Volume) -> (Ino, Ino, Vec<u8>) {
    let (source, bytes) = make_large(volume, "source", 64);
    for attempt in 0..100 {
        let target = make(volume, &format!("target {attempt}")).ino;
        let before = volume.usage().unwrap();
        assert_eq!(copy(volume, (source, 0), (target, 0), 1 << 40), 64 * 4096);
        let after = volume.usage().unwrap();
        assert_eq!(after.logical_bytes, before.logical_bytes + 64 * 4096);
        if after.extents < before.extents + 64 {
            return (source, target, bytes);
        }
    }
    panic!("every copy was written at once");
}

#[test]
fn a_copy_that_is_under_way_reads_as_it_will_and_counts_as_it_will() {
    let home = Home::new();
    let volume = Volume::open_with(&home.dir("v"), EAGER).unwrap();
    let (_, target, bytes) = under_way(&volume);
    assert_sound(&volume);
    assert_eq!(volume.getattr(target).unwrap().allocated, 64 * 4096);
    assert_eq!(
        volume.read(target, 5000, 9000).unwrap(),
        bytes[5000..14_000]
    );
    assert!(content(&volume, target) == bytes);
    // Time enough to write the extents; they cannot be counted, for they are put together as well.
    thread::sleep(Duration::from_millis(500));
    assert!(content(&volume, target) == bytes);
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn whoever_dies_after_the_answer_leaves_a_copy_to_the_next() {
    let home = Home::new();
    let mut volume = Volume::open_with(&home.dir("v"), EAGER).unwrap();
    let (source, target, bytes) = under_way(&volume);
    drop(volume);
    // Whoever comes next has less to do than to look at everything.
    volume = home.open();
    write(&volume, source, 0, &noise(99, 4096)).unwrap();
    assert!(content(&volume, target) == bytes);
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn a_target_that_is_removed_takes_the_rest_of_its_copy_along() {
    let home = Home::new();
    let volume = Volume::open_with(&home.dir("v"), EAGER).unwrap();
    let (source, _, bytes) = under_way(&volume);
    for entry in 0..100 {
        let target = format!("target {entry}");
        if volume.lookup(Ino::ROOT, name(&target)).is_ok() {
            volume
                .unlink(&Caller::root(), Ino::ROOT, name(&target))
                .unwrap();
        }
    }
    volume.reap().unwrap();
    wait_until("only the source is left", || {
        volume.usage().unwrap().logical_bytes == 64 * 4096
    });
    assert!(content(&volume, source) == bytes);
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn a_clone_has_what_was_being_copied_and_a_rollback_keeps_it() {
    let home = Home::new();
    let volume = Volume::open_with(&home.dir("v"), EAGER).unwrap();
    let (first, safety, last) = ("first", "safety", "last");
    let named = |text: &str| text.parse::<SnapshotName>().unwrap();
    let taken = volume.take_snapshot(&named(first), "").unwrap();
    let (source, target, bytes) = under_way(&volume);
    let clones = [("of the head", None), ("of a snapshot", Some(&taken))];
    for (called, from) in clones {
        let dir = home.dir(called);
        volume.clone_into(from, &dir, &common::config()).unwrap();
        let clone = Volume::open(&dir).unwrap();
        assert_sound(&clone);
        for ino in [source, target] {
            match from {
                None => assert!(content(&clone, ino) == bytes),
                Some(_) => assert!(matches!(clone.getattr(ino), Err(Error::NotFound))),
            }
        }
        clone.close().unwrap();
    }
    let attempt = make(&volume, "again").ino;
    copy(&volume, (source, 0), (attempt, 0), 1 << 40);
    volume.rollback(&named(first), &named(safety)).unwrap();
    assert!(matches!(volume.getattr(attempt), Err(Error::NotFound)));
    assert_sound(&volume);
    volume.rollback(&named(safety), &named(last)).unwrap();
    for ino in [source, target, attempt] {
        assert!(content(&volume, ino) == bytes);
    }
    assert_sound(&volume);
    volume.close().unwrap();
}

/// Files, and what must be in each.
type Contents = Vec<(Ino, Vec<u8>)>;

/// A volume that anything may happen to, and what must be in it.
struct Files {
    home: Home,
    volume: Option<Volume>,
    random: Random,
    files: Contents,
    snapshots: Vec<(Epoch, SnapshotName, Contents)>,
    made: u64,
}

impl Files {
    fn new(seed: u64) -> Self {
        let home = Home::new();
        let volume = Some(Volume::open_with(&home.dir("v"), EAGER).unwrap());
        let mut files = Self {
            home,
            volume,
            random: Random::new(seed),
            files: Vec::new(),
            snapshots: Vec::new(),
            made: 0,
        };
        for _ in 0..FILES {
            let ino = files.make();
            files.files.push((ino, Vec::new()));
        }
        files
    }

    fn volume(&self) -> &Volume {
        self.volume.as_ref().unwrap()
    }

    fn make(&mut self) -> Ino {
        self.made += 1;
        make(self.volume(), &format!("{}", self.made)).ino
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.index(bound)
    }

    fn pick(&mut self) -> (usize, usize) {
        let file = self.below(FILES);
        let len = self.files[file].1.len();
        (file, self.below(len + 4096))
    }

    fn step(&mut self) {
        match self.below(24) {
            0..6 => self.write(),
            6..14 => self.copy(),
            14..16 => self.truncate(),
            16..18 => self.punch(),
            18..20 => self.replace(),
            20 => self.snapshot(),
            21 => self.remove_snapshot(),
            22 => self.reopen(),
            _ => drop(self.volume().collect().unwrap()),
        }
    }

    fn write(&mut self) {
        let (file, at) = self.pick();
        for i in 0..1 + self.below(8) {
            let bytes = noise(self.random.next(), 1 + self.random.next() % 8192);
            let at = at + i * 10_000;
            if at + bytes.len() > SIZE_MAX {
                return;
            }
            write(self.volume(), self.files[file].0, at as u64, &bytes).unwrap();
            put(&mut self.files[file].1, at, &bytes);
        }
    }

    fn copy(&mut self) {
        let ((source, from), (target, to)) = (self.pick(), self.pick());
        let (from, to) = match self.below(3) {
            0 => (from, to),
            1 => (0, self.files[target].1.len()),
            _ => (0, 0),
        };
        let left = self.files[source].1.len().saturating_sub(from);
        let len = left.min(1 + self.below(SIZE_MAX / 2));
        let overlaps = source == target && from.abs_diff(to) < len;
        if to + len > SIZE_MAX || len == 0 || overlaps {
            return;
        }
        let ends = (
            (self.files[source].0, from as u64),
            (self.files[target].0, to as u64),
        );
        let copied = copy(self.volume(), ends.0, ends.1, len as u64);
        let copied = usize::try_from(copied).unwrap();
        let bytes = self.files[source].1[from..from + copied].to_vec();
        put(&mut self.files[target].1, to, &bytes);
    }

    fn truncate(&mut self) {
        let (file, size) = self.pick();
        let size = size.min(SIZE_MAX);
        let change = SetAttr {
            size: Some(size as u64),
            ..SetAttr::default()
        };
        let ino = self.files[file].0;
        self.volume()
            .setattr(&Caller::root(), ino, &change)
            .unwrap();
        self.files[file].1.resize(size, 0);
    }

    fn punch(&mut self) {
        let (file, at) = self.pick();
        let len = 1 + self.below(SIZE_MAX / 2);
        let ino = self.files[file].0;
        let mode = FallocateMode::PunchHole;
        let volume = self.volume();
        volume
            .fallocate(&Caller::root(), ino, at as u64, len as u64, mode)
            .unwrap();
        let end = (at + len).min(self.files[file].1.len());
        if let Some(hole) = self.files[file].1.get_mut(at..end) {
            hole.fill(0);
        }
    }

    /// Another file takes the place of one.
    fn replace(&mut self) {
        let file = self.below(FILES);
        let ino = self.files[file].0;
        let entries = self.volume().list(Ino::ROOT, 0, 1000).unwrap();
        let old = entries
            .into_iter()
            .find(|entry| entry.attr.ino == ino)
            .unwrap();
        self.volume()
            .unlink(&Caller::root(), Ino::ROOT, &old.name)
            .unwrap();
        self.files[file] = (self.make(), Vec::new());
    }

    fn snapshot(&mut self) {
        self.made += 1;
        let called: SnapshotName = format!("s{}", self.made).parse().unwrap();
        let taken = self.volume().take_snapshot(&called, "").unwrap();
        self.snapshots
            .push((taken.epoch, called, self.files.clone()));
    }

    fn remove_snapshot(&mut self) {
        if self.snapshots.is_empty() {
            return;
        }
        let at = self.below(self.snapshots.len());
        let (_, called, _) = self.snapshots.remove(at);
        self.volume().remove_snapshot(&called).unwrap();
    }

    /// Ends without a word, or with it, and begins anew; or goes back to a snapshot.
    fn reopen(&mut self) {
        let volume = self.volume.take().unwrap();
        match self.below(2) {
            0 => drop(volume),
            _ => volume.close().unwrap(),
        }
        let volume = Volume::open_with(&self.home.dir("v"), EAGER).unwrap();
        if let Some((_, called, files)) = self
            .snapshots
            .last()
            .filter(|_| self.made.is_multiple_of(3))
        {
            self.made += 1;
            let safety = format!("s{}", self.made).parse().unwrap();
            volume.rollback(called, &safety).unwrap();
            self.files = files.clone();
        }
        self.volume = Some(volume);
    }

    fn assert_same(&self) {
        for (ino, bytes) in &self.files {
            assert!(content(self.volume(), *ino) == *bytes, "{ino}");
        }
        for (epoch, called, files) in &self.snapshots {
            let frozen: Frozen<'_> = self.volume().frozen(*epoch);
            for (ino, bytes) in files {
                let found = frozen.read(*ino, 0, SIZE_MAX * 2).unwrap();
                assert!(found == *bytes, "{ino} at {called}");
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.resize(bytes.len().max(at + new.len()), 0);
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn whatever_is_done_to_files_that_are_being_copied_each_has_its_own_bytes() {
    let seeds = if is_long() { 200 } else { 6 };
    let first = seed();
    for seed in first..first + seeds {
        let mut files = Files::new(seed);
        for step in 0..250 {
            files.step();
            files.assert_same();
            if step % 5 == 0 {
                let broken = files.volume().audit().unwrap();
                assert_eq!(broken, Vec::<String>::new(), "seed {seed}, step {step}");
            }
        }
        files.volume.take().unwrap().close().unwrap();
    }
}

/// The log of what is left to do is long, and whoever shortens it must be there until it is done.
#[test]
fn a_volume_with_much_to_free_closes_quickly() {
    let home = Home::new();
    let volume = home.open();
    let (first, _) = make_large(&volume, "0", 2000);
    let mut files = vec![first];
    for i in 1..200 {
        let file = make(&volume, &format!("{i}")).ino;
        copy(&volume, (first, 0), (file, 0), 1 << 40);
        files.push(file);
    }
    volume.take_snapshot(&"kept".parse().unwrap(), "").unwrap();
    for (i, ino) in files.iter().enumerate() {
        volume.remember(*ino);
        volume
            .unlink(&Caller::root(), Ino::ROOT, name(&format!("{i}")))
            .unwrap();
    }
    for ino in files {
        volume.forget(ino, 1);
    }
    let began = Instant::now();
    volume.close().unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// A file of 2 GiB in 16384 extents.
fn make_huge(volume: &Volume, called: &str) -> Ino {
    let ino = make(volume, called).ino;
    for i in 0..32 {
        write(volume, ino, i * MIB, &noise(i + 1, MIB)).unwrap();
    }
    let mut len = 32 * MIB;
    while len < 2048 * MIB {
        len += copy(volume, (ino, 0), (ino, len), len.min(2048 * MIB - len));
    }
    ino
}

fn copy_all(volume: &Volume, from: Ino, called: &str) -> Ino {
    let (to, mut at) = (make(volume, called).ino, 0);
    while at < 2048 * MIB {
        at += copy(volume, (from, at), (to, at), 2048 * MIB - at);
    }
    to
}

/// The longest that a small write to `other` takes while `act` does something else.
fn longest_write(volume: &Volume, other: Ino, act: impl FnOnce() + Send) -> Duration {
    thread::scope(|scope| {
        let acting = scope.spawn(act);
        let mut longest = Duration::ZERO;
        for seed in 0.. {
            let began = Instant::now();
            write(volume, other, 0, &noise(seed, 4096)).unwrap();
            longest = longest.max(began.elapsed());
            if acting.is_finished() {
                break;
            }
        }
        acting.join().unwrap();
        longest
    })
}

#[test]
fn whoever_waits_for_copies_lets_others_write_and_ends() {
    let home = Home::new();
    let volume = home.open();
    let other = make(&volume, "other").ino;
    let source = make_huge(&volume, "huge");
    for i in 0..20 {
        copy_all(&volume, source, &format!("c{i}"));
    }
    let change = || write(&volume, source, 0, &noise(7, 4096)).unwrap();
    let waited = longest_write(&volume, other, change);
    assert!(waited < Duration::from_millis(250), "a write: {waited:?}");

    make(&volume, "empty");
    for i in 20..40 {
        copy_all(&volume, source, &format!("c{i}"));
    }
    let remove = || {
        for called in ["empty", "huge"] {
            volume
                .unlink(&Caller::root(), Ino::ROOT, name(called))
                .unwrap();
        }
        volume.reap().unwrap();
    };
    let waited = longest_write(&volume, other, remove);
    assert!(waited < Duration::from_millis(250), "a removal: {waited:?}");
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn a_snapshot_beside_those_who_never_stop_copying_is_taken() {
    let home = Home::new();
    let volume = home.open();
    let source = make_huge(&volume, "huge");
    let stop = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        for copier in 0..2 {
            let (volume, stop) = (&volume, &stop);
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    copy_all(volume, source, &format!("{copier}-{i}"));
                }
            });
        }
        thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        volume.take_snapshot(&"s".parse().unwrap(), "").unwrap();
        stop.store(true, Ordering::Relaxed);
        began.elapsed()
    });
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn a_difference_knows_what_is_being_copied() {
    let home = Home::new();
    let volume = Volume::open_with(&home.dir("v"), EAGER).unwrap();
    let (source, bytes) = make_large(&volume, "source", 64);
    let size = SetAttr {
        size: Some(bytes.len() as u64),
        ..SetAttr::default()
    };
    let targets = (0..20).map(|i| make(&volume, &format!("t{i}")).ino);
    let targets: Vec<_> = targets.collect();
    for target in &targets {
        volume.setattr(&Caller::root(), *target, &size).unwrap();
    }
    let from = volume.take_snapshot(&"s".parse().unwrap(), "").unwrap();
    for target in targets {
        copy(&volume, (source, 0), (target, 0), 1 << 40);
        let changes = volume.diff(&from, None).unwrap();
        let modified = |change: &&cask::volume::Change| change.kind == ChangeKind::Modified;
        let wanted = changes.iter().filter(|change| change.path.contains(&b't'));
        assert!(wanted.clone().count() > 0 && wanted.clone().all(|one| modified(&one)));
    }
    volume.close().unwrap();
}
