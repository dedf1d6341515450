//! What can still be read of a database that SQLite finds damaged, in a new one.
//!
//! Each table is walked from both ends, and between them wherever a step leads past the damage. Only what the tables
//! still lead to is taken: a page that was freed holds old rows, which would be other bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::{Connection, Row, Statement, params_from_iter};

use super::carve::carve;
use super::{Error, Result, schema};

const PAGE_BYTES: u64 = 4096;
/// Steps between the ends of one table.
const STEPS_MAX: usize = 4096;
/// The byte of a page that says what kind it is; of the first page, behind the file's header.
const FIRST_KIND_AT: usize = 100;
const INTERIOR: u8 = 5;
const PAGE_COUNT_AT: u64 = 28;
const CHANGES_AT: u64 = 24;

/// Each table, its key's first column, its key, and its columns.
const TABLES: [Table; 15] = [
    Table::of("setting", "rowid", "key", "key, value"),
    Table::of(
        "snapshot",
        "epoch",
        "epoch",
        "epoch, name, created, numbers, label, held",
    ),
    Table::of(
        "pending",
        "epoch",
        "epoch",
        "epoch, cut, ledger, ledger_dir, taken",
    ),
    Table::of("purge", "id", "id", "id, after, first, last"),
    Table::of(
        "copying",
        "id",
        "id",
        "id, target, off, source, source_off, len, bytes",
    ),
    Table::of("revived", "epoch", "epoch, ino", "epoch, ino"),
    Table::of("orphan", "ino", "ino", "ino"),
    Table::of("inode", "ino", "ino", INODE),
    Table::of("inode_past", "ino", "ino, born", INODE_PAST),
    Table::of(
        "dentry",
        "parent",
        "parent, name",
        "parent, name, born, ino, cookie",
    ),
    Table::of(
        "dentry_past",
        "parent",
        "parent, name, born",
        "parent, name, born, ino, cookie, died",
    ),
    Table::of(
        "extent",
        "ino",
        "ino, off",
        "ino, off, born, len, chunk, chunk_off",
    ),
    Table::of(
        "extent_past",
        "ino",
        "ino, off, born",
        "ino, off, born, len, chunk, chunk_off, died",
    ),
    Table::of("xattr", "ino", "ino, name", "ino, name, born, value"),
    Table::of(
        "xattr_past",
        "ino",
        "ino, name, born",
        "ino, name, born, value, died",
    ),
];
const CHUNK: Table = Table::of(
    "chunk",
    "id",
    "id",
    "id, hash, segment, off, len, stored_len, codec, sums, refs, shared, live",
);
const INODE: &str = "ino, born, kind, mode, uid, gid, nlink, size, allocated, rdev, parent, place,
    atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns, target";
const INODE_PAST: &str =
    "ino, born, kind, mode, uid, gid, nlink, size, allocated, rdev, parent, place,
    atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns, target, died";
// The index of the chunks that are shared tells their names again.
const NAMES: Table = Table {
    name: "chunk INDEXED BY chunk_hash",
    first: "",
    key: "hash",
    columns: "id, hash",
    only: "shared = 1",
};
// The index of entries by their places has all of them but the inode, which knows its own place.
const ENTRIES: Table = Table {
    name: "dentry INDEXED BY dentry_cookie",
    first: "parent",
    key: "parent, cookie",
    columns: "parent, cookie, name",
    only: "1",
};
const PLACES: &str = "
    CREATE TEMP TABLE place (parent INTEGER, cookie INTEGER, name BLOB, PRIMARY KEY (parent, cookie))";
const ADD_PLACE: &str = "INSERT OR IGNORE INTO temp.place VALUES (?1, ?2, ?3)";
// An entry was made after every snapshot before which its number was not given out, and after what had its name.
const ADD_ENTRIES: &str = "
    INSERT OR IGNORE INTO dentry (parent, name, born, ino, cookie)
    SELECT p.parent, p.name, max(
            coalesce((SELECT max(epoch) + 1 FROM snapshot WHERE numbers <= p.cookie), 1),
            coalesce((SELECT max(died) FROM dentry_past d WHERE d.parent = p.parent AND d.name = p.name), 1)),
        i.ino, p.cookie
    FROM temp.place p JOIN inode i ON i.parent = p.parent AND i.place = p.cookie
    WHERE i.nlink > 0 AND i.ino > 1";
