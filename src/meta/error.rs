//! What can go wrong in the metadata store: variants say what the caller can do about it.

use std::io;
use std::panic::Location;

use rusqlite::{ErrorCode, ffi};

/// The result of a metadata operation.
pub type Result<T> = std::result::Result<T, Error>;

/// The error of a metadata operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full; the transaction changed nothing.
    #[error("the database cannot grow")]
    Full,
    /// An earlier I/O error stopped all writing until the volume is opened again.
    #[error("writing was stopped by an earlier I/O error")]
    Stopped,
    /// Whoever asked for a long read wants it no more ([`crate::types::is_wanted`]).
    #[error("nobody wants it any more")]
    Unwanted,
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
    /// Cannot happen: cask itself is wrong, not what is stored.
    #[error("a bug in cask, at {place}: {what}")]
    Bug {
        /// Where it was found.
        place: &'static Location<'static>,
        /// What was.
        what: String,
    },
}

impl Error {
    /// A value that no cask ever writes.
    pub(super) fn row(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }

    /// What no damage can cause, found by the caller.
    #[track_caller]
    pub(super) fn bug(what: impl std::fmt::Display) -> Self {
        Self::Bug {
            place: Location::caller(),
            what: what.to_string(),
        }
    }

    /// Whether the state of what was written is unknown, so that writing must stop.
    pub(super) fn is_fatal_to_writing(&self) -> bool {
        match self {
            Self::Full | Self::Stopped | Self::Unwanted => false,
            Self::Corrupt(_) | Self::Wal { .. } | Self::Host { .. } | Self::Bug { .. } => true,
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

/// Whether a page was read that does not have its sum (`vfs`).
fn has_no_sum(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|e| e.extended_code);
    code == Some(ffi::SQLITE_IOERR_DATA)
}

/// Whether a write failed for want of room: of the disk, of a quota, or of what the process may write to one file.
pub(super) fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

/// Whether the error is one that a damaged row can cause: a row that is not there, or a value of another type or range
/// than the schema allows, which SQLite reads off a page without checking.
const fn is_of_a_row(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows,
        Utf8Error,
    };
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
            | Utf8Error(..)
    )
}

/// Whether a statement is none, or not at this time: SQLITE_ERROR and SQLITE_MISUSE (sqlite.org/rescode.html). A table that is not there
/// can also be damage, of the page that has the schema.
fn is_of_a_statement(error: &rusqlite::Error, code: ErrorCode) -> bool {
    match code {
        ErrorCode::ApiMisuse | ErrorCode::ParameterOutOfRange => true,
        ErrorCode::Unknown => {
            let plain = error
                .sqlite_error()
                .is_some_and(|e| e.extended_code == ffi::SQLITE_ERROR);
            plain && !error.to_string().starts_with("no such table")
        }
        _ => false,
    }
}

impl From<rusqlite::Error> for Error {
    #[track_caller]
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::OperationInterrupted) => Self::Unwanted,
            Some(ErrorCode::SystemIoFailure) if has_no_sum(&error) => {
                Self::Corrupt("a page is not what was written there".to_owned())
            }
            Some(ErrorCode::SystemIoFailure) if was_refused(&error) => Self::Full,
            // SQLite's own text for these is "disk I/O error", whatever the system said.
            Some(ErrorCode::SystemIoFailure) => Self::Host {
                code: error.sqlite_error().map_or(0, |e| e.extended_code),
                source: io::Error::last_os_error(),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            Some(code) if is_of_a_statement(&error, code) => Self::bug(error),
            Some(_) => Self::Sqlite(error),
            None if is_of_a_row(&error) => Self::Corrupt(error.to_string()),
            // Not SQLite's own: a column or parameter that a statement does not have.
            None => Self::bug(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn failed<T>(of: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Error {
        let conn = Connection::open_in_memory().unwrap();
        let made = "CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (-1, x'ff')";
        conn.execute_batch(made).unwrap();
        of(&conn).map(drop).map_err(Error::from).unwrap_err()
    }

    #[test]
    fn what_a_row_can_cause_is_damage() {
        let found = [
            failed(|conn| conn.query_row("SELECT a FROM t", [], |row| row.get::<_, u32>(0))),
            failed(|conn| conn.query_row("SELECT b FROM t", [], |row| row.get::<_, String>(0))),
            failed(|conn| {
                let none = "SELECT a FROM t WHERE a = 5";
                conn.query_row(none, [], |row| row.get::<_, i64>(0))
            }),
        ];
        for error in found {
            assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
        }
    }

    #[test]
    fn what_no_row_can_cause_is_a_bug_of_a_known_place() {
        let found = [
            failed(|conn| conn.execute("SELEKT 1", [])),
            failed(|conn| conn.execute("INSERT INTO t (c) VALUES (1)", [])),
            failed(|conn| conn.execute("DELETE FROM t WHERE a = ?1", [])),
            failed(|conn| conn.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(7))),
            failed(|conn| conn.execute("COMMIT", [])),
        ];
        for error in found {
            assert!(matches!(error, Error::Bug { .. }), "{error:?}");
        }
        let asked = || -> Result<()> {
            Connection::open_in_memory()?.execute_batch("SELEKT")?;
            Ok(())
        };
        let told = asked().unwrap_err().to_string();
        assert!(told.contains(file!()), "{told}");
    }

    #[test]
    fn a_table_that_is_lost_is_no_bug() {
        let error = failed(|conn| conn.execute("DELETE FROM u", []));
        assert!(matches!(error, Error::Sqlite(_)), "{error:?}");
    }
}
