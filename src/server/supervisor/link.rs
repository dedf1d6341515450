//! The server's end of the line to its supervisor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use parking_lot::Mutex;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::socket_peercred;

use super::message::{Handover, Kept, LEVEL, NO_WAY_BACK, Report, Showing, wire};
use crate::control::Wire;
use crate::fuse::{Resent, Watch};

/// What a server is started with.
#[derive(Debug, Default)]
pub(in super::super) struct Inheritance {
    /// Whoever wants the volume served.
    pub(in super::super) starter: Option<UnixStream>,
    /// The volume's lock, when a server had it before.
    pub(in super::super) lock: Option<OwnedFd>,
    /// Whether an I/O error had stopped all writing.
    pub(in super::super) is_stopped: bool,
    /// The connections to go on with.
    pub(in super::super) connections: Vec<(Kept, OwnedFd)>,
}

/// The line to the supervisor.
#[derive(Debug)]
pub(in super::super) struct Link {
    wire: Mutex<Wire>,
    /// What the supervisor understands.
    level: u32,
    /// Of what is said on this line.
    version: Option<u32>,
}

impl Link {
    /// Hears what there is to take over, from the supervisor at the other end of `stream`.
    ///
    /// # Errors
    /// When the supervisor is gone, or speaks otherwise.
    pub(in super::super) fn hear(stream: UnixStream) -> io::Result<(Self, Inheritance)> {
        let mut wire = wire(stream);
        let mut given = Inheritance::default();
        while let Some(told) = receive(&mut wire)? {
            match told {
                (Handover::Starter, Some(starter)) => given.starter = Some(starter.into()),
                (Handover::Lock, lock @ Some(_)) => given.lock = lock,
                (Handover::Connection(kept), Some(device)) => {
                    given.connections.push((kept, device));
                }
                (Handover::Stopped, _) => given.is_stopped = true,
                (Handover::Begin { level }, _) => {
                    let version = wire.agreed();
                    let wire = Mutex::new(wire);
                    let link = Self {
                        wire,
                        level,
                        version,
                    };
                    return Ok((link, given));
                }
                (_, _) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Whether the supervisor can keep a connection that shows one snapshot: one of an earlier cask cannot.
    pub(in super::super) const fn keeps_single_snapshots(&self) -> bool {
        self.level >= LEVEL
    }

    /// Has the supervisor know what becomes of requests that are sent again, of the connection that began at `salt`.
    pub(in super::super) fn watch(link: Option<&Arc<Self>>, salt: u64) -> Watch {
        let Some(link) = link.filter(|link| link.level >= LEVEL) else {
            return Arc::new(|_| {});
        };
        let link = Arc::clone(link);
        Arc::new(move |resent| {
            let told = match resent {
                Resent::Begun(unique) => link.report(&Report::Resumed { salt, unique }, None),
                Resent::Answered(unique) => link.report(&Report::Answered { salt, unique }, None),
            };
            if let Err(e) = told {
                log::debug!("the keeper is gone: {e}");
            }
        })
    }

    /// Has the supervisor hold the volume's lock.
    pub(in super::super) fn locked(&self, lock: BorrowedFd<'_>) -> io::Result<()> {
        self.report(&Report::Locked, Some(lock))
    }

    /// Has the supervisor keep a connection.
    pub(in super::super) fn connected(&self, kept: Kept, device: BorrowedFd<'_>) -> io::Result<()> {
        self.report(&Report::Connected(kept), Some(device))
    }

    /// A connection is over; with the last one the supervisor lets go of the lock.
    pub(in super::super) fn disconnected(&self, tree: Showing) -> io::Result<()> {
        self.report(&Report::Disconnected { tree }, None)
    }

    /// What was handed over is served.
    pub(in super::super) fn serving(&self) -> io::Result<()> {
        self.report(&Report::Serving, None)
    }

    /// Has the supervisor start no older program any more: the volume's tables are about to be of this format. When this
    /// returns, it does not.
    ///
    /// # Errors
    /// When the supervisor is gone, or did not understand.
    pub(in super::super) fn no_way_back(&self, format: u32) -> io::Result<()> {
        if self.version < Some(NO_WAY_BACK) {
            // One of an earlier cask keeps to the program that says that it serves, which comes to the same.
            return self.serving();
        }
        self.report(&Report::NoWayBack { format }, None)
    }

    /// All writing was stopped, which the next server must know.
    pub(in super::super) fn stopped(&self) -> io::Result<()> {
        self.report(&Report::Stopped, None)
    }

    /// The volume cannot be served.
    pub(in super::super) fn failed(&self, message: String) -> io::Result<()> {
        self.report(&Report::Failed { message }, None)
    }

    /// Has the supervisor end this process and start `program` instead: does not return, unless that fails.
    pub(in super::super) fn replace(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        self.report(&Report::Replace, Some(program))
    }

    /// The supervisor's process, while it lives.
    pub(in super::super) fn supervisor(&self) -> Option<u32> {
        let wire = self.wire.lock();
        let mut polled = [PollFd::from_borrowed_fd(
            wire.stream().as_fd(),
            PollFlags::empty(),
        )];
        let now = rustix::event::Timespec::default();
        poll(&mut polled, Some(&now)).ok()?;
        if polled[0].revents().contains(PollFlags::HUP) {
            return None;
        }
        let peer = socket_peercred(wire.stream()).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    fn report(&self, report: &Report, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut wire = self.wire.lock();
        // With the line locked until the answer: another thread's report would take it for its own.
        wire.send(report, descriptor)?;
        match receive(&mut wire)? {
            Some((Handover::Heard, _)) => Ok(()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn receive(wire: &mut Wire) -> io::Result<Option<(Handover, Option<OwnedFd>)>> {
    let told = wire.receive::<Handover>().map_err(io::Error::other)?;
    Ok(told.map(|told| (told.body, told.descriptor)))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::thread;

    use serde_json::Value;

    use super::*;

    /// What a supervisor that begins its lines with `head` is told when the tables are about to change.
    fn told_of_a_step(head: &str) -> Value {
        let (ours, theirs) = UnixStream::pair().unwrap();
        writeln!(&theirs, r#"{{{head},"handover":"begin","level":1}}"#).unwrap();
        let heard = format!(r#"{{{head},"handover":"heard"}}"#);
        let keeping = thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(&theirs).read_line(&mut line).unwrap();
            writeln!(&theirs, "{heard}").unwrap();
            serde_json::from_str(&line).unwrap()
        });
        let (link, _) = Link::hear(ours).unwrap();
        link.no_way_back(77).unwrap();
        keeping.join().unwrap()
    }

    #[test]
    fn a_keeper_of_an_earlier_cask_is_told_of_a_step_in_words_that_it_knows() {
        let told = told_of_a_step(r#""version":1"#);
        assert_eq!(
            (&told["version"], &told["report"]),
            (&1.into(), &"serving".into())
        );
    }

    #[test]
    fn a_newer_keeper_is_told_of_a_step_in_the_highest_version_of_both() {
        let told = told_of_a_step(r#""version":1,"speaks":[1,9]"#);
        assert_eq!(
            (&told["version"], &told["report"]),
            (&NO_WAY_BACK.into(), &"no_way_back".into())
        );
        assert_eq!(told["format"], 77);
    }

    #[test]
    fn a_keeper_without_a_common_version_is_named_with_both_ranges() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        writeln!(
            &theirs,
            r#"{{"version":7,"speaks":[7,9],"handover":"begin"}}"#
        )
        .unwrap();
        let said = Link::hear(ours).unwrap_err().to_string();
        assert!(
            said.contains("versions 7 to 9") && said.contains("versions 1 to 2"),
            "{said}"
        );
    }
}
