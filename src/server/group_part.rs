//! A volume's part in a group snapshot, wherever the volume is open: what is said of it over one
//! connection, from the hold to the outcome.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::faults::closing;
use super::handle::fault;
use crate::control::{Answer, Fault, FaultKind, GroupPart, Received, Request, Wire, WireError};
use crate::types::Group;
use crate::volume::{self, Volume};

/// How long a volume's changes wait for the other volumes: whoever asked for it may be stuck.
pub(super) const HOLD: Duration = Duration::from_secs(5);

/// A volume that may be closed meanwhile.
pub(super) trait Opened {
    /// Does `work` with the volume, which is not closed before the end of that; `None` if it is closed.
    fn with<T>(&self, work: impl FnOnce(&Volume) -> T) -> Option<T>;
}

impl Opened for Volume {
    fn with<T>(&self, work: impl FnOnce(&Volume) -> T) -> Option<T> {
        Some(work(self))
    }
}

/// Why there is no snapshot of this volume.
enum Failure {
    Volume(volume::Error),
    /// The word did not come in time.
    Late,
    /// The group snapshot was given up before it came.
    GivenUp,
    /// Whoever asked is gone.
    Gone(io::Error),
}

impl From<volume::Error> for Failure {
    fn from(error: volume::Error) -> Self {
        Self::Volume(error)
    }
}

/// Serves one part in a group snapshot, from the hold on.
///
/// # Errors
/// When the connection fails.
pub(super) fn take_part(wire: &mut Wire, opened: &impl Opened, part: &GroupPart) -> io::Result<()> {
    let group = Group {
        id: part.group,
        coordinator: part.coordinator,
        coordinator_dir: PathBuf::from(OsStr::from_bytes(&part.coordinator_dir.0)),
    };
    let prepared = opened.with(|volume| {
        volume.prepare_in_group(&part.name, &part.label, &group, || await_word(wire))
    });
    let answer = match prepared {
        Some(Ok(_)) => Answer::Prepared,
        Some(Err(Failure::GivenUp)) => return wire.send(&Answer::Done, None),
        Some(Err(Failure::Gone(error))) => return Err(error),
        Some(Err(Failure::Late)) => Answer::Fault(late()),
        Some(Err(Failure::Volume(error))) => Answer::Fault(fault(&error)),
        None => Answer::Fault(closing()),
    };
    // Also a snapshot whose taking failed at its end may be there.
    let was_told = wire.send(&answer, None).is_ok() && is_told(wire);
    let concluded = opened.with(|volume| volume.conclude_in_group(group.id));
    let answer = match concluded {
        Some(Ok(())) => Answer::Done,
        Some(Err(error)) => Answer::Fault(fault(&error)),
        None => Answer::Fault(closing()),
    };
    if !was_told {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    wire.send(&answer, None)
}

/// While all changes wait: until the other volumes wait, too.
fn await_word(wire: &mut Wire) -> Result<(), Failure> {
    wire.send(&Answer::Held, None).map_err(Failure::Gone)?;
    let limit = |wire: &Wire, limit| wire.stream().set_read_timeout(limit).map_err(Failure::Gone);
    limit(wire, Some(HOLD))?;
    let word = wire.receive();
    limit(wire, None)?;
    match word.map(|received| received.map(|received| received.body)) {
        Ok(Some(Request::PrepareInGroup)) => Ok(()),
        Ok(Some(_)) => Err(Failure::GivenUp),
        Ok(None) => Err(Failure::Gone(io::ErrorKind::UnexpectedEof.into())),
        Err(WireError::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Err(Failure::Late),
        Err(e) => Err(Failure::Gone(io::Error::other(e))),
    }
}

/// Waits for the request to conclude; false when whoever asked is gone.
fn is_told(wire: &mut Wire) -> bool {
    let mut received = || wire.receive::<Request>();
    loop {
        match received() {
            Ok(Some(Received {
                body: Request::ConcludeInGroup,
                ..
            })) => return true,
            // The word that came too late.
            Ok(Some(Received {
                body: Request::PrepareInGroup,
                ..
            })) => {}
            Ok(_) | Err(_) => return false,
        }
    }
}

fn late() -> Fault {
    Fault {
        kind: FaultKind::NotTogether,
        message: format!(
            "the other volumes were not ready within {} s, so it waited no longer",
            HOLD.as_secs()
        ),
    }
}
