//! What can still be read of a database that SQLite finds damaged, in a new one.
//!
//! Each table is walked from both ends, and between them wherever a step leads past the damage. Only what the tables
//! still lead to is taken: a page that was freed holds old rows, which would be other bytes.

mod carve;
mod graft;
mod pages;
mod walk;

use std::io;
use std::path::Path;

use rusqlite::{Connection, Row, params_from_iter};

use carve::carve;
use graft::graft;
use walk::{Table, Walked, walk};

use crate::meta::schema::connect;
use crate::meta::schema::text::sql;
use crate::meta::schema::upgrade::WITH_COPYING;
use crate::meta::vfs::page_sum::Sums;
use crate::meta::{Error, Result};

/// Each table, its key's first column, its key, and its columns.
const TABLES: [Table; 16] = [
    Table::of("setting", "rowid", "key", sql!("{setting}")),
    Table::of("snapshot", "epoch", "epoch", sql!("{snapshot}")),
    Table::of("pending", "epoch", "epoch", sql!("{pending}")),
    Table::of("purge", "id", "id", sql!("{purge}")),
    Table::of("copying", "id", "id", sql!("{copying}")),
    Table::of("revived", "epoch", "epoch, ino", sql!("{revived}")),
    Table::of("orphan", "ino", "ino", sql!("{orphan}")),
    Table::of("inode", "ino", "ino", sql!("{inode}")),
    Table::of("inode_past", "ino", "ino, born", sql!("{inode}, died")),
    Table::of("dentry", "parent", "parent, name", sql!("{dentry}")),
    Table::of(
        "dentry_past",
        "parent",
        "parent, name, born",
        sql!("{dentry}, died"),
    ),
    Table::of("extent", "ino", "ino, off", sql!("{extent}")),
    Table::of(
        "extent_past",
        "ino",
        "ino, off, born",
        sql!("{extent}, died"),
    ),
    Table::of("xattr", "ino", "ino, name", sql!("{xattr}")),
    Table::of(
        "xattr_past",
        "ino",
        "ino, name, born",
        sql!("{xattr}, died"),
    ),
    Table::of(CHUNK, "id", "id", sql!("{chunk}")),
];
const CHUNK: &str = "chunk";
// The index of the chunks that are shared tells their names again.
const NAMES: Table =
    Table::of("chunk INDEXED BY chunk_hash", "", "hash", "id, hash").only("shared = 1");
// The index of entries by their places has all of them but the inode, which knows its own place.
const ENTRIES: Table = Table::of(
    "dentry INDEXED BY dentry_cookie",
    "parent",
    "parent, cookie",
    "parent, cookie, name",
);
const PLACES: &str = "
    CREATE TEMP TABLE place (parent INTEGER, cookie INTEGER, name BLOB, PRIMARY KEY (parent, cookie))";
const ADD_PLACE: &str = "INSERT OR IGNORE INTO temp.place VALUES (?1, ?2, ?3)";
// An entry was made after every snapshot before which its number was not given out, and after what had its name.
const ADD_ENTRIES: &str = sql!(
    "INSERT OR IGNORE INTO dentry ({dentry})
    SELECT p.parent, p.name, max(
            coalesce((SELECT max(epoch) + 1 FROM snapshot WHERE numbers <= p.cookie), 1),
            coalesce((SELECT max(died) FROM dentry_past d WHERE d.parent = p.parent AND d.name = p.name), 1)),
        i.ino, p.cookie
    FROM temp.place p JOIN inode i ON i.parent = p.parent AND i.place = p.cookie
    WHERE i.nlink > 0 AND i.ino > 1"
);
const ADD_NAMED: &str = sql!(
    "INSERT OR IGNORE INTO chunk ({chunk}) VALUES (?1, ?2, 0, 0, 1048576, 0, 0, x'', 1, 0, 0)"
);
// Past rows tell of snapshots: each began an epoch.
const FIND_SNAPSHOTS: &str = sql!(
    "INSERT OR IGNORE INTO snapshot ({snapshot})
    SELECT e, 'found-' || e, unixepoch(), (SELECT max(n) + 1 FROM (SELECT 2 AS n
            UNION ALL SELECT max(ino) FROM inode WHERE born <= e
            UNION ALL SELECT max(ino) FROM inode_past WHERE born <= e
            UNION ALL SELECT max(cookie) FROM dentry WHERE born <= e
            UNION ALL SELECT max(cookie) FROM dentry_past WHERE born <= e)),
        'found by a repair', 0
    FROM (SELECT DISTINCT died - 1 AS e FROM (
        SELECT born, died FROM inode_past UNION ALL SELECT born, died FROM dentry_past
        UNION ALL SELECT born, died FROM extent_past UNION ALL SELECT born, died FROM xattr_past) r
        WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE epoch >= r.born AND epoch < r.died)
          AND NOT EXISTS (SELECT 1 FROM purge p WHERE r.born > p.after AND r.died BETWEEN p.first AND p.last))"
);

