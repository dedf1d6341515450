//! The child that meets the faults, what it notes of them, and what may be in that.
//!
//! It notes by writev(2), which no test lets fail.

use std::fs::{self, File};
use std::io::{IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use cask::volume::{Error, Result};

use crate::inject::{Fault, Injected, begin, end};
use crate::workload::{BEFORE, LATE, STEPS, Step, Tree};
use crate::{DIR, Home, open};

pub(crate) const JOURNAL: &str = "CASK_IO_JOURNAL";
pub(crate) const STAGE: &str = "CASK_IO_STAGE";
/// The last thing that it notes.
const END: &str = "end";
/// How often the child tries to go on once the workload is over: a full disk has space again by then.
const TRIES: usize = 40;

struct Pen(File);

impl Pen {
    fn note(&mut self, what: &str, result: &Result<()>) {
        let line = format!("{what} {}\n", word(result));
        let written = self.0.write_vectored(&[IoSlice::new(line.as_bytes())]);
        assert_eq!(written.unwrap(), line.len());
    }
}

/// As `fuse/errno.rs` has it, where that is clear.
fn word(result: &Result<()>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(Error::NoSpace) => "ENOSPC".to_owned(),
        Err(Error::ReadOnly) => "EROFS".to_owned(),
        Err(Error::Storage { .. }) => "EIO".to_owned(),
        Err(Error::NotFound) => "ENOENT".to_owned(),
        Err(error) => format!("{error:?}").replace(char::is_whitespace, "_"),
    }
}

#[test]
#[ignore = "the child of other tests"]
fn child() {
    let of = |key| PathBuf::from(std::env::var_os(key).unwrap());
    let mut pen = Pen(File::create(of(JOURNAL)).unwrap());
    let stage = std::env::var(STAGE).unwrap();
    // What the test's frame writes, on another thread, has lower numbers than what the volume does then.
    let mut nowhere = File::options().write(true).open("/dev/null").unwrap();
    (0..32).for_each(|_| nowhere.write_all(b"-").unwrap());
    match &*stage {
        "Opening" => opening(&of(DIR), &mut pen),
        "Working" => working(&of(DIR), &mut pen),
        _ => closing(&of(DIR), &mut pen),
    }
    pen.note(END, &Ok(()));
}

fn opening(dir: &Path, pen: &mut Pen) {
    begin();
    let opened = open(dir);
    end();
    match opened {
        Ok(volume) => {
            assert!(Tree::of(&volume) == Tree::after(BEFORE));
            pen.note("open", &Ok(()));
            pen.note("close", &volume.close());
        }
        Err(error) => pen.note("open", &Err(error)),
    }
}

