//! Each kind of damage to each kind of file, below FUSE and beside a server: it is reported or harms nothing, no file
//! has other bytes, and a repair ends in a sound volume.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cask::volume::{self, Depth, Error, Tuning, Volume};

use super::harness::{Sandbox, binary, run};
use super::home::{
    Home, SECOND_BYTES, Tree, assert_no_other_bytes, assert_sound, content, overwrite, place_of,
    tree, writable,
};

const PAGE: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Flip,
    Truncate,
    Delete,
    ZeroPage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    SegmentHeader,
    RecordHeader,
    SealedRecord,
    OpenSegment,
    Database { page: u64 },
    Log,
    Lock,
    Config,
}

const HARMS: [Harm; 4] = [Harm::Flip, Harm::Truncate, Harm::Delete, Harm::ZeroPage];
const TARGETS: [Target; 9] = [
    Target::SegmentHeader,
    Target::RecordHeader,
    Target::SealedRecord,
    Target::OpenSegment,
    Target::Database { page: 0 },
    Target::Database { page: 4 },
    Target::Log,
    Target::Lock,
    Target::Config,
];

/// What came of the cases.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    reported: usize,
    harmless: usize,
    repaired: usize,
    unsalvageable: usize,
}

/// The file of a volume that is harmed, and where.
fn place(dir: &Path, target: Target) -> (PathBuf, u64) {
    let sealed = dir.join("segments/00000001.seg");
    let second = || place_of(&sealed, &content(2, SECOND_BYTES));
    match target {
        Target::SegmentHeader => (sealed, 4),
        Target::RecordHeader => {
            let at = second() - 40;
            (sealed, at)
        }
        Target::SealedRecord => {
            let at = second() + 5_000;
            (sealed, at)
        }
        Target::OpenSegment => open_segment(dir),
        // The byte that says what kind of page it is.
        Target::Database { page: 0 } => (dir.join("meta.db"), 100),
        Target::Database { page } => (dir.join("meta.db"), page * PAGE as u64),
        Target::Log => (dir.join("meta.db-wal"), 5_000),
        Target::Lock => (dir.join("lock"), 0),
        Target::Config => (dir.join("volume.json"), 0),
    }
}

/// Where the file is that was written last.
fn open_segment(dir: &Path) -> (PathBuf, u64) {
    let late = content(5, 100_000);
    let segments = fs::read_dir(dir.join("segments")).unwrap();
    let mut paths: Vec<_> = segments.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let holds = |path: &&PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(64).any(|window| window == &late[..64])
    };
    let path = paths.iter().rev().find(holds).unwrap().clone();
    let at = place_of(&path, &late) + 5_000;
    (path, at)
}

fn inflict(dir: &Path, target: Target, harm: Harm) {
    let (path, at) = place(dir, target);
    let len = fs::metadata(&path).unwrap().len();
    match harm {
        Harm::Flip => {
            let byte = fs::read(&path)
                .unwrap()
                .get(usize::try_from(at).unwrap())
                .copied();
            overwrite(&path, &[byte.unwrap_or(0) ^ 0x5a], at);
        }
        Harm::Truncate => {
            let cut = match target {
                Target::Database { .. } => len / 2 / PAGE as u64 * PAGE as u64,
                Target::Config => len / 2,
                _ => at,
            };
            writable(&path).set_len(cut.min(len)).unwrap();
        }
        Harm::Delete => fs::remove_file(&path).unwrap(),
        Harm::ZeroPage => {
            let from = at / PAGE as u64 * PAGE as u64;
            let zeros = PAGE.min(usize::try_from(len.saturating_sub(from)).unwrap());
            overwrite(&path, &vec![0; zeros], from);
        }
    }
}

/// What a check of all data says, if it says anything.
fn check(dir: &Path) -> Vec<String> {
    let volume = match Volume::open_with(dir, Tuning::default()) {
        Ok(volume) => volume,
        Err(error) => return vec![error.to_string()],
    };
    let said = match volume.check(Depth::Data) {
        Ok(checked) => checked.problems,
        Err(error) => vec![error.to_string()],
    };
    // What is damaged cannot always be closed.
    drop(volume.close());
    said
}

fn read(dir: &Path) -> Tree {
    let opened = Volume::open_with(dir, Tuning::default());
    let found = opened.as_ref().map(tree).unwrap_or_default();
    drop(opened.map(Volume::close));
    found
}

fn is_segment(target: Target) -> bool {
    matches!(
        target,
        Target::SegmentHeader | Target::RecordHeader | Target::SealedRecord | Target::OpenSegment
    )
}

