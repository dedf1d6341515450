//! An end or a full disk at any system call of the collector and of settling: nothing is lost, and the next
//! collection works.
#![expect(clippy::print_stdout, reason = "a test may tell")]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::*;
use crate::inject::{CHANGING, Child, Fault, Point, begin, can_inject, end};
use cask::volume::Depth;

const DIR: &str = "CASK_FAULTS_DIR";
/// How long one test may take when it need not try every point.
const BUDGET: Duration = Duration::from_secs(6);

/// What a volume holds: bytes by name, and what names the snapshot sees.
type Tree = BTreeMap<String, Vec<u8>>;

/// A volume of several segments that are dead in part, with files to settle and equal small ones, closed.
struct Template {
    home: Home,
    tree: Tree,
}

impl Template {
    fn new() -> Self {
        let home = Home::new();
        let mut tree = Tree::new();
        for round in 0..3_u64 {
            // Each has a segment of its own.
            let volume = home.open();
            for i in 0..4 {
                let called = format!("{round}-{i}");
                put(
                    &volume,
                    &mut tree,
                    &called,
                    &noise(round * 10 + i, 20_000),
                    20_000,
                );
            }
            for old in (0..round).flat_map(|old| [format!("{old}-0"), format!("{old}-1")]) {
                if tree.remove(&old).is_some() {
                    volume
                        .unlink(&cask::types::Caller::root(), Ino::ROOT, name(&old))
                        .unwrap();
                }
            }
            put(
                &volume,
                &mut tree,
                &format!("pieces-{round}"),
                &noise(round + 100, 24_576),
                4096,
            );
            put(
                &volume,
                &mut tree,
                &format!("small-{round}"),
                &noise(200, 3000),
                3000,
            );
            volume.close().unwrap();
        }
        Self { home, tree }
    }

    /// A copy, in which the reserve is a hole until it is opened.
    fn copy(&self) -> Home {
        let copy = Home(tempfile::tempdir().unwrap());
        let mut cp = Command::new("cp");
        cp.args(["-r", "--sparse=always"]);
        let status = cp.arg(self.home.dir("v")).arg(copy.dir("v")).status();
        assert!(status.unwrap().success());
        copy
    }
}

fn put(volume: &Volume, tree: &mut Tree, called: &str, bytes: &[u8], piece: usize) {
    let file = make(volume, called);
    for (i, part) in bytes.chunks(piece).enumerate() {
        write(volume, file.ino, (i * piece) as u64, part).unwrap();
    }
    tree.insert(called.to_owned(), bytes.to_vec());
}

fn tree_of(volume: &Volume) -> Tree {
    let entries = volume.list(Ino::ROOT, 0, 1000).unwrap().into_iter();
    let files = entries.filter(|entry| !entry.name.as_bytes().starts_with(b"."));
    files
        .map(|entry| {
            let called = String::from_utf8(entry.name.as_bytes().to_vec()).unwrap();
            let bytes = volume.read(entry.attr.ino, 0, 1 << 20).unwrap();
            (called, bytes)
        })
        .collect()
}

/// The process that meets the faults. What it read before it reads after, whatever became of the collection.
#[test]
#[ignore = "the child of other tests"]
fn child() {
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let volume = Volume::open_with(&dir, Tuning::default()).unwrap();
    let before = tree_of(&volume);
    begin();
    let collected = volume.collect();
    end();
    println!("collected: {collected:?}");
    assert!(tree_of(&volume) == before, "it reads otherwise");
    println!("closed: {:?}", volume.close());
}

/// Opens what the child left, and has it collected once more.
fn judge(template: &Template, left: &Home) {
    let volume = left.open();
    assert_sound(&volume);
    assert!(tree_of(&volume) == template.tree, "the content is another");
    assert_eq!(volume.check(Depth::Data).unwrap().problems, [""; 0]);
    let late = make(&volume, "late");
    write(&volume, late.ino, 0, &noise(999, 50_000)).unwrap();
    volume.collect().unwrap();
    let usage = volume.usage().unwrap();
    assert!(usage.dead_bytes < 2 * MIB, "{usage:?}");
    assert_eq!(
        volume.read(late.ino, 0, 50_000).unwrap(),
        noise(999, 50_000)
    );
    assert_sound(&volume);
    volume.close().unwrap();
}

