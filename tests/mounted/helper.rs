//! Worker processes: this test binary started again, in whatever mount namespace is wanted.
//!
//! A worker runs one action of a suite by its name; what it finds wrong is a panic, so its exit status
//! tells. It is an ignored test, since a test binary has no other entry.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Guard, budget_secs};

const ACTION: &str = "CASK_TEST_WORKER";
const ARGUMENTS: &str = "CASK_TEST_WORKER_ARGS";
const SEPARATOR: char = '\u{1f}';

/// A new namespace begins with copies of all mounts, also of tests that run elsewhere: a copy would keep
/// their volumes open.
const FORGET_MOUNTS: &str = "
    awk '$3 ~ /^fuse/ && $2 ~ /\\/cask-test-/ {print $2}' /proc/self/mounts | xargs -r umount -l
    echo ready; exec sleep 100000";

/// A mount namespace of its own, kept by a process that sleeps.
pub(crate) struct Namespace(Guard);

impl Namespace {
    /// Makes a namespace that no mount or unmount elsewhere reaches.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            FORGET_MOUNTS,
        ]);
        let mut guard = Guard::spawn(command.stdout(Stdio::piped()));
        let mut ready = [0; 6];
        guard.stdout().read_exact(&mut ready).unwrap();
        Self(guard)
    }

    /// `path` as seen inside, usable from outside.
    pub(crate) fn path(&self, path: &Path) -> std::path::PathBuf {
        let root = format!("/proc/{}/root", self.0.pid());
        Path::new(&root).join(path.strip_prefix("/").unwrap())
    }

    /// `command`, run inside.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--mount=/proc/{}/ns/mnt", self.0.pid()));
        inside
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        inside
    }
}

/// Starts `action` as another process, in `namespace` if given.
#[track_caller]
pub(crate) fn spawn(namespace: Option<&Namespace>, action: &str, arguments: &[&str]) -> Guard {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "helper::worker",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env(ACTION, action)
        .env(ARGUMENTS, arguments.join(&SEPARATOR.to_string()));
    if let Some(namespace) = namespace {
        command = namespace.command(&command);
    }
    Guard::spawn(command.stdout(Stdio::null()))
}

/// Waits for workers; each must succeed.
#[track_caller]
pub(crate) fn join(workers: Vec<Guard>) {
    for mut worker in workers {
        let status = worker.wait(budget_secs(100, 1200));
        let status = status.unwrap_or_else(|| panic!("a worker does not end"));
        assert!(status.success(), "a worker failed: {status}");
    }
}

#[test]
#[ignore = "the entry of worker processes, nothing to run by itself"]
fn worker() {
    let Ok(action) = std::env::var(ACTION) else {
        return;
    };
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    let arguments: Vec<_> = arguments.split(SEPARATOR).collect();
    crate::sharing::worker(&action, &arguments);
}