const ADD_NAMED: &str = "
    INSERT OR IGNORE INTO chunk (id, hash, segment, off, len, stored_len, codec, sums, refs, shared, live)
    VALUES (?1, ?2, 0, 0, 1048576, 0, 0, x'', 1, 0, 0)";
// Past rows tell of snapshots: each began an epoch.
const FIND_SNAPSHOTS: &str = "
    INSERT OR IGNORE INTO snapshot (epoch, name, created, numbers, label, held)
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
          AND NOT EXISTS (SELECT 1 FROM purge p WHERE r.born > p.after AND r.died BETWEEN p.first AND p.last))";

const ANYTHING: &str = "
    SELECT 1 FROM inode UNION ALL SELECT 1 FROM dentry UNION ALL SELECT 1 FROM extent LIMIT 1";

/// A table, as it is walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    first: &'static str,
    key: &'static str,
    pub(super) columns: &'static str,
    only: &'static str,
}

impl Table {
    const fn of(
        name: &'static str,
        first: &'static str,
        key: &'static str,
        columns: &'static str,
    ) -> Self {
        Self {
            name,
            first,
            key,
            columns,
            only: "1",
        }
    }

    /// The rows whose key's first column is in a range, in one order or the other.
    fn query(&self, order: &str) -> String {
        let key: Vec<String> = self
            .key
            .split(", ")
            .map(|column| format!("{column} {order}"))
            .collect();
        // Other kinds of keys have no order to step in.
        let range = match self.key {
            "key" | "hash" => "?1 <= ?2".to_owned(),
            _ => format!("{} BETWEEN ?1 AND ?2", self.first),
        };
        format!(
            "SELECT {} FROM {} WHERE {range} AND {} ORDER BY {}",
            self.columns,
            self.name,
            self.only,
            key.join(", ")
        )
    }

    pub(super) fn insert(&self) -> String {
        let values: Vec<String> = (1..=self.columns.split(',').count())
            .map(|i| format!("?{i}"))
            .collect();
        format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
            self.name,
            self.columns,
            values.join(", ")
        )
    }
}

/// What a salvage could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The tables of which rows are lost.
    pub tables: Vec<&'static str>,
}

