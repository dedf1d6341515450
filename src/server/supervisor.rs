//! The supervisor: the process above a volume's server, which starts another when that one dies.
//!
//! It holds what must not end with a server: the `/dev/fuse` descriptors, so that the kernel lets requests wait instead
//! of failing them, and the volume's lock. It knows nothing of the volume itself.
//!
//! State | what is true
//! --- | ---
//! `Bare` | a server runs that has no mount yet, or none any more: its end is the supervisor's end
//! `Keeping` | a server runs that has mounts: when it dies, the next one gets what is kept
//! `Down` | servers died too often: every request of the mounts is answered with EIO, and the lock is free

mod deaths;
mod lack;
mod link;
mod message;
mod program;
mod scope;

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use rustix::fs::Mode;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::deaths::{Cause, Death, Deaths, RequestKey, Verdict};
use self::message::{Handover, LEVEL, Report, wire};
use self::program::Program;
use super::record::Record;
use super::{Error, Result};
use crate::control::{Device, Wire};
use crate::fuse::{InitRequest, refuse_all};

pub(super) use link::{Inheritance, Link};
pub(super) use message::{Kept, Showing};

/// Keeps the volume in `dir` served until its last mount is gone. `starter` is whoever wants it served.
///
/// # Errors
/// When no server can be started.
pub(super) fn keep(dir: &Path, starter: UnixStream) -> Result<()> {
    stay()?;
    scope::leave_unit(dir);
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let cannot = |e| Error::io("cannot keep a server", e);
    let supervisor = Supervisor {
        dir: dir.to_owned(),
        program: Program::this().map_err(cannot)?,
        lock: None,
        is_stopped: false,
        kept: Vec::new(),
        deaths: Deaths::default(),
        stepped_to: None,
    };
    supervisor.run(starter)
}

/// A service manager ends processes before it unmounts: the server flushes then, and both go on.
fn stay() -> Result<()> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        // A handler that does nothing, for execve(2) resets it: a signal that is ignored would stay so in the servers.
        let ignored = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal, ignored)
            .map_err(|e| Error::io("cannot watch for signals", e))?;
    }
    Ok(())
}

/// Said of a server's end.
const OF_LACK: &str = ", for the host, or the control group, lacked memory";

struct Supervisor {
    dir: PathBuf,
    program: Program,
    lock: Option<OwnedFd>,
    /// An I/O error has stopped all writing: a server that knew nothing of it would call safe what is lost.
    is_stopped: bool,
    kept: Vec<(Kept, OwnedFd)>,
    deaths: Deaths,
    /// The format to which a server has brought the tables, or was about to: programs before it do not know it.
    stepped_to: Option<u32>,
}

/// A server that runs, and what it has said.
struct Running {
    child: Child,
    wire: Wire,
    /// Since when it serves.
    serving: Option<Instant>,
    complaint: Option<String>,
    /// Requests that it got again and did not answer yet.
    unanswered: HashSet<RequestKey>,
    /// What the kernel had killed for a lack of memory before.
    kills_before: Option<u64>,
    /// It asked for its replacement.
    replaced: bool,
}

impl Supervisor {
    fn run(mut self, starter: UnixStream) -> Result<()> {
        // No copy is kept: its other end must see the end of the server.
        let mut starter = Some(starter);
        loop {
            let mut server = self
                .start(starter.take().as_ref())
                .map_err(|e| Error::io("cannot start a server", e))?;
            self.listen(&mut server);
            let status = server
                .child
                .wait()
                .map_err(|e| Error::io("cannot wait for a server", e))?;
            if self.kept.is_empty() {
                return Ok(());
            }
            if let Some(reason) = self.mourn(&server, status) {
                return self.give_up(&reason);
            }
        }
    }

