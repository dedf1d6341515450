//! One cut across two volumes, step by step: whatever ends in the middle of it, both have their snapshot in
//! the end, or neither has.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::tuning::EAGER;
use cask::types::{Caller, Group, GroupId, Ino, SnapshotName};
use cask::volume::{CommitRecords, Error, Outcome, Volume};

use super::{make, noise, write};

/// Two volumes beside each other; `a` decides.
struct Pair {
    base: tempfile::TempDir,
    id: GroupId,
}

/// How far a cut gets, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Noted,
    OnePrepared,
    BothPrepared,
    Taken,
    OneSettled,
    BothSettled,
}

const STEPS: [Step; 6] = [
    Step::Noted,
    Step::OnePrepared,
    Step::BothPrepared,
    Step::Taken,
    Step::OneSettled,
    Step::BothSettled,
];

fn name() -> SnapshotName {
    "s".parse().unwrap()
}

fn go() -> Result<(), Error> {
    Ok(())
}

impl Pair {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            super::create(&base.path().join(name));
        }
        let id = GroupId::random();
        Self { base, id }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn open(&self, name: &str) -> Volume {
        Volume::open_with(&self.dir(name), EAGER).unwrap()
    }

    fn cut(&self, records: &Volume) -> Group {
        Group {
            id: self.id,
            coordinator: records.config().uuid,
            coordinator_dir: self.dir("a"),
        }
    }

    /// Goes as far as `last`; what is dropped then is as a process that was killed.
    fn run(&self, last: Step) {
        let (a, b) = (self.open("a"), self.open("b"));
        let records = CommitRecords::of(&self.dir("a"));
        let parts = [a.config().uuid, b.config().uuid];
        let cut = self.cut(&a);
        for step in STEPS.into_iter().filter(|step| *step <= last) {
            match step {
                Step::Noted => records.begin(self.id, &parts).unwrap(),
                Step::OnePrepared => drop(a.prepare_in_group(&name(), "", &cut, go).unwrap()),
                Step::BothPrepared => drop(b.prepare_in_group(&name(), "", &cut, go).unwrap()),
                Step::Taken => assert_eq!(records.take(self.id).unwrap(), Outcome::Taken),
                Step::OneSettled => b.conclude_in_group(self.id).unwrap(),
                Step::BothSettled => a.conclude_in_group(self.id).unwrap(),
            }
        }
    }

    /// Opens both in this order and says which have the snapshot.
    #[track_caller]
    fn found(&self, order: [&str; 2]) -> [bool; 2] {
        let found = order.map(|which| {
            let volume = self.open(which);
            let listed = volume.snapshots().unwrap();
            assert_eq!(listed.is_empty(), volume.snapshot(&name()).is_err());
            assert_eq!(volume.audit().unwrap(), [""; 0]);
            volume.close().unwrap();
            !listed.is_empty()
        });
        assert_eq!(records(&self.dir("a")), [""; 0], "nothing is left");
        found
    }
}

fn records(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("cut-")).collect()
}

#[test]
fn an_end_at_any_step_leaves_both_snapshots_or_neither() {
    for last in STEPS {
        for order in [["a", "b"], ["b", "a"]] {
            let pair = Pair::new();
            pair.run(last);
            let expected = last >= Step::Taken;
            assert_eq!(pair.found(order), [expected; 2], "{last:?} {order:?}");
        }
    }
}

#[test]
fn who_opens_a_volume_in_the_middle_of_a_cut_gives_it_up_for_all() {
    let pair = Pair::new();
    pair.run(Step::BothPrepared);
    let b = pair.open("b");
    assert!(b.snapshots().unwrap().is_empty());
    let records = CommitRecords::of(&pair.dir("a"));
    assert_eq!(records.take(pair.id).unwrap(), Outcome::GivenUp);
    drop(b);
    assert_eq!(pair.found(["a", "b"]), [false; 2]);
}

#[test]
fn what_is_pending_cannot_be_used_and_its_name_is_taken() {
    let pair = Pair::new();
    let a = pair.open("a");
    let cut = pair.cut(&a);
    CommitRecords::of(&pair.dir("a"))
        .begin(pair.id, &[a.config().uuid])
        .unwrap();
    a.prepare_in_group(&name(), "", &cut, go).unwrap();
    let safety = "other".parse().unwrap();
    assert!(a.snapshots().unwrap().is_empty() && a.measured_snapshots().unwrap().is_empty());
    assert!(matches!(a.snapshot(&name()), Err(Error::NotFound)));
    assert!(matches!(a.rollback(&name(), &safety), Err(Error::NotFound)));
    assert!(matches!(a.remove_snapshot(&name()), Err(Error::NotFound)));
    assert!(matches!(a.take_snapshot(&name(), ""), Err(Error::Exists)));
    // A clone of the head knows nothing of it.
    let clone = pair.dir("clone");
    a.clone_into(None, &clone, a.config()).unwrap();
    let clone = Volume::open_with(&clone, EAGER).unwrap();
    clone.take_snapshot(&name(), "").unwrap();
    assert_eq!(clone.audit().unwrap(), [""; 0]);
    assert_eq!(
        CommitRecords::of(&pair.dir("a")).take(pair.id).unwrap(),
        Outcome::Taken
    );
    a.conclude_in_group(pair.id).unwrap();
    assert!(a.snapshot(&name()).is_ok());
}

