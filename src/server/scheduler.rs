//! Has the scheduled snapshots of a mounted volume taken.
//!
//! A process of its own takes them: it has the kernel write back what it holds, for which it needs the mount (invariant
//! 9), and removes what no rule keeps. This only knows when it is time to look.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::types::{Round, Schedule, with_causes};
use crate::volume::{Config, Scheduled};

/// How often it is looked whether there is another schedule, or the clock was set.
const LOOK: Duration = Duration::from_secs(20);
/// The same until there is a mount.
const SOON: Duration = Duration::from_millis(500);

/// Looks for as long as the server runs; after a failure, once `again` has passed.
pub(super) fn watch(shared: &Arc<Shared>, again: Duration) {
    let shared = Arc::downgrade(shared);
    thread::spawn(move || {
        let mut rounds = Rounds {
            done: None,
            again: None,
            pause: again,
        };
        while let Some(pause) = look(&shared, &mut rounds) {
            thread::sleep(pause);
        }
    });
}

/// What was seen to, and when a failure is tried again.
#[derive(Debug)]
struct Rounds {
    done: Option<Round>,
    again: Option<Instant>,
    /// From a failure to that.
    pause: Duration,
}

/// How long nothing is to be done; none when the server ends.
fn look(shared: &Weak<Shared>, rounds: &mut Rounds) -> Option<Duration> {
    let (dir, is_mounted) = {
        let shared = shared.upgrade()?;
        (shared.dir.clone(), shared.head_device().is_some())
    };
    if !is_mounted {
        return Some(SOON);
    }
    // A configuration that cannot be read is for others to tell; the next look may find it mended.
    let schedule = Config::load(&dir).map_or(Schedule::OFF, |config| config.schedule);
    let Some((round, left)) = schedule.present() else {
        return Some(LOOK);
    };
    if rounds.done != Some(round) && rounds.again.is_none_or(|at| at <= Instant::now()) {
        rounds.try_for(round, &dir);
    }
    let next = Duration::from_secs(left + 1).min(LOOK);
    Some(rounds.again.map_or(next, |_| next.min(rounds.pause)))
}

impl Rounds {
    fn try_for(&mut self, round: Round, dir: &Path) {
        let failure = match run(dir) {
            Ok(true) => {
                self.done = Some(round);
                self.again = None;
                return;
            }
            Ok(false) => "what takes the snapshots failed; the volume's log says why".to_owned(),
            Err(error) => format!("cannot start what takes the snapshots: {error}"),
        };
        log::warn!("scheduled snapshots: {failure}");
        note(dir, failure);
        self.again = Some(Instant::now() + self.pause);
    }
}

/// For whoever looks, unless it was noted by who knows better.
fn note(dir: &Path, failure: String) {
    let noted = Scheduled::lock(dir).and_then(|_alone| {
        let mut known = Scheduled::load(dir)?;
        if known.error.is_none() {
            known.note_failure(failure);
            known.store(dir)?;
        }
        Ok(())
    });
    if let Err(error) = noted {
        log::warn!("it cannot be noted: {}", with_causes(&error));
    }
}

/// Whether it ended well. Its complaints come to the server's log.
fn run(dir: &Path) -> io::Result<bool> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("cask");
    // The volume is named by its directory: any root will do, and a server need not know its user's.
    command.arg("--root").arg(dir.parent().unwrap_or(dir));
    command.args(["schedule", "run", "--if-served"]).arg(dir);
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    Ok(status.success())
}