    /// Starts a server and gives it all that is kept.
    fn start(&self, starter: Option<&UnixStream>) -> io::Result<Running> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut server = Running {
            child: self.program.start(&self.dir, theirs)?,
            wire: wire(ours),
            serving: None,
            complaint: None,
            unanswered: HashSet::new(),
            kills_before: lack::kills(),
            replaced: false,
        };
        // A server that is gone already is found out by its end.
        if let Err(e) = self.hand_over(&mut server.wire, starter) {
            log::warn!("a server ended as soon as it began: {e}");
        }
        Ok(server)
    }

    fn hand_over(&self, wire: &mut Wire, starter: Option<&UnixStream>) -> io::Result<()> {
        if let Some(starter) = starter {
            wire.send(&Handover::Starter, Some(starter.as_fd()))?;
        }
        debug_assert!(
            self.kept.is_empty() || self.lock.is_some(),
            "invariant 11: mounts are kept, and the volume is not locked"
        );
        if let Some(lock) = &self.lock {
            wire.send(&Handover::Lock, Some(lock.as_fd()))?;
        }
        for (kept, device) in &self.kept {
            wire.send(&Handover::Connection(kept.clone()), Some(device.as_fd()))?;
        }
        // After all that has a descriptor, which would be read with what comes before it.
        if self.is_stopped {
            wire.send(&Handover::Stopped, None)?;
        }
        wire.send(&Handover::Begin { level: LEVEL }, None)
    }

    /// Hears what the server reports, until its end.
    fn listen(&mut self, server: &mut Running) {
        loop {
            let report = match server.wire.receive::<Report>() {
                Ok(Some(report)) => report,
                Ok(None) => return,
                Err(e) => {
                    log::error!("cannot understand the server: {e}");
                    return;
                }
            };
            self.heed(server, report.body, report.descriptor);
            // Once it is done: the server goes on when what it said is kept.
            if server.wire.send(&Handover::Heard, None).is_err() {
                return;
            }
        }
    }

    fn heed(&mut self, server: &mut Running, report: Report, descriptor: Option<OwnedFd>) {
        match (report, descriptor) {
            (Report::Locked, lock @ Some(_)) => self.lock = lock,
            (Report::Connected(kept), Some(device)) => self.kept.push((kept, device)),
            (Report::Disconnected { tree }, _) => {
                self.kept.retain(|(kept, _)| kept.tree != tree);
                // Whoever opens the volume next must not find it locked by one that closes it.
                if self.kept.is_empty() {
                    self.lock = None;
                }
            }
            (Report::Serving, _) => {
                server.serving = Some(Instant::now());
                self.program.decide();
            }
            (Report::NoWayBack { format }, _) => self.leave_old_program(format),
            (Report::Stopped, _) => self.is_stopped = true,
            (Report::Resumed { salt, unique }, _) => {
                server.unanswered.insert((salt, unique));
            }
            (Report::Answered { salt, unique }, _) => {
                server.unanswered.remove(&(salt, unique));
            }
            (Report::Failed { message }, _) => server.complaint = Some(message),
            (Report::Replace, Some(program)) => {
                self.program.try_next(program);
                server.replaced = true;
                if let Err(e) = server.child.kill() {
                    log::error!("cannot end the server that is to be replaced: {e}");
                }
            }
            (Report::Locked | Report::Connected(_) | Report::Replace, None) => {
                log::error!("the server reported something without its descriptor");
            }
        }
    }

    /// A server that has not served yet steps to this format: from now on it is this program or none.
    fn leave_old_program(&mut self, format: u32) {
        log::info!(
            "the volume's tables become format {format}: no older program is started any more"
        );
        self.program.decide();
        self.stepped_to = Some(format);
    }

    /// Takes note of a server's death; why there shall be no other, if so.
    fn mourn(&mut self, server: &Running, status: ExitStatus) -> Option<String> {
        if server.replaced {
            return None;
        }
        let end = describe(status, server.complaint.as_deref());
        if server.serving.is_none() && self.program.fall_back() {
            log::error!("the new program does not serve ({end}): the old one goes on");
            return None;
        }
        let of_lack = lack::kills() > server.kills_before;
        let lack = if of_lack { OF_LACK } else { "" };
        log::error!("the server died: {end}{lack}");
        let death = Death {
            at: Instant::now(),
            serving: server.serving,
            status,
            of_lack,
            unanswered: &server.unanswered,
        };
        match self.deaths.count(&death) {
            Verdict::Restart { after } => {
                thread::sleep(after);
                None
            }
            Verdict::StayDown(cause) => {
                Some(reason(cause, &end) + &self.why_not_the_old_one(server))
            }
        }
    }

    /// What is added to the reason for which a volume is down: of a program that never came to serve.
    fn why_not_the_old_one(&self, server: &Running) -> String {
        match self.stepped_to {
            Some(format) if server.serving.is_none() => {
                format!("; the volume is of format {format}, to which no older program goes back")
            }
            _ => String::new(),
        }
    }

    /// Answers EIO for as long as there are mounts.
    fn give_up(mut self, reason: &str) -> Result<()> {
        log::error!("{}: {reason}; its mounts answer EIO", self.dir.display());
        let devices = self.kept.iter().map(|(kept, _)| kept.device).collect();
        if let Err(e) = Record::store_down(&self.dir, devices, reason) {
            log::error!("cannot note why the volume is down: {e}");
        }
        self.lock = None;
        thread::scope(|scope| {
            for (_, device) in &self.kept {
                scope.spawn(move || {
                    if let Err(e) = refuse_all(device) {
                        log::error!("cannot answer for a volume that is down: {e}");
                    }
                });
            }
        });
        Ok(())
    }
}