#[test]
fn a_snapshot_that_is_given_up_returns_its_space() {
    let pair = Pair::new();
    let b = pair.open("b");
    let file = make(&b, "f").ino;
    write(&b, file, 0, &noise(1, 1 << 20)).unwrap();
    let before = b.usage().unwrap().logical_bytes;
    let cut = pair.cut(&pair.open("a"));
    b.prepare_in_group(&name(), "", &cut, go).unwrap();
    b.unlink(
        &Caller::root(),
        Ino::ROOT,
        cask::types::Name::parse(b"f").unwrap(),
    )
    .unwrap();
    b.conclude_in_group(pair.id).unwrap();
    assert_eq!(before, 1 << 20);
    super::wait_until(|| {
        let (snapshots, audit) = (b.snapshots().unwrap(), b.audit().unwrap());
        assert!(snapshots.is_empty() && audit.is_empty(), "{audit:?}");
        chunks_of(&pair.dir("b")) == 0
    });
}

/// Rows of chunks, as another program sees them.
fn chunks_of(dir: &Path) -> usize {
    let copy = tempfile::tempdir().unwrap();
    for file in ["meta.db", "meta.db-wal"] {
        fs::copy(dir.join(file), copy.path().join(file)).unwrap();
    }
    let database = cask::meta::Database::open(&copy.path().join("meta.db")).unwrap();
    let segments = database.read().unwrap().segments().unwrap();
    segments.len()
}

#[test]
fn without_the_volume_that_decides_a_snapshot_waits_out_of_sight() {
    let pair = Pair::new();
    pair.run(Step::Taken);
    let away = tempfile::tempdir_in(pair.base.path()).unwrap();
    fs::rename(pair.dir("a"), away.path().join("a")).unwrap();
    let b = pair.open("b");
    assert!(b.snapshots().unwrap().is_empty());
    assert!(matches!(b.take_snapshot(&name(), ""), Err(Error::Exists)));
    b.close().unwrap();
    // Back under another name, it is found.
    fs::rename(away.path().join("a"), pair.dir("renamed")).unwrap();
    let b = pair.open("b");
    assert_eq!(b.snapshots().unwrap().len(), 1);
}

#[test]
fn a_snapshot_that_waits_for_ever_can_be_removed() {
    let pair = Pair::new();
    pair.run(Step::Taken);
    fs::remove_dir_all(pair.dir("a")).unwrap();
    let b = pair.open("b");
    b.remove_snapshot(&name()).unwrap();
    assert!(matches!(b.remove_snapshot(&name()), Err(Error::NotFound)));
    b.take_snapshot(&name(), "").unwrap();
    assert_eq!(b.audit().unwrap(), [""; 0]);
}

#[test]
fn changes_wait_while_a_volume_is_held() {
    let pair = Pair::new();
    let a = pair.open("a");
    let cut = pair.cut(&a);
    let file = make(&a, "f").ino;
    let (wrote, writing) = mpsc::channel();
    std::thread::scope(|scope| {
        let held = a.prepare_in_group(&name(), "", &cut, || {
            scope.spawn(|| {
                write(&a, file, 0, b"later").unwrap();
                wrote.send(()).unwrap();
            });
            let early = writing.recv_timeout(Duration::from_millis(200));
            assert!(early.is_err(), "a write went through");
            assert_eq!(a.getattr(file).unwrap().size, 0, "reads go on");
            Ok::<(), Error>(())
        });
        let taken = held.unwrap();
        writing.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(a.getattr(file).unwrap().size, 5);
        assert_eq!(a.frozen(taken.epoch).getattr(file).unwrap().size, 0);
    });
}

#[test]
fn an_error_while_a_volume_is_held_leaves_nothing() {
    let pair = Pair::new();
    let a = pair.open("a");
    let cut = pair.cut(&a);
    let held = a.prepare_in_group(&name(), "", &cut, || Err(Error::Invalid));
    assert!(matches!(held, Err(Error::Invalid)));
    a.take_snapshot(&name(), "").unwrap();
    assert!(matches!(
        a.prepare_in_group(&name(), "", &cut, go),
        Err(Error::Exists)
    ));
    assert_eq!(a.audit().unwrap(), [""; 0]);
}
