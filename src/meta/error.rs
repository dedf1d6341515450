//! What can go wrong in the metadata store: variants say what the caller can do about it.

use std::io;

use rusqlite::{ErrorCode, ffi};

/// The error of a metadata operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full; the transaction changed nothing.
    #[error("the database cannot grow")]
    Full,
    /// An earlier I/O error stopped all writing until the volume is opened again.
    #[error("writing was stopped by an earlier I/O error")]
    Stopped,
    /// The database is damaged.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// Reading or writing the database failed.
    #[error("the database cannot be read or written")]
    Sqlite(#[source] rusqlite::Error),
    /// The host failed to read or write the database.
    #[error("the database cannot be read or written (SQLite says {code})")]
    Host {
        /// SQLite's extended result code (sqlite.org/rescode.html).
        code: i32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file beside the database failed.
    #[error("cannot {op} the write-ahead log")]
    Wal {
        /// What was being done.
        op: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// A value that no cask ever writes.
    pub(super) fn row(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }

    /// The error and its causes, on one line.
    pub(super) fn with_causes(&self) -> String {
        let first = std::error::Error::source(self);
        let causes = std::iter::successors(first, |cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    /// Whether the state of what was written is unknown, so that writing must stop.
    pub(super) fn is_fatal_to_writing(&self) -> bool {
        match self {
            Self::Full | Self::Stopped => false,
            Self::Corrupt(_) | Self::Wal { .. } | Self::Host { .. } => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::CannotOpen | ErrorCode::FileLockingProtocolFailed)
            ),
        }
    }
}

/// Whether the host had no room for what SQLite wrote: it knows ENOSPC for that, but not a quota or a limit of the
/// process. Asked right after the error: what the system said last is still there.
fn was_refused(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|e| e.extended_code);
    let grows = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE];
    if !code.is_some_and(|code| grows.contains(&code)) {
        return false;
    }
    let cause = io::Error::last_os_error();
    let is_refusal = is_full(cause.kind());
    if is_refusal {
        log::warn!("the host has no room for the database: {cause}");
    }
    is_refusal
}

/// Whether a write failed for want of room: of the disk, of a quota, or of what the process may write to one file.
pub(super) fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure) if was_refused(&error) => Self::Full,
            // SQLite's own text for these is "disk I/O error", whatever the system said.
            Some(ErrorCode::SystemIoFailure) => Self::Host {
                code: error.sqlite_error().map_or(0, |e| e.extended_code),
                source: io::Error::last_os_error(),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            Some(_) => Self::Sqlite(error),
            // Not SQLite's own: a column that is not there, or of another type than the schema says.
            None => Self::Corrupt(error.to_string()),
        }
    }
}