impl Tally {
    /// Notes what the check said; what it says nothing of must have harmed nothing.
    #[track_caller]
    fn note(&mut self, said: &[String], found: &Tree, before: &Tree, case: &str) {
        self.cases += 1;
        if said.is_empty() {
            self.harmless += 1;
            assert_eq!(found, before, "{case}: nothing was said");
        } else {
            self.reported += 1;
        }
    }

    /// Repairs, and looks at what came of it.
    #[track_caller]
    fn repair(&mut self, dir: &Path, before: &Tree, may_be_lost: bool, case: &str) {
        match volume::repair(dir, &|_| {}) {
            Ok(_) => {
                self.repaired += 1;
                assert_sound(dir);
                let found = read(dir);
                let whole = assert_no_other_bytes(&found, before, case);
                eprintln!("{case}: {whole} of {} files are whole", before.len());
            }
            Err(Error::Corrupt(what)) => {
                self.unsalvageable += 1;
                assert!(may_be_lost, "{case}: {what}");
                assert!(what.contains("nothing was changed"), "{what}");
                eprintln!("{case}: {what}");
            }
            Err(error) => panic!("{case}: {error}"),
        }
    }
}

/// A home to copy, and the tree of its volume.
fn template() -> (Home, Tree) {
    let home = Home::new();
    let before = read(&home.copied().dir());
    assert!(before.len() > 200 && before.values().all(Result::is_ok));
    (home, before)
}

#[test]
fn every_damage_below_fuse_is_reported_and_repaired() {
    let (home, before) = template();
    let mut tally = Tally::default();
    for target in TARGETS {
        for harm in HARMS {
            one_case(&home, &before, target, harm, &mut tally);
        }
    }
    eprintln!("not mounted: {tally:?}");
    assert_eq!(tally.unsalvageable, 2);
}

#[test]
fn a_flipped_byte_in_any_page_of_the_database_is_reported_and_repaired() {
    let (home, before) = template();
    let pages = fs::metadata(home.database()).unwrap().len() / PAGE as u64;
    let mut tally = Tally::default();
    for page in 0..pages {
        let target = Target::Database { page };
        one_case(&home, &before, target, Harm::Flip, &mut tally);
    }
    eprintln!("pages: {tally:?}");
    assert_eq!(tally.unsalvageable, 0);
}

/// Where in a page a byte is changed: its kind, what its cells are, the last bytes of cells, and its sum.
const PLACES: [u64; 6] = [0, 5, 17, 2_011, 4_087, 4_095];

#[test]
fn a_changed_byte_anywhere_in_the_database_is_reported() {
    let (home, before) = template();
    // Without a log: what is in it hides pages.
    home.open().close().unwrap();
    let database = fs::read(home.database()).unwrap();
    let free = u32::from_be_bytes(database[36..40].try_into().unwrap());
    let pages = (database.len() / PAGE) as u64;
    let mut silent = Vec::new();
    for (page, place) in (0..pages).flat_map(|page| PLACES.map(|place| (page, place))) {
        let at = page * PAGE as u64 + place;
        let byte = database[usize::try_from(at).unwrap()];
        overwrite(&home.database(), &[byte ^ 0x04], at);
        let said = check_as_it_is(&home);
        if said.is_empty() {
            silent.push(page);
        }
        overwrite(&home.database(), &database, 0);
    }
    silent.dedup();
    // Nobody reads a page that is free.
    assert!(silent.len() <= free as usize, "{silent:?}, {free} free");
    assert_eq!(check(&home.dir()), Vec::<String>::new());
    assert_eq!(read(&home.dir()), before);
}

/// A check that leaves the volume as it was.
fn check_as_it_is(home: &Home) -> Vec<String> {
    check(&home.copied().dir())
}

fn one_case(home: &Home, before: &Tree, target: Target, harm: Harm, tally: &mut Tally) {
    let case = format!("{harm:?} {target:?}");
    let home = home.copied();
    inflict(&home.dir(), target, harm);
    // A repair does not depend on a check before it.
    let unchecked = TARGETS.contains(&target).then(|| home.copied());
    let said = check(&home.dir());
    let found = read(&home.dir());
    let whole = assert_no_other_bytes(&found, before, &case);
    tally.note(&said, &found, before, &case);
    // Nobody reads what is in a lock; and a page that nothing uses may be anything.
    let may_be_harmless = matches!(target, Target::Lock | Target::Database { .. });
    assert!(!said.is_empty() || may_be_harmless, "{case}: nothing said");
    if is_segment(target) {
        let is_all = harm == Harm::Delete || harm == Harm::Truncate || harm == Harm::ZeroPage;
        assert!(is_all || whole >= before.len() - 2, "{case}: {whole}");
    }
    let is_gone = matches!(target, Target::Database { .. }) && harm == Harm::Delete;
    tally.repair(&home.dir(), before, is_gone, &case);
    if let Some(unchecked) = unchecked.filter(|_| !is_gone) {
        volume::repair(&unchecked.dir(), &|_| {}).unwrap();
        assert_sound(&unchecked.dir());
    }
    if is_segment(target) {
        // A name of the clone's own stays when that of the volume is gone.
        volume::repair(&home.clone_dir(), &|_| {}).unwrap();
        assert_sound(&home.clone_dir());
    }
}

