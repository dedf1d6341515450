//! `cask afterwards`, which `cask snapshot` starts before it stops anything; not for people.
//!
//! Whatever happens to that command, a kill included, the containers that it paused go on, and what the user wants done
//! afterwards is done: this is told who is about to be paused, and acts when its standard input ends. Until then it keeps
//! other commands from pausing: they would take what this has paused for paused by its user, and it would go on too early.

use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::{CliError, Kind, Result, output};
use crate::commands::words::harmless;
use crate::docker::engine;

/// Wait until standard input ends, and then have the containers go on that it names
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The socket of their engine
    #[arg(long, value_name = "PATH")]
    engine: Option<PathBuf>,
    /// The file that is locked while containers are paused
    #[arg(long, value_name = "PATH")]
    lock: Option<PathBuf>,
    /// What the shell is to do when it is asked for
    #[arg(long, value_name = "COMMAND")]
    before: Option<String>,
    /// What the shell is to do in the end
    #[arg(long, value_name = "COMMAND")]
    after: Option<String>,
}

/// Asks for what is to be done before.
const BEFORE: &str = "!";
/// Asks for nobody else to pause from now on.
const ALONE: &str = "=";
/// Answers that somebody else does all the time.
const BUSY: &str = "~";

/// How long others are waited for: as long as a slow disk needs to take what a volume's programs have written.
const WAIT_MAX: Duration = Duration::from_secs(60);
const WAIT_STEP: Duration = Duration::from_millis(20);

/// What the process does.
pub(in crate::cli) fn run(arguments: &Arguments) -> Result<()> {
    outlive_signals().map_err(cannot)?;
    let (mut paused, mut alone) = (Vec::new(), None);
    for line in io::stdin().lock().lines() {
        // As good as its end.
        let Ok(line) = line else { break };
        let mut answer = line.clone();
        match line.split_at_checked(1) {
            Some(("+", name)) => paused.push(name.to_owned()),
            Some(("-", name)) => paused.retain(|one| one != name),
            // Here, so that what is done in the end waits for it, whoever dies.
            Some((BEFORE, _)) => {
                let done = arguments.before.as_deref().map_or(Ok(()), shell);
                answer = done.map_or_else(|error| harmless(&error.to_string()), |()| line);
            }
            Some((ALONE, _)) => match arguments.lock.as_deref().map(|it| turn(it, WAIT_MAX)) {
                Some(Ok(None)) => answer = BUSY.to_owned(),
                Some(Ok(lock)) => alone = lock,
                Some(Err(error)) => answer = harmless(&error.to_string()),
                None => {}
            },
            _ => {}
        }
        // Nobody listens any more: then its end comes next.
        drop(writeln!(io::stdout(), "{answer}"));
    }
    let went_on = arguments
        .engine
        .as_deref()
        .map_or(Ok(()), |socket| go_on(socket, &paused));
    drop(alone);
    let done = arguments.after.as_deref().map_or(Ok(()), shell);
    let Err(error) = went_on.and(done) else {
        return Ok(());
    };
    // To the command, as long as there is one: it has a snapshot to tell of, too.
    let told = writeln!(io::stdout(), "{}", harmless(&error.to_string()));
    told.map_err(|_| error)
}

/// The locked file, which nobody else gets for as long as it lives; nothing if others had it for `wait_max`.
fn turn(lock: &Path, wait_max: Duration) -> io::Result<Option<File>> {
    let root = root_of(lock);
    // A volume that is named by its directory needs no root.
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(lock)?;
    let since = Instant::now();
    let mut is_told = false;
    while !is_free(&file)? {
        if since.elapsed() >= wait_max {
            return Ok(None);
        }
        if !is_told {
            output::note(&waiting(root, wait_max));
            is_told = true;
        }
        thread::sleep(WAIT_STEP);
    }
    Ok(Some(file))
}

/// Whether nobody else has it; then it is locked.
fn is_free(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn root_of(lock: &Path) -> &Path {
    lock.parent().unwrap_or(lock)
}

fn waiting(root: &Path, wait_max: Duration) -> String {
    let (root, seconds) = (root.display(), wait_max.as_secs());
    format!(
        "waiting for another `cask snapshot --pause` with the root {root}, for {seconds} s at most"
    )
}

/// A service manager that ends the command ends all that it started: this still has to act. The command's end says when.
fn outlive_signals() -> io::Result<()> {
    let heard = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        flag::register(signal, Arc::clone(&heard))?;
    }
    Ok(())
}

fn go_on(socket: &Path, paused: &[String]) -> Result<()> {
    let mut left: Option<(String, crate::docker::Error)> = None;
    for name in paused {
        let Err(error) = engine::unpause(socket, name) else {
            continue;
        };
        match &mut left {
            Some((names, _)) => *names = format!("{names} {name}"),
            None => left = Some((name.clone(), error)),
        }
    }
    let Some((names, error)) = left else {
        return Ok(());
    };
    let message = format!("containers are still paused: {names}");
    let hint = format!("let them go on: `docker unpause {names}`");
    Err(CliError::new(Kind::Failed, message)
        .because(error)
        .hint(hint))
}