const ANYTHING: &str = "
    SELECT 1 FROM inode UNION ALL SELECT 1 FROM dentry UNION ALL SELECT 1 FROM extent LIMIT 1";

/// What a salvage could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The tables of which rows are lost.
    pub tables: Vec<&'static str>,
    /// Pages in which one bit had changed, which was put right: by their numbers.
    pub mended: Vec<u32>,
}

/// Makes a database at `to`, which must not exist, of what can be read of the one at `from`, which nobody has open,
/// and which may be changed.
///
/// # Errors
/// [`Error::Corrupt`] when nothing can be.
pub fn salvage(from: &Path, to: &Path) -> Result<Missed> {
    drop(connect::create(to)?);
    let target = connect::open_copy(to)?;
    let sums = pages::sums_of(from).map_err(failed)?;
    let mended = match sums {
        Sums::Kept => pages::mend_bits(from).map_err(failed)?,
        Sums::Absent => Vec::new(),
    };
    let (mut source, first_pages) = open(from, sums)?;
    target.execute_batch("BEGIN")?;
    let mut missed = Missed {
        tables: Vec::new(),
        mended,
    };
    let version: i64 = source.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for table in &TABLES {
        if table.name == "copying" && version < WITH_COPYING {
            continue;
        }
        if walk(&source, table, |row| put(&target, table, row))? == Walked::Part {
            missed.tables.push(table.name);
        }
    }
    if first_pages == FirstPages::Own {
        drop(source);
        carve(from, &TABLES, (&target, sums), &missed.tables)?;
        source = connect::open_damaged(from)?;
    }
    // Only of tables that miss rows: what a whole table does not have was removed.
    if missed.tables.contains(&CHUNK) {
        walk(&source, &NAMES, |row| put_named(&target, row))?;
    }
    if missed.tables.contains(&"snapshot") {
        target.execute(FIND_SNAPSHOTS, [])?;
    }
    if missed.tables.contains(&"dentry") {
        find_entries(&source, &target)?;
    }
    if !target.prepare(ANYTHING)?.exists([])? {
        return Err(Error::Corrupt("no file can be read from it".to_owned()));
    }
    target.execute_batch("COMMIT")?;
    Ok(missed)
}

/// Whose pages say where each table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstPages {
    Own,
    /// Those of a new database, where it is the same. They do not say which pages are free.
    Grafted,
}

/// Opens what may be damaged, without a log if that can be moved into it.
fn open(from: &Path, sums: Sums) -> Result<(Connection, FirstPages)> {
    if let Ok(source) = connect::open_damaged(from) {
        return Ok(match source.pragma_update(None, "journal_mode", "DELETE") {
            Ok(()) => (source, FirstPages::Own),
            // The log cannot be moved into the file, which then does not know all free pages either: nothing is carved
            // from it.
            Err(_) => (source, FirstPages::Grafted),
        });
    }
    let fresh = from.with_extension("fresh");
    drop(connect::create_with(&fresh, sums)?);
    drop(connect::open_copy(&fresh)?);
    graft(&fresh, from, sums).map_err(failed)?;
    Ok((connect::open_damaged(from)?, FirstPages::Grafted))
}

fn failed(source: io::Error) -> Error {
    Error::Wal {
        op: "look at the pages beside",
        source,
    }
}

fn find_entries(source: &Connection, target: &Connection) -> Result<()> {
    target.execute(PLACES, [])?;
    walk(source, &ENTRIES, |row| {
        let place: (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        unless_constraint(target.prepare_cached(ADD_PLACE)?.execute(place))
    })?;
    target.execute(ADD_ENTRIES, [])?;
    Ok(())
}

/// Stores a row; one that breaks the rules of its table is damage itself.
fn put(target: &Connection, table: &Table, row: &Row<'_>) -> Result<()> {
    let count = table.columns.split(',').count();
    let mut values = Vec::with_capacity(count);
    for i in 0..count {
        values.push(row.get::<_, rusqlite::types::Value>(i)?);
    }
    let stored = target
        .prepare_cached(&table.insert())?
        .execute(params_from_iter(values));
    unless_constraint(stored)
}

fn put_named(target: &Connection, row: &Row<'_>) -> Result<()> {
    let (id, hash): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
    unless_constraint(target.prepare_cached(ADD_NAMED)?.execute((id, hash)))
}

fn unless_constraint(stored: rusqlite::Result<usize>) -> Result<()> {
    match stored {
        Ok(_) => Ok(()),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