#[test]
fn every_damage_beside_a_server_is_reported_and_repaired_when_it_is_unmounted() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let (home, before) = template();
    let mut tally = Tally::default();
    for target in TARGETS {
        for harm in HARMS {
            one_mounted_case(&sandbox, &home, &before, (target, harm), &mut tally);
        }
    }
    eprintln!("mounted: {tally:?}");
}

fn one_mounted_case(
    sandbox: &Sandbox,
    home: &Home,
    before: &Tree,
    (target, harm): (Target, Harm),
    tally: &mut Tally,
) {
    let case = format!("mounted, {harm:?} {target:?}");
    let home = home.copied();
    let dir = sandbox.dir().join("case");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(home.dir())
        .arg(&dir)
        .status();
    assert!(copied.unwrap().success());
    let mountpoint = sandbox.subdir("mnt");
    let cask = |args: &[&str]| run(Command::new(binary()).args(args), 60);
    let (text, at) = (dir.to_str().unwrap(), mountpoint.to_str().unwrap());
    let mounted = cask(&["mount", text, at]);
    assert!(mounted.status.success(), "{case}: {}", mounted.output());
    sandbox.note_connections();
    if target == Target::OpenSegment {
        // A segment that the server itself is filling.
        write_late(&mountpoint);
    }
    inflict(&dir, target, harm);
    let said = cask(&["check", "--read-data", text]);
    assert!(
        matches!(said.status.code(), Some(0 | 1 | 6)),
        "{case}: {}",
        said.output()
    );
    let refused = cask(&["check", "--repair", text]);
    assert_eq!(
        refused.status.code(),
        Some(5),
        "{case}: {}",
        refused.output()
    );
    assert!(
        refused.stderr.contains("unmount it everywhere first"),
        "{}",
        refused.stderr
    );
    let read_through = read_mount(&mountpoint);
    assert_no_other_bytes(&read_through, before, &case);
    let unmounted = run(Command::new("umount").arg(&mountpoint), 60);
    assert!(unmounted.status.success(), "{case}: {}", unmounted.output());
    wait_until_closed(&dir);
    let found = read(&dir);
    let said = if said.status.success() {
        check(&dir)
    } else {
        vec![said.stdout]
    };
    tally.note(
        &said,
        &without_late(found),
        &without_late(before.clone()),
        &case,
    );
    let is_gone = matches!(target, Target::Database { .. }) && harm == Harm::Delete;
    tally.repair(&dir, before, is_gone, &case);
    fs::remove_dir(&mountpoint).unwrap();
    fs::remove_dir_all(&dir).unwrap();
}

fn write_late(mountpoint: &Path) {
    use std::io::Write;
    let mut late = content(5, 100_000);
    late.rotate_left(64 * 64);
    let mut file = fs::File::create(mountpoint.join("late")).unwrap();
    file.write_all(&content(5, 100_000)).unwrap();
    file.sync_all().unwrap();
}

/// `late` may be in two segments, by what the case does.
fn without_late(mut tree: Tree) -> Tree {
    tree.remove("late");
    tree
}

fn wait_until_closed(dir: &Path) {
    let wait = std::time::Duration::from_millis(10);
    for _ in 0..3_000 {
        if !dir.join("control.sock").exists() && volume::store::DirLock::take(dir).is_ok() {
            return;
        }
        std::thread::sleep(wait);
    }
    panic!("{} is still open", dir.display());
}

/// The files that can be reached through the mount.
fn read_mount(top: &Path) -> Tree {
    let mut found = Tree::new();
    let mut left = vec![top.to_owned()];
    while let Some(dir) = left.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                _ => {
                    let path = entry.path();
                    let name = path
                        .strip_prefix(top)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned();
                    found.insert(name, fs::read(&path).map_err(|e| e.to_string()));
                }
            }
        }
    }
    found
}