/// Has the shell do something; what that says goes to standard error, since names of snapshots go to the other.
fn shell(text: &str) -> Result<()> {
    let failed = |why: String| {
        let message = format!("\"{text}\" failed: {why}");
        CliError::new(Kind::Failed, message).hint("see what it says, and try it by itself")
    };
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", text])
        .stdin(Stdio::null())
        .stdout(io::stderr());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The process, as `cask snapshot` has it. When this goes, it acts.
#[derive(Debug)]
pub(super) struct Afterwards {
    child: Child,
    tell: Option<ChildStdin>,
    told: io::BufReader<ChildStdout>,
}

impl Afterwards {
    /// Starts it. Those that are given the same file `lock` pause one after the other.
    pub(super) fn start(
        engine: Option<&Path>,
        lock: &Path,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("cask").arg("afterwards");
        if let Some(before) = before {
            command.arg("--before").arg(before);
        }
        if let Some(engine) = engine {
            command.arg("--engine").arg(engine);
            command.arg("--lock").arg(lock);
        }
        if let Some(after) = after {
            command.arg("--after").arg(after);
        }
        // A group of its own: what ends the command from the keyboard does not end this.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(cannot)?;
        let (tell, told) = (child.stdin.take(), child.stdout.take());
        let told =
            io::BufReader::new(told.ok_or_else(|| cannot(io::ErrorKind::BrokenPipe.into()))?);
        Ok(Self { child, tell, told })
    }

    /// Has it do what is to be done before.
    pub(super) fn prepare(&mut self) -> Result<()> {
        let answer = self.ask(BEFORE)?;
        if answer == BEFORE {
            return Ok(());
        }
        Err(CliError::new(Kind::Failed, answer))
    }

    /// Waits until nobody else has containers paused, within bounds, and keeps others from it by means of the file `lock`.
    pub(super) fn alone(&mut self, lock: &Path) -> Result<()> {
        match self.ask(ALONE)? {
            answer if answer == ALONE => Ok(()),
            answer if answer == BUSY => Err(busy(root_of(lock))),
            answer => Err(cannot_lock(lock, answer)),
        }
    }

    /// `container` is about to be paused: it goes on in the end, whoever dies from here on.
    pub(super) fn expect(&mut self, container: &str) -> Result<()> {
        self.tell(&format!("+{container}"))
    }

    /// It was not paused by this.
    pub(super) fn forget(&mut self, container: &str) -> Result<()> {
        self.tell(&format!("-{container}"))
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        if self.ask(line)? == line {
            return Ok(());
        }
        Err(cannot(io::ErrorKind::UnexpectedEof.into()))
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        let mut answer = String::new();
        let said = self
            .tell
            .as_mut()
            .map_or(Ok(()), |tell| writeln!(tell, "{line}"));
        said.and_then(|()| self.told.read_line(&mut answer))
            .map_err(cannot)?;
        Ok(answer.trim_end().to_owned())
    }

    /// Has it act, and tells how that ended.
    pub(super) fn act(mut self) -> Result<()> {
        self.tell = None;
        let mut failure = String::new();
        let told = self.told.read_to_string(&mut failure);
        let status = told.and_then(|_| self.child.wait()).map_err(cannot)?;
        if status.success() && failure.is_empty() {
            return Ok(());
        }
        let cause = failure.trim_end();
        let message = format!("not all was done after the snapshot: {cause}");
        Err(CliError::new(Kind::Failed, message))
    }
}

fn cannot(error: io::Error) -> CliError {
    CliError::new(Kind::Failed, "cannot have containers go on afterwards")
        .because(error)
        .hint("see with `docker ps` whether one is paused, and try again")
}

fn busy(root: &Path) -> CliError {
    let (root, seconds) = (root.display(), WAIT_MAX.as_secs());
    let message = format!(
        "another `cask snapshot --pause` with the root {root} has containers paused for {seconds} s"
    );
    let hint = "no snapshot was taken, and nothing paused; see `pgrep -af 'cask (snapshot|afterwards)'`, and try again";
    CliError::new(Kind::InUse, message).hint(hint)
}

fn cannot_lock(lock: &Path, why: String) -> CliError {
    let message = format!(
        "cannot lock {}, which keeps other commands from pausing containers",
        lock.display()
    );
    let hint = format!(
        "no snapshot was taken; see whether {} can be written to",
        root_of(lock).display()
    );
    CliError::new(Kind::Failed, message)
        .because(io::Error::other(why))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_waited_for_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("root/.pausing");
        let short = Duration::from_millis(50);
        let first = turn(&lock, short).unwrap().unwrap();
        assert!(turn(&lock, short).unwrap().is_none(), "two have it");
        let second = thread::scope(|scope| {
            let second = scope.spawn(|| turn(&lock, WAIT_MAX).unwrap());
            thread::sleep(short);
            drop(first);
            second.join().unwrap()
        });
        assert!(second.is_some(), "it was not waited for");
    }

    #[test]
    fn one_that_was_waited_for_in_vain_is_in_use() {
        let error = busy(Path::new("/root/of/volumes"));
        assert_eq!(error.kind(), Kind::InUse);
        let text = error.to_string();
        for word in [
            "/root/of/volumes",
            "60 s",
            "no snapshot was taken",
            "try again",
        ] {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
    }
}
