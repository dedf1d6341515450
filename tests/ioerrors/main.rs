//! I/O errors at any system call that opens, writes or syncs a file of a volume: each call of the volume says so
//! clearly, nothing that was acknowledged is lost, and the next open works.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a test may tell")]

#[path = "../common/volume.rs"]
mod common;
#[path = "../common/inject.rs"]
mod inject;
mod journal;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cask::volume::{Depth, Error, Tuning, Volume};

use crate::inject::{Child, Fault, Point, can_inject, injected};
use crate::journal::{CLEAN, JOURNAL, Journal, Outcome, STAGE};
use crate::workload::{BEFORE, LATE, Tree};

const DIR: &str = "CASK_IO_DIR";
/// How long one test may take when it need not try every point.
const BUDGET: Duration = Duration::from_secs(3);

/// What takes space, or makes durable: each may meet a full disk or a broken one.
const STORING: &[&str] = &[
    "openat",
    "write",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
    "unlink",
];
/// Those that a full disk lets fail.
const GROWING: &[&str] = &[
    "openat",
    "write",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat2",
];
/// Those of which all may fail while the child can still tell about it.
const LASTING: &[&str] = &["pwrite64", "pwritev", "fallocate", "fsync", "fdatasync"];

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("v")
    }

    fn file(&self, called: &str) -> PathBuf {
        self.0.path().join(called)
    }

    /// What another test starts at the moment has the lock until it is another program.
    fn open(&self) -> Volume {
        for _ in 0..200 {
            match open(&self.dir()) {
                Err(Error::InUse { .. }) => thread::sleep(Duration::from_millis(5)),
                opened => return opened.unwrap(),
            }
        }
        panic!("{} stays in use", self.dir().display());
    }

    /// A copy, in which the reserve is a hole until it is opened.
    fn copy(&self) -> Self {
        let copy = Self::new();
        let mut cp = Command::new("cp");
        cp.args(["-r", "--sparse=always"]);
        let status = cp.arg(self.dir()).arg(copy.dir()).status();
        assert!(status.unwrap().success());
        copy
    }
}

fn open(dir: &Path) -> cask::volume::Result<Volume> {
    Volume::open_with(dir, Tuning::default())
}

fn is_long() -> bool {
    std::env::var_os("CASK_TEST_LONG").is_some()
}

/// How the volume was left that the child opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Closed,
    /// Its server was killed.
    Open,
    /// The host lost power.
    PoweredOff,
}

fn template(left: Left) -> Home {
    let home = Home::new();
    common::create(&home.dir());
    let volume = home.open();
    for step in BEFORE {
        step.take(&volume).unwrap();
    }
    volume.sync().unwrap();
    if left == Left::Closed {
        volume.close().unwrap();
        return home;
    }
    // The files as they are while the volume is open.
    let copy = home.copy();
    if left == Left::PoweredOff {
        let path = copy.dir().join("state");
        let bytes = fs::read(&path).unwrap();
        let mut state: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        state["boot_id"] = "another".into();
        cask::durable::replace_file(&path, state.to_string().as_bytes()).unwrap();
    }
    copy
}

/// In which part of the child's life the fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Working,
    Closing,
}

/// What one test has met.
struct SessionStart {
    seed: u64,
    stage: Stage,
    template: Home,
    counts: BTreeMap<&'static str, usize>,
    runs: usize,
    left_out: usize,
    since: Instant,
}

impl SessionStart {
    fn new(stage: Stage, left: Left) -> Self {
        let seed = std::env::var("CASK_TEST_SEED").ok();
        let seed = seed.and_then(|text| text.parse().ok());
        Self {
            seed: seed.unwrap_or(20_261_124),
            stage,
            template: template(left),
            counts: BTreeMap::new(),
            runs: 0,
            left_out: 0,
            since: Instant::now(),
        }
    }

    fn child(&self, home: &Home) -> Child<'static> {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        Child {
            test: "journal::child",
            env: vec![
                (DIR, text(home.dir())),
                (JOURNAL, text(home.file("journal"))),
                (STAGE, format!("{:?}", self.stage)),
            ],
        }
    }

    /// Has the child meet each of `faults` at each point that it is for, as far as there is time.
    fn run(&mut self, named: &[(&str, &str)], faults: &[(Fault, &[&str])]) {
        let whole = self.template.copy();
        let points = self.child(&whole).points(STORING, &whole.file("log"));
        Journal::read(&whole.file("journal")).judge(CLEAN, &whole);
        for point in in_turn(&points, named, self.seed) {
            let fits = |(_, calls): &&(Fault, &[&str])| calls.contains(&&*point.call);
            for &(fault, _) in faults.iter().filter(fits) {
                if is_long() || self.since.elapsed() < BUDGET {
                    println!("seed {}: {fault:?} at {point:?}", self.seed);
                    self.meet(&point, fault);
                } else {
                    self.left_out += 1;
                }
            }
        }
        println!(
            "seed {}, {:?}: {} calls, {} runs, injected {:?}; {} faults were left out for want of time",
            self.seed,
            self.stage,
            points.len(),
            self.runs,
            self.counts,
            self.left_out
        );
    }

    fn meet(&mut self, point: &Point, fault: Fault) {
        let left = self.template.copy();
        let log = left.file("log");
        let output = self.child(&left).with(point, fault, &log);
        let journal = Journal::read(&left.file("journal"));
        // Other threads meet the fault as well: that of the test's frame, which prints, fails without harm.
        assert!(
            journal.is_whole(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let mut met = injected(&log);
        met.retain(|met| met.call != "write" || is_below(met.path.as_deref(), &left.dir()));
        self.runs += 1;
        *self.counts.entry(error_of(fault)).or_default() += met.len();
        journal.judge(Outcome::of(error_of(fault), fault, &met), &left);
    }
}

fn is_below(path: Option<&Path>, dir: &Path) -> bool {
    path.is_some_and(|path| path.starts_with(dir))
}

fn error_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Once(error) | Fault::FromThenOn(error) | Fault::For(_, error) => error,
        Fault::Kill => "kills",
    }
}

