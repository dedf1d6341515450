//! The tables (docs/format.md explains each), and how a connection is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{Error, Result, upgrade};

/// `PRAGMA user_version` of the tables below.
pub(super) const VERSION: i64 = 4;
/// The first version that has the table `copying`.
pub(super) const WITH_COPYING: i64 = 4;
/// `PRAGMA application_id`: "Cask".
const APPLICATION_ID: i64 = 0x4361_736b;

const TABLES: &str = "
    CREATE TABLE inode (
        ino INTEGER PRIMARY KEY CHECK (ino > 0), born INTEGER NOT NULL,
        kind INTEGER NOT NULL, mode INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 4095),
        uid INTEGER NOT NULL, gid INTEGER NOT NULL,
        nlink INTEGER NOT NULL CHECK (nlink >= 0), size INTEGER NOT NULL CHECK (size >= 0),
        allocated INTEGER NOT NULL CHECK (allocated >= 0), rdev INTEGER NOT NULL,
        parent INTEGER NOT NULL, place INTEGER NOT NULL,
        atime INTEGER NOT NULL, atime_ns INTEGER NOT NULL,
        mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        target BLOB
    ) STRICT;
    CREATE TABLE inode_past (
        ino INTEGER NOT NULL, born INTEGER NOT NULL,
        kind INTEGER NOT NULL, mode INTEGER NOT NULL,
        uid INTEGER NOT NULL, gid INTEGER NOT NULL,
        nlink INTEGER NOT NULL, size INTEGER NOT NULL,
        allocated INTEGER NOT NULL, rdev INTEGER NOT NULL,
        parent INTEGER NOT NULL, place INTEGER NOT NULL,
        atime INTEGER NOT NULL, atime_ns INTEGER NOT NULL,
        mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        target BLOB,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX inode_past_died ON inode_past (died);

    CREATE TABLE dentry (
        parent INTEGER NOT NULL, name BLOB NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
        born INTEGER NOT NULL, ino INTEGER NOT NULL, cookie INTEGER NOT NULL,
        PRIMARY KEY (parent, name)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX dentry_cookie ON dentry (parent, cookie);
    CREATE TABLE dentry_past (
        parent INTEGER NOT NULL, name BLOB NOT NULL,
        born INTEGER NOT NULL, ino INTEGER NOT NULL, cookie INTEGER NOT NULL,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (parent, name, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX dentry_past_cookie ON dentry_past (parent, cookie);
    CREATE INDEX dentry_past_died ON dentry_past (died);

    CREATE TABLE extent (
        ino INTEGER NOT NULL, off INTEGER NOT NULL CHECK (off >= 0), born INTEGER NOT NULL,
        len INTEGER NOT NULL CHECK (len > 0), chunk INTEGER NOT NULL, chunk_off INTEGER NOT NULL,
        PRIMARY KEY (ino, off)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE extent_past (
        ino INTEGER NOT NULL, off INTEGER NOT NULL, born INTEGER NOT NULL,
        len INTEGER NOT NULL, chunk INTEGER NOT NULL, chunk_off INTEGER NOT NULL,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, off, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX extent_past_died ON extent_past (died);

    CREATE TABLE xattr (
        ino INTEGER NOT NULL, name BLOB NOT NULL, born INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (ino, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE xattr_past (
        ino INTEGER NOT NULL, name BLOB NOT NULL, born INTEGER NOT NULL, value BLOB NOT NULL,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, name, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX xattr_past_died ON xattr_past (died);

    CREATE TABLE chunk (
        id INTEGER PRIMARY KEY, hash BLOB NOT NULL CHECK (length(hash) = 32),
        segment INTEGER NOT NULL, off INTEGER NOT NULL,
        len INTEGER NOT NULL CHECK (len > 0), stored_len INTEGER NOT NULL,
        codec INTEGER NOT NULL, sums BLOB NOT NULL,
        refs INTEGER NOT NULL CHECK (refs > 0), shared INTEGER NOT NULL,
        live INTEGER NOT NULL CHECK (live BETWEEN 0 AND refs)
    ) STRICT;
    CREATE UNIQUE INDEX chunk_hash ON chunk (hash) WHERE shared = 1;

    CREATE TABLE snapshot (
        epoch INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
        numbers INTEGER NOT NULL, label TEXT NOT NULL DEFAULT '', held INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE purge (
        id INTEGER PRIMARY KEY, after INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE revived (
        epoch INTEGER NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY (epoch, ino)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE orphan (ino INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE setting (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO setting (key, value) VALUES ('numbers', 3), ('epoch', 1), ('checkpoints', 0);
";

/// What version 1 did not have: counts that are kept from one open to the next, and cuts across volumes.
pub(super) const SINCE_2: &str = "
    CREATE TABLE tally (
        inodes INTEGER NOT NULL, extents INTEGER NOT NULL, logical INTEGER NOT NULL,
        head_chunks INTEGER NOT NULL, head_plain INTEGER NOT NULL, head_stored INTEGER NOT NULL,
        past_chunks INTEGER NOT NULL, past_plain INTEGER NOT NULL, past_stored INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE segment (
        id INTEGER PRIMARY KEY, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE pending (
        epoch INTEGER PRIMARY KEY, cut TEXT NOT NULL, ledger TEXT NOT NULL, ledger_dir BLOB NOT NULL,
        taken INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO setting (key, value) VALUES ('counted', 0);
";

/// What version 2 did not have: with an inode, the last request that changed its entries or attributes.
pub(super) const SINCE_3: &str = "
    ALTER TABLE inode ADD COLUMN request INTEGER;
";

/// What version 3 did not have: copies whose extents are still to be written.
pub(super) const SINCE_4: &str = "
    CREATE TABLE copying (
        id INTEGER PRIMARY KEY, target INTEGER NOT NULL, off INTEGER NOT NULL CHECK (off >= 0),
        source INTEGER NOT NULL CHECK (source <> target), source_off INTEGER NOT NULL CHECK (source_off >= 0),
        len INTEGER NOT NULL CHECK (len > 0), bytes INTEGER NOT NULL CHECK (bytes >= 0)
    ) STRICT;
";

/// SQLite's VFS that keeps the lock on the database for as long as it is open, and the index of the log in
/// memory that the connections of this process share: no lock is taken by a system call, and there is no
/// `-shm` file (sqlite.org/vfs.html, "unix-excl"). A volume has one server, so nobody is kept out.
const VFS: &str = "unix-excl";

/// What a connection is for, which decides how much it may cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
}

impl Role {
    /// `PRAGMA cache_size`: negative means KiB.
    const fn cache_size(self) -> i64 {
        match self {
            Self::Writer => -24 * 1024,
            Self::Reader => -2 * 1024,
        }
    }
}

/// Makes a new database at `path`, which must not exist.
pub(super) fn create(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(path, flags, VFS)?;
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", VERSION)?;
    set_up(&conn, Role::Writer)?;
    conn.execute_batch(&format!(
        "BEGIN; {TABLES} {SINCE_2} {SINCE_3} {SINCE_4} COMMIT;"
    ))?;
    Ok(conn)
}

/// Makes a database at `path` that holds nothing, to be copied into. It is not synced on the way.
pub(super) fn open_empty(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(path, flags, VFS)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    Ok(conn)
}

/// Opens a copy that nobody else has open, for a repair: it is one file from then on, and is not synced.
pub(super) fn open_copy(path: &Path) -> Result<Connection> {
    let conn = open_damaged(path)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version < VERSION {
        upgrade::from(version, &conn)?;
    }
    conn.pragma_update(None, "journal_mode", "DELETE")?;
    conn.pragma_update(None, "journal_mode", "MEMORY")?;
    Ok(conn)
}

/// Opens what may be damaged, but is ours.
pub(super) fn open_damaged(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(path, flags, VFS)?;
    keep_log_on_close(&conn)?;
    check_ours(&conn)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", Role::Writer.cache_size())?;
    Ok(conn)
}

/// What is not ours is not changed, not even its journal mode.
fn check_ours(conn: &Connection) -> Result<()> {
    let found: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == APPLICATION_ID && (1..=VERSION).contains(&version) {
        return Ok(());
    }
    Err(Error::row(format!(
        "it is no cask database of version 1 to {VERSION}"
    )))
}

/// Opens a connection to the database at `path`, which must exist and be ours.
pub(super) fn open(path: &Path, role: Role) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags_and_vfs(path, flags, VFS)?;
    keep_log_on_close(&conn)?;
    check_ours(&conn)?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    set_up(&conn, role)?;
    if version < VERSION {
        upgrade::from(version, &conn)?;
    }
    Ok(conn)
}

/// Else the last connection to close checkpoints, whether the chunks are durable or not.
fn keep_log_on_close(conn: &Connection) -> Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

fn set_up(conn: &Connection, role: Role) -> Result<()> {
    conn.busy_timeout(Duration::from_secs(10))?;
    keep_log_on_close(conn)?;
    // Else SQLite plans a query anew whenever other values are bound to it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", role.cache_size())?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(())
}
