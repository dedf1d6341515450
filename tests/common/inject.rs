//! Faults in the system calls of a child process: each call that a stretch of it makes can end the process, or fail.
//!
//! The child is a test of the same binary (`#[ignore]`d, so that it runs only when it is asked for), which strace
//! watches. What lies between its [`begin`] and [`end`] is the stretch. strace counts the calls of each name and
//! thread by themselves, so a point is a name and a number in the thread that marked the stretch; other threads meet
//! the fault at their own call of that number, if they come to it.
#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "no test binary needs all of it; a test may tell"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What changes files and names, or makes that durable.
pub(crate) const CHANGING: &[&str] = &[
    "openat",
    "write",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
];
/// Directories that are never there: to remove one marks a place in the log.
const BEGIN: &str = "/cask-inject/begin";
const END: &str = "/cask-inject/end";

/// In the child: the stretch begins.
pub(crate) fn begin() {
    fs::remove_dir(BEGIN).unwrap_err();
}

/// In the child: the stretch is over.
pub(crate) fn end() {
    fs::remove_dir(END).unwrap_err();
}

/// One system call of the stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) call: String,
    /// The how many-th of this name in its thread, from 1.
    pub(crate) number: usize,
    /// The file that it is about, if strace knows.
    pub(crate) path: Option<PathBuf>,
}

/// What is to happen at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends there, as by `kill -9`; the call has no effect.
    Kill,
    /// That call fails, with an error of this name.
    Once(&'static str),
    /// It and all that come later do.
    FromThenOn(&'static str),
    /// So many do, and then no more.
    For(usize, &'static str),
}

/// The ignored test that is the child, and what it finds in its environment.
pub(crate) struct Child<'c> {
    pub(crate) test: &'c str,
    pub(crate) env: Vec<(&'c str, String)>,
}

/// Whether strace is there, which CI must have.
pub(crate) fn can_inject() -> bool {
    if Command::new("strace").arg("-V").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs strace");
    eprintln!("there is no strace: nothing was tested");
    false
}

impl Child<'_> {
    /// Runs the child without a fault: the calls of these names in its stretch, in order.
    pub(crate) fn points(&self, calls: &[&str], log: &Path) -> Vec<Point> {
        let mut strace = self.strace(calls, log);
        let output = self.run(&mut strace);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        stretch(&fs::read_to_string(log).unwrap())
    }

    /// Runs the child with a fault.
    pub(crate) fn with(&self, point: &Point, fault: Fault, log: &Path) -> Output {
        let mut strace = self.strace(&[&point.call], log);
        let (what, number) = how(point.number, fault);
        strace.arg("-e");
        strace.arg(format!("inject={}:{what}:when={number}", point.call));
        self.run(&mut strace)
    }

    fn strace(&self, calls: &[&str], log: &Path) -> Command {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-qq", "-s", "4096", "-e"]);
        // A question mark: not every machine has every call.
        let calls: Vec<_> = calls.iter().map(|call| format!("?{call}")).collect();
        strace.arg(format!("trace=rmdir,?unlinkat,{}", calls.join(",")));
        strace.arg("-o").arg(log);
        strace
    }

    fn run(&self, strace: &mut Command) -> Output {
        strace.arg(std::env::current_exe().unwrap());
        strace.args(["--exact", self.test, "--ignored", "--nocapture"]);
        strace.envs(self.env.iter().map(|(key, value)| (key, value)));
        strace.output().unwrap()
    }
}

/// What strace is to do, and at which calls (strace(1), "Tampering").
fn how(number: usize, fault: Fault) -> (String, String) {
    let fail = |error| format!("error={error}");
    match fault {
        Fault::Kill => ("signal=KILL".to_owned(), number.to_string()),
        Fault::Once(error) => (fail(error), number.to_string()),
        Fault::FromThenOn(error) => (fail(error), format!("{number}+")),
        Fault::For(count, error) => (fail(error), format!("{number}..{}", number + count - 1)),
    }
}

/// A call that failed and would not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) call: String,
    pub(crate) path: Option<PathBuf>,
    /// Whether it was before the end of the stretch, on whatever thread.
    pub(crate) is_in_time: bool,
}

/// Those of a run, by its log.
pub(crate) fn injected(log: &Path) -> Vec<Injected> {
    let log = fs::read_to_string(log).unwrap();
    let end = log.find(END).unwrap_or(log.len());
    let (mut found, mut at) = (Vec::new(), 0);
    let mut begun = std::collections::HashMap::new();
    for line in log.lines() {
        at += line.len();
        let thread = line.split(' ').next();
        if let Some((_, call)) = call_of(line) {
            begun.insert(thread, call);
        }
        // Where threads call at once a line tells only the end of a call, whose begin is one before it.
        if line.ends_with("(INJECTED)")
            && let Some(call) = begun.get(&thread)
        {
            found.push(Injected {
                call: call.split('(').next().unwrap().to_owned(),
                path: path_of(call),
                is_in_time: at < end,
            });
        }
    }
    found
}

/// The calls between the marks, of the thread that made those.
fn stretch(log: &str) -> Vec<Point> {
    let calls: Vec<_> = log.lines().filter_map(call_of).collect();
    let marks = |mark: &str| calls.iter().position(|(_, call)| call.contains(mark));
    let (first, last) = (marks(BEGIN).unwrap(), marks(END).unwrap());
    let thread = calls[first].0;
    let mut counts = std::collections::HashMap::new();
    let mut points = Vec::new();
    for (at, (_, call)) in calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.0 == thread)
    {
        let name = call.split('(').next().unwrap();
        let number: &mut usize = counts.entry(name).or_default();
        *number += 1;
        if (first + 1..last).contains(&at) {
            let (call, number, path) = (name.to_owned(), *number, path_of(call));
            points.push(Point { call, number, path });
        }
    }
    points
}

/// The thread and the call of a line, but of one that only tells the end of a call.
fn call_of(line: &str) -> Option<(&str, &str)> {
    let (thread, call) = line.split_once(' ')?;
    let call = call.trim_start();
    (call.contains('(') && !call.starts_with(['<', '+', '-'])).then_some((thread, call))
}

/// The descriptor's file as `-y` shows it, or else the last string, which is a new or only name.
fn path_of(call: &str) -> Option<PathBuf> {
    let arguments = call.split_once('(')?.1;
    let name = arguments.rsplit('"').nth(1);
    let file = || arguments.split_once('<')?.1.split('>').next();
    let is_data = call.starts_with("write") || call.starts_with("pwrite");
    let found = if is_data { file() } else { name.or_else(file) };
    found.map(PathBuf::from)
}
