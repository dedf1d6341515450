//! The ways to take a mount away, and why it may be still there.

use std::io;

/// How to take a mount away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Only if nobody uses it.
    IfUnused,
    /// Out of sight at once; it ends when its last user does.
    Lazily,
}

/// Why a mount is still there.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// Somebody uses it.
    #[error("it is in use")]
    Busy,
    /// Anything else.
    #[error(transparent)]
    Io(io::Error),
}
