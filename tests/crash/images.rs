//! Images of the disk at random moments of a random history, each opened and compared with what was acknowledged.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use cask::types::{Caller, Ino, SetAttr};
use cask::volume::{Depth, Error, RenameMode, Volume};

use super::common::{make, name, write};
use super::disk::Disk;
use super::random::seed;
use super::trace::{Event, parse};
use super::{Home, Random};

/// A file's bytes, by name.
type Tree = BTreeMap<String, Vec<u8>>;

const CALLS: &str = "openat,open,creat,write,pwrite64,pwritev,pwritev2,ftruncate,fsync,fdatasync,mkdir,mkdirat,\
                     rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir";

fn setting(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

#[derive(Debug, Clone)]
enum Op {
    Make(String),
    Write(String, u64, Vec<u8>),
    Group(String, u64),
    /// All of one file into another, from there on.
    Copy(String, String, u64),
    Rename(String, String),
    Remove(String),
    Sync,
    Checkpoint,
    Collect,
}

/// The history of a seed: the same in the worker and in whoever judges it.
fn history(seed: u64, len: u64) -> Vec<Op> {
    let mut random = Random::new(seed);
    let mut tree = Tree::new();
    let mut ops = Vec::new();
    for number in 0..len {
        let op = next(&mut random, &tree, number);
        follow(&mut tree, &op);
        ops.push(op);
    }
    ops
}

fn next(random: &mut Random, tree: &Tree, number: u64) -> Op {
    let fresh = format!("file-{number}");
    let names: Vec<_> = tree.keys().cloned().collect();
    if names.is_empty() || (names.len() < 12 && random.below(6) == 0) {
        return Op::Make(fresh);
    }
    let mut pick = || names[usize::try_from(random.below(names.len() as u64)).unwrap()].clone();
    let (name, other) = (pick(), pick());
    match random.below(24) {
        0 => Op::Remove(name),
        1 => Op::Rename(name, fresh),
        2 if name != other => Op::Rename(name, other),
        3 => Op::Group(name, random.below(100_000)),
        4..=6 => Op::Sync,
        7 => Op::Checkpoint,
        8 => Op::Collect,
        // Equal ones come to share a chunk.
        9 => Op::Write(name, 0, vec![7; 3000]),
        10..=12 if name != other && !tree[&name].is_empty() => {
            let len = tree[&other].len() as u64;
            let to = if random.below(2) == 0 {
                len
            } else {
                random.below(60_000)
            };
            Op::Copy(name, other, to)
        }
        _ => {
            let (at, len) = (random.below(60_000), 1 + random.below(40_000));
            let bytes = (0..len).map(|i| u8::try_from((number + i / 64) % 251).unwrap() + 1);
            Op::Write(name, at, bytes.collect())
        }
    }
}

fn follow(tree: &mut Tree, op: &Op) {
    match op {
        Op::Make(name) => drop(tree.insert(name.clone(), Vec::new())),
        Op::Write(name, at, bytes) => {
            overwrite(tree.get_mut(name).unwrap(), *at, bytes);
        }
        Op::Copy(from, to, at) => {
            let bytes = tree[from].clone();
            overwrite(tree.get_mut(to).unwrap(), *at, &bytes);
        }
        Op::Group(name, len) => tree
            .get_mut(name)
            .unwrap()
            .resize(usize::try_from(*len).unwrap(), 0),
        Op::Rename(from, to) => {
            let file = tree.remove(from).unwrap();
            tree.insert(to.clone(), file);
        }
        Op::Remove(name) => drop(tree.remove(name)),
        Op::Sync | Op::Checkpoint | Op::Collect => {}
    }
}

fn overwrite(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = usize::try_from(at).unwrap() + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[end - bytes.len()..end].copy_from_slice(bytes);
}

fn perform(volume: &Volume, op: &Op) {
    let root = Caller::root();
    let ino = |called: &str| volume.lookup(Ino::ROOT, name(called)).unwrap().ino;
    match op {
        Op::Make(called) => drop(make(volume, called)),
        Op::Write(called, at, bytes) => write(volume, ino(called), *at, bytes).unwrap(),
        Op::Group(called, size) => {
            let size = SetAttr {
                size: Some(*size),
                ..SetAttr::default()
            };
            volume.setattr(&root, ino(called), &size).unwrap();
        }
        Op::Copy(from, to, at) => {
            let ends = ((ino(from), 0), (ino(to), *at));
            volume
                .copy_range(&root, ends.0, ends.1, u64::MAX >> 1)
                .unwrap();
        }
        Op::Rename(from, to) => {
            let (from, to) = ((Ino::ROOT, name(from)), (Ino::ROOT, name(to)));
            volume.rename(&root, from, to, RenameMode::Replace).unwrap();
        }
        Op::Remove(called) => volume
            .unlink(&Caller::root(), Ino::ROOT, name(called))
            .unwrap(),
        Op::Sync => volume.sync().unwrap(),
        Op::Checkpoint => volume.checkpoint().unwrap(),
        Op::Collect => drop(volume.collect().unwrap()),
    }
}

/// The process that strace watches: says before which step it is, and after each sync that it was done.
#[test]
#[ignore = "the worker of another test"]
fn worker() {
    use std::io::Write as _;
    let volume = Volume::open(Path::new(&std::env::var("CASK_CRASH_DIR").unwrap())).unwrap();
    let mut said = std::io::stdout();
    let steps = history(setting("CASK_CRASH_SEED", 1), setting("CASK_CRASH_LEN", 10));
    for (number, op) in steps.iter().enumerate() {
        said.write_all(format!("begin {number}\n").as_bytes())
            .unwrap();
        said.flush().unwrap();
        perform(&volume, op);
        if matches!(op, Op::Sync) {
            said.write_all(format!("synced {number}\n").as_bytes())
                .unwrap();
            said.flush().unwrap();
        }
    }
    volume.close().unwrap();
}

fn trace(dir: &Path, log: &Path, seed: u64, len: u64) {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-x", "-s", "4000000", "-e"]);
    strace.arg(format!("trace={CALLS}")).arg("-o").arg(log);
    strace.arg(std::env::current_exe().unwrap());
    strace.args(["--exact", "images::worker", "--ignored", "--nocapture"]);
    strace
        .env("CASK_CRASH_DIR", dir)
        .env("CASK_CRASH_SEED", seed.to_string());
    strace.env("CASK_CRASH_LEN", len.to_string());
    let output = strace.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn tree_of(volume: &Volume) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for entry in volume.list(Ino::ROOT, 0, 1000)? {
        let Ok(called) = std::str::from_utf8(entry.name.as_bytes()) else {
            continue;
        };
        if called == "." || called == ".." {
            continue;
        }
        let attr = volume.getattr(entry.attr.ino)?;
        let bytes = volume.read(entry.attr.ino, 0, usize::try_from(attr.size).unwrap())?;
        tree.insert(called.to_owned(), bytes);
    }
    Ok(tree)
}

/// Opens an image; its tree must be one after a step from the last synced one on.
fn judge(image: &Path, trees: &[Tree], from: usize, to: usize) -> Result<(), String> {
    let volume = Volume::open(image).map_err(|e| format!("it cannot be opened: {e:?}"))?;
    let checked = volume.check(Depth::Data).map_err(|e| e.to_string())?;
    if !checked.problems.is_empty() {
        return Err(format!("the check finds {:#?}", checked.problems));
    }
    let tree = tree_of(&volume).map_err(|e| format!("its tree cannot be read: {e:?}"))?;
    drop(volume);
    if trees[from..=to].contains(&tree) {
        return Ok(());
    }
    let shape = |tree: &Tree| {
        tree.iter()
            .map(|(name, bytes)| (name.clone(), bytes.len()))
            .collect::<Vec<_>>()
    };
    let earlier = trees[..from].iter().rposition(|other| *other == tree);
    Err(format!(
        "its tree {:?} is none of steps {from} to {to}, {earlier:?} is; the first: {:?}",
        shape(&tree),
        shape(&trees[from])
    ))
}

/// Calls `look` at random moments with the disk, the last synced step and the last step that began.
fn walk(
    events: &[Event],
    mut disk: Disk,
    images: u64,
    random: &mut Random,
    mut look: impl FnMut(&Disk, usize, usize, &mut Random),
) {
    let (mut synced, mut begun) = (0, 0);
    let mut started = false;
    for (number, event) in events.iter().enumerate() {
        disk.apply(number, event);
        if let Event::Said { text } = event {
            // The test runner says things of its own.
            let Some((word, step)) = text.trim().rsplit_once(' ') else {
                continue;
            };
            let Ok(step) = step.parse::<usize>() else {
                continue;
            };
            if word.ends_with("begin") {
                started = true;
                begun = step;
            } else if word.ends_with("synced") {
                synced = step;
            }
        }
        if started && random.below(events.len() as u64) < images {
            look(&disk, synced, begun, random);
        }
    }
}

#[test]
fn what_a_power_cut_leaves_opens_and_has_what_was_synced() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs strace");
        eprintln!("there is no strace: nothing was tested");
        return;
    }
    let (seed, rounds) = (seed(), setting("CASK_CRASH_ROUNDS", 3));
    let images = setting("CASK_CRASH_IMAGES", 110);
    println!("seed {seed}: {rounds} histories, about {images} images each");
    let mut opened = 0;
    for round in 0..rounds {
        let home = Home::new();
        home.open().close().unwrap();
        let before = Disk::of(&home.dir());
        let (seed, len) = (seed + round, 150);
        let log = home.dir().with_file_name("strace");
        trace(&home.dir(), &log, seed, len);
        let events = parse(&fs::read_to_string(&log).unwrap(), &home.dir());
        let mut trees = vec![Tree::new()];
        for op in history(seed, len) {
            let mut tree = trees.last().unwrap().clone();
            follow(&mut tree, &op);
            trees.push(tree);
        }
        let mut random = Random::new(seed);
        walk(
            &events,
            before,
            images,
            &mut random,
            |disk, synced, begun, random| {
                let image = tempfile::tempdir().unwrap();
                let dir = image.path().join("v");
                let drawn = random.next();
                disk.image(&home.dir(), &dir, random);
                super::reboot(&dir);
                // Tree `n` is that after `n` steps; a sync that was done holds its own step.
                if let Err(why) = judge(&dir, &trees, synced, begun + 1) {
                    panic!(
                        "history {seed}, state {drawn:#x}, synced {synced}, begun {begun}: {why}"
                    );
                }
                opened += 1;
            },
        );
    }
    println!("{opened} images opened");
    assert!(opened >= rounds * images / 2, "{opened} images only");
}
