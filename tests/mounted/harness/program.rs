//! Running programs so that none can hang a test: a time limit on each, killed when the test ends.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// What a program did.
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Both outputs, for a message.
    pub(crate) fn output(&self) -> String {
        format!(
            "{}\n--- stdout\n{}--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// A process that is killed with its whole group when this goes.
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts `command` in a process group of its own.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The pipe that the command was given.
    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.0.stdout.take().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A process that has ended in the meantime is no failure.
        rustix::process::kill_process(self.as_pid(), signal).ok();
    }

    fn as_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed()).unwrap()
    }

    /// Waits for the end, at most `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if start.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5).min(limit / 50));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        rustix::process::kill_process_group(self.as_pid(), Signal::KILL).ok();
        // A process stuck on a dead mount cannot be reaped; the test shall not hang with it.
        self.wait(Duration::from_secs(10));
    }
}

/// Runs `command` to its end. Panics when that takes longer than `limit_secs`.
///
/// The outputs go through files: a daemon that the program leaves behind may hold them open, which would
/// keep a pipe from ending.
#[track_caller]
pub(crate) fn run(command: &mut Command, limit_secs: u64) -> Done {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap());
    let mut guard = Guard::spawn(command);
    let status = guard.wait(Duration::from_secs(limit_secs));
    let ended = status.is_some();
    drop(guard);
    let status = status.unwrap_or_else(|| ExitStatus::from_raw(9));
    let done = Done {
        status,
        stdout: contents(&mut out),
        stderr: contents(&mut err),
    };
    assert!(
        ended,
        "{command:?} took longer than {limit_secs} s: {}",
        done.output()
    );
    done
}

/// As [`run`]; panics unless the program succeeds. Returns its standard output.
#[track_caller]
pub(crate) fn run_ok(command: &mut Command, limit_secs: u64) -> String {
    let done = run(command, limit_secs);
    assert!(done.status.success(), "{command:?}: {}", done.output());
    done.stdout
}

/// Runs a shell script that must succeed; `$1`, `$2` ... are `args`. Returns its standard output.
#[track_caller]
pub(crate) fn sh(script: &str, args: &[&std::path::Path]) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(args);
    run_ok(&mut command, super::short_or_long(120, 1800))
}

fn contents(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