fn working(dir: &Path, pen: &mut Pen) {
    let volume = open(dir).unwrap();
    let mut tree = Tree::after(BEFORE);
    begin();
    for (i, &step) in STEPS.iter().enumerate() {
        let result = step.take(&volume);
        if result.is_ok() {
            tree.apply(step);
        }
        pen.note(&i.to_string(), &result);
    }
    end();
    let found = Tree::of(&volume);
    assert!(found.files == tree.files, "it reads otherwise");
    for _ in 0..TRIES {
        let late = LATE.iter().try_for_each(|step| match step.take(&volume) {
            Err(Error::Exists) => Ok(()),
            result => result,
        });
        pen.note("late", &late);
        if !matches!(late, Err(Error::NoSpace)) {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    pen.note("close", &volume.close());
}

fn closing(dir: &Path, pen: &mut Pen) {
    let volume = open(dir).unwrap();
    for (i, step) in STEPS.iter().enumerate() {
        pen.note(&i.to_string(), &step.take(&volume));
    }
    begin();
    let closed = volume.close();
    end();
    pen.note("close", &closed);
}

/// What faults may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    words: &'static [&'static str],
    /// How the last attempt after the workload ends; `None` where either is right.
    goes_on: Option<bool>,
    /// Nothing failed any more after the stretch.
    is_over: bool,
}

pub(crate) const CLEAN: Outcome = Outcome {
    words: &["ok"],
    goes_on: Some(true),
    is_over: true,
};

impl Outcome {
    /// Of an error, and the calls that it was met at.
    pub(crate) fn of(error: &str, fault: Fault, met: &[Injected]) -> Self {
        let is_full = error == "ENOSPC";
        let may_stop = met.iter().any(may_stop);
        let stops = met.iter().any(|met| met.is_in_time && stops(met, is_full));
        let words = match (is_full, may_stop) {
            _ if met.is_empty() => CLEAN.words,
            (true, false) => &["ok", "ENOSPC"],
            (true, true) => &["ok", "ENOSPC", "EIO", "EROFS"],
            (false, _) => &["ok", "EIO", "EROFS"],
        };
        let is_lasting =
            matches!(fault, Fault::FromThenOn(_)) || met.iter().any(|met| !met.is_in_time);
        let goes_on = match (stops, may_stop || is_lasting) {
            (true, _) => Some(false),
            (false, true) => None,
            (false, false) => Some(true),
        };
        let is_over = met.iter().all(|met| met.is_in_time);
        Self {
            words,
            goes_on,
            is_over,
        }
    }
}

/// Whether it is part of a commit, or makes durable what was acknowledged. What a sync says of a full disk is that
/// something is lost; what a write says is that it was not done.
fn stops(met: &Injected, is_full: bool) -> bool {
    match &*met.call {
        "pwrite64" => !is_full && is_of(met, &["meta.db", "meta.db-wal"]),
        "fsync" | "fdatasync" => is_of(met, &["meta.db", "meta.db-wal", ".seg", "segments"]),
        _ => false,
    }
}

/// SQLite says no more than that it failed; neither cuts off nor opens what it has for want of space.
fn may_stop(met: &Injected) -> bool {
    let is_plain = ["openat", "ftruncate", "fsync", "fdatasync"].contains(&&*met.call);
    let files = ["meta.db", "meta.db-wal", "meta.db-shm", ".seg", "segments"];
    is_plain && is_of(met, &files)
}

fn is_of(met: &Injected, ends: &[&str]) -> bool {
    let path = met.path.as_ref().map(|path| path.to_string_lossy());
    path.is_some_and(|path| ends.iter().any(|end| path.ends_with(end)))
}

/// What a child noted.
pub(crate) struct Journal(Vec<(String, String)>);

impl Journal {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let split = |line: &str| {
            let (what, word) = line.split_once(' ').unwrap();
            (what.to_owned(), word.to_owned())
        };
        Self(text.lines().map(split).collect())
    }

    /// Whether the child came to its end.
    pub(crate) fn is_whole(&self) -> bool {
        self.last(END).is_some()
    }

    /// Judges it, and what is left in `home`.
    pub(crate) fn judge(&self, expected: Outcome, home: &Home) {
        let (mut tree, mut doubtful) = (Tree::after(BEFORE), Vec::new());
        for (what, word) in &self.0 {
            let step = what.parse::<usize>().ok().map(|at| STEPS[at]);
            let is_fitting = expected.words.contains(&&**word) || self.is_result(word);
            assert!(is_fitting, "{what} says {word}: {:?}", self.0);
            match step {
                Some(step) if word == "ok" => assert!(tree.apply(step), "{step:?}: {:?}", self.0),
                Some(step) if step.may_be_done_and_fail() => doubtful.push((step, tree.clone())),
                Some(_) | None => {}
            }
        }
        self.judge_end(expected);
        let is_late_done = self.last("late") == Some("ok");
        println!("{:?}", self.brief());
        home.judge(|found| may_be(found, &tree, &doubtful, is_late_done));
    }

    /// A step that needs one that failed.
    fn is_result(&self, word: &str) -> bool {
        let has_failed = self
            .0
            .iter()
            .any(|(_, word)| word != "ok" && word != "ENOENT");
        word == "ENOENT" && has_failed
    }

    fn last(&self, what: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(noted, _)| noted == what);
        found.map(|(_, word)| &**word)
    }

    fn judge_end(&self, expected: Outcome) {
        if self.last("open") == Some("ok") && expected.is_over {
            assert_eq!(
                self.last("close"),
                Some("ok"),
                "what was opened does not work"
            );
        }
        if let (Some(goes_on), Some(late)) = (expected.goes_on, self.last("late")) {
            assert_eq!(late == "ok", goes_on, "at last: {:?}", self.0);
        }
    }

    /// All that is not `ok`.
    fn brief(&self) -> Vec<String> {
        let failed = self.0.iter().filter(|(_, word)| word != "ok");
        failed
            .map(|(what, word)| format!("{what}:{word}"))
            .collect()
    }
}

/// Whether `found` is `tree`, or with what failed and may yet be done.
fn may_be(found: &Tree, tree: &Tree, doubtful: &[(Step, Tree)], is_late_done: bool) -> bool {
    let mut found = found.clone();
    if found.files.remove("late").is_none() && is_late_done {
        return false;
    }
    let mut tree = tree.clone();
    for (step, before) in doubtful {
        let mut after = before.clone();
        after.apply(*step);
        for called in ["before", "one", "two"] {
            let (was, is) = (before.snapshots.get(called), after.snapshots.get(called));
            if was != is && found.snapshots.get(called) == is {
                match is {
                    Some(files) => tree.snapshots.insert(called.to_owned(), files.clone()),
                    None => tree.snapshots.remove(called),
                };
            }
        }
    }
    found == tree
}
