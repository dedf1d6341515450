//! What can be asked of a volume, mounted or not: one function for the server and for commands that
//! open the volume themselves.

use crate::control::{Answer, Fault, FaultKind, Op, Usage};
use crate::volume::{Error, Volume};

/// Does `op` with `volume`.
///
/// # Errors
/// Whatever the volume says.
pub fn handle(op: Op, volume: &Volume) -> Result<Answer, Error> {
    match op {
        Op::Sync => volume.sync().map(|()| Answer::Synced),
        Op::Usage => {
            let usage = volume.usage()?;
            Ok(Answer::Usage(Usage {
                inodes: usage.inodes,
                logical_bytes: usage.logical_bytes,
                physical_bytes: usage.physical_bytes,
            }))
        }
    }
}

/// A volume's error, as it is sent.
#[must_use]
pub fn fault(error: &Error) -> Fault {
    Fault {
        kind: kind(error),
        message: with_causes(error),
    }
}

fn kind(error: &Error) -> FaultKind {
    match error {
        Error::Held | Error::InUse { .. } => FaultKind::InUse,
        Error::NotAVolume { .. } => FaultKind::NotAVolume,
        Error::NewerFormat { .. } => FaultKind::NewerFormat,
        Error::Corrupt(_) => FaultKind::Damaged,
        Error::NoSpace => FaultKind::NoSpace,
        Error::NotFound
        | Error::Exists
        | Error::NotDirectory
        | Error::IsDirectory
        | Error::NotEmpty
        | Error::NotPermitted
        | Error::AccessDenied
        | Error::Invalid
        | Error::NameTooLong
        | Error::FileTooLarge
        | Error::TooManyLinks
        | Error::NoAttribute
        | Error::AttributeTooLarge
        | Error::AttributesFull
        | Error::OutOfRange
        | Error::Unsupported
        | Error::ReadOnly
        | Error::Storage { .. } => FaultKind::Failed,
    }
}

/// An error and its causes in one line: causes don't travel.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
