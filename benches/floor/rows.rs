//! Names and attributes in SQLite, too: one transaction a change, in the fewest tables and rows that can say it, without
//! snapshots, counts, sums or shared chunks. Its log is made durable beside what was written, as cask does.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use fuser::FileAttr;
use rusqlite::{Connection, params};

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    CREATE TABLE inode (ino INTEGER PRIMARY KEY, mode INTEGER, nlink INTEGER, uid INTEGER, gid INTEGER, size INTEGER,
        atime INTEGER, mtime INTEGER, ctime INTEGER);
    CREATE TABLE entry (parent INTEGER, name BLOB, ino INTEGER, PRIMARY KEY (parent, name)) WITHOUT ROWID;
    CREATE TABLE extent (ino INTEGER, offset INTEGER, place INTEGER, length INTEGER, PRIMARY KEY (ino, offset))
        WITHOUT ROWID;";

/// The database, and the thread that flushes its log.
pub(crate) struct Rows {
    database: Mutex<Connection>,
    flush: SyncSender<()>,
    flushed: Mutex<Receiver<()>>,
}

/// What one request changes.
pub(crate) enum Row<'a> {
    Inode(FileAttr),
    NoInode(u64),
    Entry(u64, &'a OsStr, u64),
    NoEntry(u64, &'a OsStr),
    Extent { ino: u64, offset: u64, length: u64 },
}

impl Rows {
    pub(crate) fn create(path: &Path) -> Self {
        let database = Connection::open(path).unwrap();
        database.execute_batch(TABLES).unwrap();
        let log = Arc::new(File::open(path.with_extension("db-wal")).unwrap());
        let (flush, asked) = sync_channel(1);
        let (done, flushed) = sync_channel(1);
        thread::spawn(move || {
            while asked.recv().is_ok() {
                log.sync_data().unwrap();
                done.send(()).unwrap();
            }
        });
        Self {
            database: Mutex::new(database),
            flush,
            flushed: Mutex::new(flushed),
        }
    }

    /// Commits `rows` together.
    pub(crate) fn commit(&self, rows: &[Row<'_>]) {
        let database = self.database.lock().unwrap();
        database
            .prepare_cached("BEGIN IMMEDIATE")
            .unwrap()
            .execute([])
            .unwrap();
        for row in rows {
            store(&database, row);
        }
        database
            .prepare_cached("COMMIT")
            .unwrap()
            .execute([])
            .unwrap();
    }

    /// Makes the log durable while `other` runs.
    pub(crate) fn sync_beside(&self, other: impl FnOnce()) {
        let flushed = self.flushed.lock().unwrap();
        self.flush.send(()).unwrap();
        other();
        flushed.recv().unwrap();
    }
}

fn nanos(time: std::time::SystemTime) -> i64 {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_nanos() as i64
}

fn store(database: &Connection, row: &Row<'_>) {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        database
            .prepare_cached(sql)
            .unwrap()
            .execute(values)
            .unwrap();
    };
    match *row {
        Row::Inode(attr) => run(
            "INSERT OR REPLACE INTO inode VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                attr.ino.0 as i64,
                attr.perm,
                attr.nlink,
                attr.uid,
                attr.gid,
                attr.size as i64,
                nanos(attr.atime),
                nanos(attr.mtime),
                nanos(attr.ctime)
            ],
        ),
        Row::NoInode(ino) => {
            run("DELETE FROM extent WHERE ino = ?1", params![ino as i64]);
            run("DELETE FROM inode WHERE ino = ?1", params![ino as i64]);
        }
        Row::Entry(parent, name, ino) => run(
            "INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3)",
            params![parent as i64, name.as_bytes(), ino as i64],
        ),
        Row::NoEntry(parent, name) => run(
            "DELETE FROM entry WHERE parent = ?1 AND name = ?2",
            params![parent as i64, name.as_bytes()],
        ),
        Row::Extent {
            ino,
            offset,
            length,
        } => run(
            "INSERT OR REPLACE INTO extent VALUES (?1, ?2, 0, ?3)",
            params![ino as i64, offset as i64, length as i64],
        ),
    }
}
