//! With which exit code a command ends that failed.

use std::process::ExitCode;

use crate::commands::{CommandError, Kind};

/// How a command fails.
pub type CliError = CommandError;

/// The result of a command.
pub type Result<T> = std::result::Result<T, CliError>;

/// The exit code for a failure of this kind.
pub(super) fn exit_code(kind: Kind) -> ExitCode {
    ExitCode::from(match kind {
        Kind::Failed => 1,
        Kind::Usage => 2,
        Kind::NotFound => 3,
        Kind::Exists => 4,
        Kind::InUse => 5,
        Kind::Damaged => 6,
        Kind::Unreachable => 7,
        // As a shell tells of what SIGPIPE ended.
        Kind::Unread => 141,
    })
}