/// What the collector and settling do, in order, by the call and the file that show it.
const STEPS: [(&str, &str, &str); 5] = [
    ("copies are appended", "pwritev", ".seg"),
    ("they are made durable", "fdatasync", ".seg"),
    ("rows name them", "pwrite64", "meta.db-wal"),
    ("the database is brought up to date", "pwrite64", "meta.db"),
    ("segments are removed", "unlink", ".seg"),
];

/// The points to try, the first of each step foremost, the rest as the seed has them.
fn in_turn(points: &[Point], seed: u64) -> Vec<Point> {
    let shows = |point: &Point, call: &str, end: &str| {
        let path = point.path.as_ref().map(|path| path.to_string_lossy());
        point.call.starts_with(call) && path.is_some_and(|path| path.ends_with(end))
    };
    let mut order = Vec::new();
    let mut last = 0;
    for (step, call, end) in STEPS {
        let found = points.iter().position(|point| shows(point, call, end));
        let found = found.unwrap_or_else(|| panic!("no call shows that {step}: {points:#?}"));
        assert!(found > last, "{step} too early: {points:#?}");
        (last, _) = (found, order.push(points[found].clone()));
    }
    let mut rest: Vec<_> = points
        .iter()
        .filter(|point| !order.contains(point))
        .collect();
    rest.sort_by_key(|point| {
        let number = u64::from(u32::try_from(point.number).unwrap());
        let length = point.call.len() as u64;
        (seed ^ number << 8 ^ length).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    });
    order.extend(rest.into_iter().cloned());
    order
}

/// Has the child meet each fault at each point that it is for, as far as there is time.
fn meet(faults: &[(Fault, &[&str])]) {
    if !can_inject() {
        return;
    }
    let seed = std::env::var("CASK_TEST_SEED").ok();
    let seed = seed
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_261_124);
    let template = Template::new();
    let whole = template.copy();
    let points = child_of(&whole).points(CHANGING, &whole.dir("log"));
    assert_settled(&template, &whole);
    judge(&template, &whole);
    let mut left_out = 0;
    let since = Instant::now();
    for point in in_turn(&points, seed) {
        for (fault, _) in faults
            .iter()
            .filter(|(_, calls)| calls.contains(&&*point.call))
        {
            if !is_long() && since.elapsed() > BUDGET {
                left_out += 1;
                continue;
            }
            println!("seed {seed}: {fault:?} at {point:?}");
            meet_one(&template, &point, *fault);
        }
    }
    println!(
        "seed {seed}: {} calls, {left_out} faults were left out for want of time",
        points.len()
    );
}

/// What the faults meet has both parts of settling in it.
fn assert_settled(template: &Template, whole: &Home) {
    let volume = whole.open();
    let usage = volume.usage().unwrap();
    let files = template.tree.len() as u64;
    // The three small files are equal.
    assert_eq!(
        (usage.extents, usage.live_chunks),
        (files, files - 2),
        "{usage:?}"
    );
    volume.close().unwrap();
}

fn child_of(home: &Home) -> Child<'static> {
    Child {
        test: "faults::child",
        env: vec![(DIR, home.dir("v").to_str().unwrap().to_owned())],
    }
}

fn meet_one(template: &Template, point: &Point, fault: Fault) {
    let left = template.copy();
    let output = child_of(&left).with(point, fault, &left.dir("log"));
    let as_expected = match fault {
        Fault::Kill => output.status.signal() == Some(9),
        Fault::Once(_) | Fault::FromThenOn(_) | Fault::For(..) => output.status.success(),
    };
    assert!(
        as_expected,
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    judge(template, &left);
}

#[test]
fn an_end_at_any_step_of_a_collection_loses_nothing() {
    meet(&[(Fault::Kill, CHANGING)]);
}

#[test]
fn a_full_disk_at_any_step_of_a_collection_loses_nothing() {
    let growing = &[
        "pwrite64",
        "pwritev",
        "ftruncate",
        "fallocate",
        "fsync",
        "fdatasync",
        "rename",
    ][..];
    // A child that can neither open nor write anything can tell nothing.
    let once = [&["openat", "write"], growing].concat();
    meet(&[
        (Fault::Once("ENOSPC"), &once),
        (Fault::FromThenOn("ENOSPC"), growing),
    ]);
}