/// Makes a database at `to`, which must not exist, of what can be read of the one at `from`, which nobody has open,
/// and which may be changed.
///
/// # Errors
/// [`Error::Corrupt`] when nothing can be; I/O errors.
pub fn salvage(from: &Path, to: &Path) -> Result<Missed> {
    drop(schema::create(to)?);
    let target = schema::open_copy(to)?;
    let (mut source, first_pages) = open(from, to)?;
    target.execute_batch("BEGIN")?;
    let mut missed = Missed { tables: Vec::new() };
    let version: i64 = source.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for table in TABLES.iter().chain([&CHUNK]) {
        if table.name == "copying" && version < schema::WITH_COPYING {
            continue;
        }
        if walk(&source, table, |row| put(&target, table, row))? == Walked::Part {
            missed.tables.push(table.name);
        }
    }
    if first_pages == FirstPages::Own {
        drop(source);
        let tables: Vec<Table> = TABLES.iter().chain([&CHUNK]).copied().collect();
        carve(from, &tables, &target, &missed.tables)?;
        source = schema::open_damaged(from)?;
    }
    if missed.tables.contains(&CHUNK.name) {
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
fn open(from: &Path, fresh: &Path) -> Result<(Connection, FirstPages)> {
    if let Ok(source) = schema::open_damaged(from) {
        return Ok(match source.pragma_update(None, "journal_mode", "DELETE") {
            Ok(()) => (source, FirstPages::Own),
            Err(_) => (source, FirstPages::Grafted),
        });
    }
    graft(fresh, from).map_err(|source| Error::Wal {
        op: "put new first pages before",
        source,
    })?;
    Ok((schema::open_damaged(from)?, FirstPages::Grafted))
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

/// How much of a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walked {
    Whole,
    Part,
}

/// Calls `found` for each row that can be reached, some more than once.
fn walk(
    source: &Connection,
    table: &Table,
    mut found: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<Walked> {
    let prepared = [table.query("ASC"), table.query("DESC")].map(|query| source.prepare(&query));
    let [Ok(mut up), Ok(mut down)] = prepared else {
        return Ok(Walked::Part);
    };
    let at = table
        .columns
        .split(", ")
        .position(|column| column == table.first);
    // The widest gap first.
    let mut gaps = BinaryHeap::from([(u64::MAX, Reverse(i64::MIN), i64::MAX)]);
    let mut walked = Walked::Whole;
    for _ in 0..STEPS_MAX {
        let Some((_, Reverse(from), to)) = gaps.pop() else {
            break;
        };
        let Some(low) = step(&mut up, (from, to), at, &mut found)? else {
            continue;
        };
        walked = Walked::Part;
        let Some(high) = step(&mut down, (from, to), at, &mut found)? else {
            continue;
        };
        let (low, high) = (low.unwrap_or(from), high.unwrap_or(to));
        let width = high.abs_diff(low);
        if at.is_some() && low < high && width > 1 {
            let middle = low.midpoint(high);
            gaps.push((width / 2, Reverse(low + 1), middle));
            gaps.push((width / 2, Reverse(middle + 1), high - 1));
        }
    }
    Ok(walked)
}

/// Reads on until the end, or the damage: then returns the last key before it, if there was any.
fn step(
    stmt: &mut Statement<'_>,
    (from, to): (i64, i64),
    key: Option<usize>,
    found: &mut impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<Option<Option<i64>>> {
    let mut last = None;
    let Ok(mut rows) = stmt.query([from, to]) else {
        return Ok(Some(None));
    };
    loop {
        match rows.next() {
            Ok(None) => return Ok(None),
            Ok(Some(row)) => {
                last = key.and_then(|at| row.get::<_, i64>(at).ok()).or(last);
                found(row)?;
            }
            Err(error) => return damaged(error).map(|()| Some(last)),
        }
    }
}

/// Passes on what is no damage.
pub(super) fn damaged(error: rusqlite::Error) -> Result<()> {
    match Error::from(error) {
        Error::Corrupt(_) => Ok(()),
        error => Err(error),
    }
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

/// Puts the pages that hold the schema of the database at `from` in place of those of the one at `to`.
fn graft(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::options().read(true).write(true).open(to)?;
    let pages = target.metadata()?.len() / PAGE_BYTES;
    let first = read_page(&source, 1)?;
    for page in below(&first).into_iter().chain([1]) {
        let bytes = read_page(&source, page)?;
        target.write_all_at(&bytes, (u64::from(page) - 1) * PAGE_BYTES)?;
    }
    // A count of changes that does not match has SQLite measure the file itself.
    target.write_all_at(&u32::MAX.to_be_bytes(), CHANGES_AT)?;
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    target.write_all_at(&pages.to_be_bytes(), PAGE_COUNT_AT)
}

fn read_page(file: &File, page: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    file.read_exact_at(&mut bytes, (u64::from(page) - 1) * PAGE_BYTES)?;
    Ok(bytes)
}

/// The pages that the first one, if it is an interior page, leads to (sqlite.org/fileformat2.html, section 1.6).
fn below(first: &[u8]) -> Vec<u32> {
    let header = &first[FIRST_KIND_AT..];
    if header.first() != Some(&INTERIOR) {
        return Vec::new();
    }
    let word = |at: usize| {
        let mut four = [0; 4];
        let read = (&first[at..]).read_exact(&mut four);
        read.map_or(0, |()| u32::from_be_bytes(four))
    };
    let cells = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let cell = |i: usize| {
        let at = FIRST_KIND_AT + 12 + 2 * i;
        usize::from(u16::from_be_bytes([first[at], first[at + 1]]))
    };
    (0..cells)
        .map(|i| word(cell(i)))
        .chain([word(FIRST_KIND_AT + 8)])
        .filter(|&page| page > 1)
        .collect()
}