/// Why a volume is down, for people.
fn reason(cause: Cause, end: &str) -> String {
    let died = format!("its server died {} times", deaths::MAX);
    match cause {
        Cause::Often => format!("{died} within a minute, at last: {end}"),
        Cause::Lack => format!("{died} within a minute, at last: {end}{OF_LACK}"),
        Cause::Request => {
            format!("{died} in one and the same request of a program, at last: {end}")
        }
    }
}

fn describe(status: ExitStatus, complaint: Option<&str>) -> String {
    match complaint {
        Some(complaint) => format!("{status}, {complaint}"),
        None => status.to_string(),
    }
}

/// What a supervisor has of a connection, in the words of the FUSE edge.
pub(super) fn init_request_of(kept: &Kept) -> InitRequest {
    InitRequest {
        init: kept.init.0.clone(),
        salt: kept.salt,
    }
}

/// A connection as a supervisor knows it.
pub(super) fn kept(tree: Showing, device: Device, request: &InitRequest) -> Kept {
    Kept {
        tree,
        device,
        init: crate::control::Bytes(request.init.clone()),
        salt: request.salt,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::Command;

    use serde_json::Value;

    use super::*;

    /// A supervisor that has just started a newer program.
    fn supervisor() -> Supervisor {
        let mut supervisor = Supervisor {
            dir: PathBuf::from("/nowhere"),
            program: Program::this().unwrap(),
            lock: None,
            is_stopped: false,
            kept: Vec::new(),
            deaths: Deaths::default(),
            stepped_to: None,
        };
        supervisor
            .program
            .try_next(File::open("/proc/self/exe").unwrap().into());
        supervisor
    }

    /// Has `supervisor` hear a server that says `lines` and ends; what the supervisor answered.
    fn hear(supervisor: &mut Supervisor, lines: &[&str]) -> (Running, Vec<Value>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut server = Running {
            child: Command::new("/bin/false").spawn().unwrap(),
            wire: wire(ours),
            serving: None,
            complaint: None,
            unanswered: HashSet::new(),
            kills_before: lack::kills(),
            replaced: false,
        };
        for line in lines {
            writeln!(&theirs, "{line}").unwrap();
        }
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        supervisor.listen(&mut server);
        let answers = BufReader::new(&theirs).lines().take(lines.len());
        let answers = answers.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        (server, answers.collect())
    }

    #[test]
    fn after_a_newer_server_said_no_way_back_its_program_is_the_only_one() {
        let mut supervisor = supervisor();
        let lines = [
            r#"{"version":2,"speaks":[1,9],"report":"no_way_back","format":77}"#,
            r#"{"version":2,"speaks":[1,9],"report":"failed","message":"no room"}"#,
        ];
        let (mut server, answers) = hear(&mut supervisor, &lines);
        for answer in &answers {
            assert_eq!(
                (&answer["handover"], &answer["version"]),
                (&"heard".into(), &2.into())
            );
        }
        let status = server.child.wait().unwrap();
        let mut tries = 1;
        let reason = loop {
            if let Some(reason) = supervisor.mourn(&server, status) {
                break reason;
            }
            tries += 1;
        };
        assert_eq!(tries, deaths::MAX);
        for part in ["no room", "format 77", "no older program"] {
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn a_server_that_fails_before_leaves_the_old_program_to_go_on() {
        let mut supervisor = supervisor();
        // As a program says it that knows of no ranges.
        let (mut server, answers) = hear(
            &mut supervisor,
            &[r#"{"version":1,"report":"failed","message":"no room"}"#],
        );
        assert_eq!(answers[0]["version"], 1);
        let status = server.child.wait().unwrap();
        assert_eq!(supervisor.mourn(&server, status), None);
        assert!(
            !supervisor.program.fall_back(),
            "it has fallen back already"
        );
        assert_eq!(supervisor.stepped_to, None);
    }
}
