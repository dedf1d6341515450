//! Pages that no page leads to any more, since the one that did is damaged: each is looked at as if it were its table.
//!
//! In a database that is whole, a page is used or known to be free. So what is neither is not old: the rows in it are
//! those of a table of which rows are missing. Where the free pages themselves are not known, nothing is taken.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::pages::{read_page, write_page};
use super::walk::{Table, damaged};
use crate::meta::schema::connect;
use crate::meta::vfs::page_sum::{Page, Sums};
use crate::meta::{Error, Result};

const CHECK: &str = "PRAGMA integrity_check(1000000)";
const ROOT: &str = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
/// What kinds of pages rows can be in.
const KINDS: [u8; 4] = [2, 5, 10, 13];
/// Tables that no other kind of page can be taken for, if those with more columns come first.
const KNOWN: [&str; 10] = [
    "inode_past",
    "inode",
    "chunk",
    "extent_past",
    "extent",
    "dentry_past",
    "dentry",
    "snapshot",
    "xattr_past",
    "xattr",
];

/// Stores in `target` the rows of tables that are `missed` and found in pages of the database at `from` that nothing
/// leads to.
pub(super) fn carve(
    from: &Path,
    tables: &[Table],
    (target, sums): (&Connection, Sums),
    missed: &[&'static str],
) -> Result<()> {
    let known = KNOWN
        .iter()
        .filter_map(|name| tables.iter().find(|one| one.name == *name));
    let known: Vec<&Table> = known.collect();
    if !known.iter().any(|table| missed.contains(&table.name)) {
        return Ok(());
    }
    let source = connect::open_damaged(from)?;
    let Some(pages) = unused(&source)? else {
        return Ok(());
    };
    let mut roots = Vec::new();
    for table in &known {
        let root: i64 = source.query_row(ROOT, [table.name], |row| row.get(0))?;
        roots.push(u32::try_from(root).unwrap_or(1));
    }
    drop(source);
    let bench = Bench::of(from, sums)?;
    for page in pages {
        for (table, root) in known.iter().zip(&roots) {
            let rows = bench.read(page, *root, table)?;
            if !rows.is_empty() && fits(target, table, &rows, missed)? {
                break;
            }
        }
    }
    Ok(())
}

/// The pages that are neither used nor free, if that is known.
fn unused(source: &Connection) -> Result<Option<Vec<u32>>> {
    let mut stmt = source.prepare(CHECK)?;
    let mut rows = stmt.query([])?;
    let mut found = Vec::new();
    loop {
        let text: String = match rows.next() {
            Ok(Some(row)) => row.get(0)?,
            Ok(None) => return Ok(Some(found)),
            // It looks at the pages first, and then at rows, which it cannot reach.
            Err(error) => return damaged(error).map(|()| Some(found)),
        };
        for line in text.lines() {
            if line.to_ascii_lowercase().contains("freelist") {
                return Ok(None);
            }
            let page = line
                .strip_prefix("Page ")
                .and_then(|rest| rest.strip_suffix(": never used"));
            found.extend(page.and_then(|page| page.parse::<u32>().ok()));
        }
    }
}

/// A copy of the damaged database, in which one page is the root of a table after another.
struct Bench {
    path: std::path::PathBuf,
    file: File,
    sums: Sums,
}

impl Bench {
    fn of(from: &Path, sums: Sums) -> Result<Self> {
        let path = from.with_extension("bench");
        fs::copy(from, &path).map_err(failed)?;
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(failed)?;
        Ok(Self { path, file, sums })
    }

    /// The rows below `page`, were it the root of `table`; none if it cannot be.
    fn read(&self, page: u32, root: u32, table: &Table) -> Result<Vec<Vec<Value>>> {
        let bytes = read_page(&self.file, page).map_err(failed)?;
        if !KINDS.contains(&bytes[0]) {
            return Ok(Vec::new());
        }
        let kept = self.swap(root, bytes)?;
        let rows = self.rows(table);
        self.swap(root, kept)?;
        match rows {
            Err(Error::Corrupt(_)) => Ok(Vec::new()),
            rows => rows,
        }
    }

    fn swap(&self, page: u32, bytes: Page) -> Result<Page> {
        let kept = read_page(&self.file, page).map_err(failed)?;
        write_page(&self.file, page, bytes, self.sums).map_err(failed)?;
        Ok(kept)
    }

    fn rows(&self, table: &Table) -> Result<Vec<Vec<Value>>> {
        // A connection for each look: one that stays open would answer from its cache.
        let source = connect::open_damaged(&self.path)?;
        // An index would lead to pages of its own, not to the one that is tried.
        let query = format!("SELECT {} FROM {} NOT INDEXED", table.columns, table.name);
        let mut stmt = source.prepare(&query)?;
        let count = stmt.column_count();
        let rows = stmt.query_map([], |row| (0..count).map(|i| row.get(i)).collect())?;
        rows.map(|row| Ok(row?)).collect()
    }
}

fn failed(source: io::Error) -> Error {
    Error::Wal {
        op: "look at pages beside",
        source,
    }
}

/// Whether these can be rows of the table, as its rules are; stores them if rows of it are missed.
fn fits(
    target: &Connection,
    table: &Table,
    rows: &[Vec<Value>],
    missed: &[&'static str],
) -> Result<bool> {
    // All rows of a page or none: if one breaks the table's rules, the page is of another table.
    target.execute_batch("SAVEPOINT page")?;
    let mut stmt = target.prepare_cached(&table.insert())?;
    for row in rows {
        match stmt.execute(params_from_iter(row)) {
            Ok(_) => {}
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                target.execute_batch("ROLLBACK TO page; RELEASE page")?;
                return Ok(false);
            }
            Err(e) => return Err(e.into()),
        }
    }
    if missed.contains(&table.name) {
        target.execute_batch("RELEASE page")?;
    } else {
        target.execute_batch("ROLLBACK TO page; RELEASE page")?;
    }
    Ok(true)
}