/// The points to try: the first of each named step foremost, the rest as the seed has them.
fn in_turn(points: &[Point], named: &[(&str, &str)], seed: u64) -> Vec<Point> {
    let mut order = Vec::new();
    for (call, end) in named {
        let shows = |point: &&Point| {
            let path = point.path.as_ref().map(|path| path.to_string_lossy());
            point.call == *call && path.is_some_and(|path| path.ends_with(end))
        };
        let found = points.iter().find(shows);
        order.push(
            found
                .unwrap_or_else(|| panic!("no {call} of {end}: {points:#?}"))
                .clone(),
        );
    }
    let mut rest: Vec<_> = points
        .iter()
        .filter(|point| !order.contains(point))
        .cloned()
        .collect();
    rest.sort_by_key(|point| {
        let number = u64::from(u32::try_from(point.number).unwrap());
        let length = point.call.len() as u64;
        (seed ^ number << 8 ^ length).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    });
    order.extend(rest);
    order
}

impl Home {
    /// What the child left can be opened, is sound, and holds what was acknowledged.
    fn judge(&self, may_be: impl Fn(&Tree) -> bool) {
        let volume = self.open();
        assert_eq!(volume.audit().unwrap(), [""; 0]);
        let tree = Tree::of(&volume);
        assert!(
            may_be(&tree),
            "other content: {:?}, snapshots {:?}",
            tree.files.keys(),
            tree.snapshots.keys()
        );
        assert_eq!(volume.check(Depth::Data).unwrap().problems, [""; 0]);
        for step in LATE {
            if !tree.files.contains_key("late") {
                step.take(&volume).unwrap();
            }
        }
        volume.close().unwrap();
        let volume = self.open();
        assert_eq!(volume.audit().unwrap(), [""; 0]);
        assert!(Tree::of(&volume).files.contains_key("late"));
    }
}

const OPENING: &[(&str, &str)] = &[
    ("openat", "meta.db"),
    ("openat", "meta.db-wal"),
    ("openat", "segments"),
    ("fsync", "state.new"),
];

#[test]
fn an_error_while_a_volume_is_opened_changes_nothing() {
    if !can_inject() {
        return;
    }
    for left in [Left::Closed, Left::Open, Left::PoweredOff] {
        let faults = [
            (Fault::Once("EIO"), STORING),
            (Fault::Once("ENOSPC"), GROWING),
        ];
        SessionStart::new(Stage::Opening, left).run(OPENING, &faults);
    }
}

const WORKING: &[(&str, &str)] = &[
    ("pwrite64", "meta.db-wal"),
    ("fdatasync", "meta.db-wal"),
    ("pwritev", ".seg"),
    ("fdatasync", ".seg"),
    ("openat", ".seg"),
    ("pwrite64", "meta.db"),
    ("fdatasync", "meta.db"),
    ("fsync", "state.new"),
];

#[test]
fn a_broken_disk_stops_all_writing_and_loses_nothing() {
    if !can_inject() {
        return;
    }
    let faults = [
        (Fault::Once("EIO"), STORING),
        (Fault::FromThenOn("EIO"), LASTING),
    ];
    SessionStart::new(Stage::Working, Left::Closed).run(WORKING, &faults);
}

#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_space() {
    if !can_inject() {
        return;
    }
    let faults = [
        (Fault::Once("ENOSPC"), GROWING),
        (Fault::For(12, "ENOSPC"), LASTING),
        (Fault::FromThenOn("ENOSPC"), LASTING),
    ];
    SessionStart::new(Stage::Working, Left::Closed).run(WORKING, &faults);
}

#[test]
fn an_error_while_a_volume_is_closed_loses_nothing() {
    if !can_inject() {
        return;
    }
    let faults = [
        (Fault::Once("EIO"), STORING),
        (Fault::Once("ENOSPC"), GROWING),
    ];
    SessionStart::new(Stage::Closing, Left::Closed).run(&[("fdatasync", "meta.db-wal")], &faults);
}
