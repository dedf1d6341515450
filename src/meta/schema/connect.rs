//! How a connection is set up, which depends on what it is for.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, OpenFlags, ffi};

use super::upgrade::{self, VERSION};
use crate::meta::error::{Error, Result};
use crate::meta::vfs;
use crate::meta::vfs::page_sum::Sums;
use crate::types::is_wanted;

/// `PRAGMA application_id` of a database whose pages have no sums: "Cask".
const PLAIN_ID: i64 = 0x4361_736b;
/// Of one whose pages have: "Casp". The header says it a second time, so that damage to either is seen.
const SUMMED_ID: i64 = 0x4361_7370;

const fn application_id(sums: Sums) -> i64 {
    match sums {
        Sums::Kept => SUMMED_ID,
        Sums::Absent => PLAIN_ID,
    }
}

/// `RUST_LOG=cask::sql=trace` says each statement.
const STATEMENTS: &str = "cask::sql";

/// Instructions of SQLite's machine that a query runs before it is asked whether it is still wanted: below a millisecond.
const OPS_UNASKED: i32 = 2_000;

/// What a connection is for, which decides how much it may cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum Role {
    Writer,
    Reader,
}

impl Role {
    /// `PRAGMA cache_size`: negative means KiB. Most reads are done on the writer's connection, whose cache survives its own
    /// commits; a reader's is emptied by each.
    const fn cache_size(self) -> i64 {
        match self {
            Self::Writer => -24 * 1024,
            Self::Reader => -2 * 1024,
        }
    }
}

fn open_file(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let vfs = vfs::name().map_err(|code| {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some("no VFS".to_owned()))
    })?;
    let conn = Connection::open_with_flags_and_vfs(path, flags, vfs)?;
    // SQLite does not write pages that it frees, unless told to erase them: one that was never written has no sum.
    conn.pragma_update(None, "secure_delete", "ON")?;
    Ok(conn)
}

/// Has each statement that runs said in the log, without its values, when somebody asks for them.
fn log_statements(conn: &mut Connection) -> Result<()> {
    if log::log_enabled!(target: STATEMENTS, log::Level::Trace) {
        let say = |event: TraceEvent<'_>| {
            if let TraceEvent::Stmt(_, sql) = event {
                let words: Vec<_> = sql.split_whitespace().take(6).collect();
                log::trace!(target: STATEMENTS, "statement: {}", words.join(" "));
            }
        };
        conn.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(say))?;
    }
    Ok(())
}

fn make_file(path: &Path, sums: Sums) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open_file(path, flags)?;
    if sums == Sums::Kept {
        vfs::keep_sums(&conn)?;
    }
    Ok(conn)
}

/// Makes a new database at `path`, which must not exist.
pub(in crate::meta) fn create(path: &Path) -> Result<Connection> {
    create_with(path, Sums::Kept)
}

/// The same, with sums or as an earlier cask made it.
pub(in crate::meta) fn create_with(path: &Path, sums: Sums) -> Result<Connection> {
    let conn = make_file(path, sums)?;
    // Each of what follows would be synced by itself, four times; the checkpoint at the first close syncs all of it.
    leave_unsynced(&conn)?;
    // Before the log: the length of a page cannot be changed once the log is in use (sqlite.org/pragma.html).
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "application_id", application_id(sums))?;
    conn.pragma_update(None, "user_version", VERSION)?;
    set_up(&conn, Role::Writer)?;
    leave_unsynced(&conn)?;
    upgrade::make_tables(&conn)?;
    Ok(conn)
}

fn leave_unsynced(conn: &Connection) -> Result<()> {
    Ok(conn.pragma_update(None, "synchronous", "OFF")?)
}

/// Makes a database at `path` that holds nothing, to be copied into from one with such sums. It is not synced on the
/// way.
pub(in crate::meta) fn open_empty(path: &Path, sums: Sums) -> Result<Connection> {
    let conn = make_file(path, sums)?;
    leave_unsynced(&conn)?;
    Ok(conn)
}

/// Opens a copy that nobody else has open, for a repair: it is one file from then on, and is not synced.
pub(in crate::meta) fn open_copy(path: &Path) -> Result<Connection> {
    let conn = open_damaged(path)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version < VERSION {
        upgrade::upgrade(version, &conn)?;
    }
    // DELETE moves the log into the file and removes it; a journal in memory is enough for what nobody else has.
    conn.pragma_update(None, "journal_mode", "DELETE")?;
    conn.pragma_update(None, "journal_mode", "MEMORY")?;
    Ok(conn)
}

/// When the pages of a database got their sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum Added {
    Before,
    Now,
}

/// Gives the pages of a copy sums, which its other pages are for: all are written anew, by way of memory.
pub(in crate::meta) fn add_sums(copy: &Connection) -> Result<Added> {
    if vfs::sums_of(copy)? == Some(Sums::Kept) {
        return Ok(Added::Before);
    }
    vfs::keep_sums(copy)?;
    copy.pragma_update(None, "temp_store", "MEMORY")?;
    copy.pragma_update(None, "application_id", application_id(Sums::Kept))?;
    // It takes the bytes that are reserved of each page (sqlite.org/lang_vacuum.html).
    copy.execute_batch("VACUUM")?;
    Ok(Added::Now)
}

/// Opens what may be damaged, but is ours.
pub(in crate::meta) fn open_damaged(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open_file(path, flags)?;
    keep_log_on_close(&conn)?;
    check_ours(&conn)?;
    leave_unsynced(&conn)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", Role::Writer.cache_size())?;
    Ok(conn)
}

/// What is not ours is not changed, not even its journal mode.
fn check_ours(conn: &Connection) -> Result<()> {
    let found: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let is_ours = vfs::sums_of(conn)?.is_some_and(|sums| found == application_id(sums));
    if is_ours && (1..=VERSION).contains(&version) {
        return Ok(());
    }
    Err(Error::row(format!(
        "it is no cask database of version 1 to {VERSION}"
    )))
}

/// Opens a connection to the database at `path`, which must exist and be ours.
pub(in crate::meta) fn open(path: &Path, role: Role) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = open_file(path, flags)?;
    log_statements(&mut conn)?;
    keep_log_on_close(&conn)?;
    check_ours(&conn)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    set_up(&conn, role)?;
    if version < VERSION {
        upgrade::upgrade(version, &conn)?;
    }
    if role == Role::Reader {
        // A query over all rows is one call: it is ended from within. What writes is never ended half way.
        conn.progress_handler(OPS_UNASKED, Some(|| !is_wanted()))?;
    }
    Ok(conn)
}

/// Else the last connection to close checkpoints, whether the chunks are durable or not (invariant 1).
fn keep_log_on_close(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

fn set_up(conn: &Connection, role: Role) -> Result<()> {
    conn.busy_timeout(Duration::from_secs(10))?;
    keep_log_on_close(conn)?;
    // Else SQLite plans a query anew whenever other values are bound to it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A commit is one append to the log, and readers go on beside it.
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // Commits are not synced one by one: fsync(2) and the checkpointer do that (`wal::growth`, `wal::checkpoint`).
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Else temporary tables are files in a directory that is not the volume's, and may be full.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", role.cache_size())?;
    // More statements take turns on the way of one request than the 16 that rusqlite keeps.
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}
