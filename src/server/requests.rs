//! The serving side of the control socket: a thread a connection.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;

use super::group_part::take_part;
use super::measuring::measured;
use super::read_out::read_out;
use super::shared::Shared;
use super::work::work;
use crate::control::{Answer, Fault, FaultKind, Phase, Received, Request, Wire, WireError};

/// How long to wait when no connection can be accepted, as when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// Who started the server.
    Starter,
    /// Who found it running.
    Other,
}

/// Accepts connections for as long as the process lives.
pub(super) fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        match stream {
            Ok(stream) if is_welcome(&stream) => {
                let shared = Arc::clone(shared);
                let started =
                    thread::Builder::new().spawn(move || serve(stream, &shared, Asker::Other));
                if let Err(e) = started {
                    log::warn!("cannot serve a control connection: {e}");
                    thread::sleep(PAUSE);
                }
            }
            Ok(_) => log::warn!("refused a control connection of another user"),
            Err(e) => {
                log::warn!("cannot accept a control connection: {e}");
                thread::sleep(PAUSE);
            }
        }
    }
}

/// The socket's mode keeps others out already; a descriptor may have been passed on.
fn is_welcome(stream: &UnixStream) -> bool {
    socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

/// Serves one connection until its end.
pub(super) fn serve(stream: UnixStream, shared: &Shared, asker: Asker) {
    let mut wire = Wire::new(stream);
    while let Some(request) = next(&mut wire) {
        let served = match request {
            Ok(received) if received.body == Request::AwaitClose => see_off(&mut wire, shared),
            Ok(Received {
                body: Request::HoldForGroup { part },
                ..
            }) => take_part(&mut wire, shared, &part),
            Ok(Received {
                body: Request::Read { from },
                ..
            }) => {
                let read = |wire: &mut Wire| read_out(wire, shared, from.as_ref());
                return drop(while_open(&mut wire, shared, asker, read));
            }
            Ok(Received {
                body: Request::Work { op },
                ..
            }) => {
                let work = |wire: &mut Wire| work(wire, shared, &op);
                return drop(while_open(&mut wire, shared, asker, work));
            }
            Ok(received) => {
                let (answer, passed) = answer(received.body, received.descriptor, shared);
                wire.send(&answer, passed.as_ref().map(AsFd::as_fd))
            }
            // After this there is no telling where the next request begins.
            Err(error) => return drop(wire.send(&refusal(&error), None)),
        };
        if served.is_err() {
            return;
        }
    }
}

/// The next request, or why it is none; nothing at the end of the connection.
fn next(wire: &mut Wire) -> Option<Result<Received<Request>, WireError>> {
    match wire.receive() {
        Ok(received) => received.map(Ok),
        Err(WireError::Io(_)) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Keeps the asker waiting until the volume is closed.
fn see_off(wire: &mut Wire, shared: &Shared) -> io::Result<()> {
    shared.close_notice.enter();
    let told = wire.send(&Answer::Watching, None);
    let told = told.and_then(|()| tell_of_close(wire, shared));
    shared.close_notice.leave();
    told
}

fn tell_of_close(wire: &mut Wire, shared: &Shared) -> io::Result<()> {
    let news = shared.close_notice.listen(|| is_there(wire.stream()));
    let news = news.ok_or(io::ErrorKind::BrokenPipe)?;
    wire.send(&news, None)
}

/// Serves an asker for whom the server stays. If the server ends after that, the asker hears when the volume is closed:
/// what it does next may need the volume's lock.
fn while_open(
    wire: &mut Wire,
    shared: &Shared,
    asker: Asker,
    serve: impl FnOnce(&mut Wire) -> io::Result<()>,
) -> io::Result<()> {
    let reader = match shared.enter() {
        Ok(reader) => reader,
        Err(fault) => return wire.send(&Answer::Fault(fault), None),
    };
    if shared.volume().is_none() {
        return wire.send(&Answer::Fault(shared.none()), None);
    }
    if asker == Asker::Starter {
        // From now on whoever wants to mount need not wait for the mount of the one who started the server.
        shared.abandon();
    }
    serve(wire)?;
    // Before the end begins, which waits for those who have entered.
    shared.close_notice.enter();
    drop(reader);
    let told = if shared.state().phase == Phase::Closing {
        tell_of_close(wire, shared)
    } else {
        Ok(())
    };
    shared.close_notice.leave();
    told
}

/// Whether somebody is at the other end.
fn is_there(stream: &UnixStream) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec::default();
    let asked = poll(&mut polled, Some(&now));
    asked.is_ok() && !polled[0].revents().contains(PollFlags::HUP)
}

fn answer(
    request: Request,
    descriptor: Option<OwnedFd>,
    shared: &Shared,
) -> (Answer, Option<OwnedFd>) {
    let outcome = match request {
        Request::Status => Ok(Answer::Status(shared.status())),
        Request::Attach { tree, device } => match descriptor {
            Some(fuse) => shared
                .attach(&tree, fuse, device)
                .map(|()| Answer::Attached),
            None => Err(Fault {
                kind: FaultKind::Refused,
                message: "attach needs a descriptor".to_owned(),
            }),
        },
        Request::Descriptor { tree } => match shared.descriptor(&tree) {
            Ok(fuse) => return (Answer::Descriptor, Some(fuse)),
            Err(fault) => Err(fault),
        },
        Request::Replace => Err(match descriptor {
            Some(program) => shared.replace(program.as_fd()),
            None => Fault {
                kind: FaultKind::Refused,
                message: "replace needs a descriptor".to_owned(),
            },
        }),
        Request::AwaitClose => Ok(Answer::Watching),
        // Served before.
        Request::Read { .. } | Request::Work { .. } => Ok(Answer::Done),
        // Of a group snapshot in which the volume has no part any more.
        Request::ConcludeInGroup => Ok(Answer::Done),
        Request::HoldForGroup { .. } | Request::PrepareInGroup => Err(Fault {
            kind: FaultKind::NotTogether,
            message: "no change waits any more".to_owned(),
        }),
        Request::Measure => Ok(Answer::Measured(measured(shared))),
        Request::Perform { op } => shared.perform(&op),
    };
    (outcome.unwrap_or_else(Answer::Fault), None)
}

fn refusal(error: &WireError) -> Answer {
    let message = match error {
        WireError::NoCommon(no) => no.swapped().to_string(),
        WireError::Io(_) | WireError::TooLong(_) | WireError::NotUnderstood(_) => error.to_string(),
    };
    Answer::Fault(Fault {
        kind: FaultKind::Refused,
        message,
    })
}
