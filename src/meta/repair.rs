//! A copy of a database that is being repaired: its rows are made to fit each other again.
//!
//! Works on a copy that nobody else has open, and that takes the database's place only when all of it fits:
//! nothing here is durable, or undone. What snapshots see of a row that is changed for the head's sake is kept.

mod chunks;
mod extents;
pub(super) mod history;
pub(super) mod past;
mod pieces;
pub(super) mod rows;
mod tree;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;

use rusqlite::{OptionalExtension, Row, ToSql};

use super::copying::{misplaced_copy, still_to_write};
use super::{Error, Result, Session, schema};

use crate::types::{ChunkId, Ino};
pub use chunks::Saved;

const NUMBERS: &str = "
    SELECT max(n) + 1 FROM (SELECT 2 AS n
        UNION ALL SELECT max(ino) FROM inode UNION ALL SELECT max(ino) FROM inode_past
        UNION ALL SELECT max(cookie) FROM dentry UNION ALL SELECT max(cookie) FROM dentry_past)";
const EPOCH: &str = "
    SELECT max(e) FROM (SELECT 1 AS e UNION ALL SELECT max(epoch) + 1 FROM snapshot
        UNION ALL SELECT max(born) FROM inode UNION ALL SELECT max(died) FROM inode_past
        UNION ALL SELECT max(born) FROM dentry UNION ALL SELECT max(died) FROM dentry_past
        UNION ALL SELECT max(born) FROM extent UNION ALL SELECT max(died) FROM extent_past
        UNION ALL SELECT max(born) FROM xattr UNION ALL SELECT max(died) FROM xattr_past)";
const COPYING: &str = "SELECT id FROM copying";
const COPY: &str = concat!(
    "INSERT OR IGNORE INTO extent (ino, off, born, len, chunk, chunk_off)
     SELECT ino, off, ?2, len, chunk, chunk_off FROM (",
    still_to_write!(),
    ") WHERE id = ?1"
);
// What is behind a copy can be less than it was, not more; and a file has allocated what it lacks.
const NONSENSE_COPIES: &str = concat!(
    "SELECT c.id FROM copying c
     LEFT JOIN inode s ON s.ino = c.source LEFT JOIN inode t ON t.ino = c.target
     WHERE bytes < (SELECT coalesce(sum(len), 0) FROM (",
    still_to_write!(),
    ") w WHERE w.id = c.id)
        OR s.kind <> 32768 OR c.source_off + c.len > s.size
        OR t.kind <> 32768 OR t.nlink > 0 AND t.allocated <
            (SELECT coalesce(sum(len), 0) FROM extent WHERE ino = c.target) +
            (SELECT sum(bytes) FROM copying WHERE target = c.target)
        OR ",
    misplaced_copy!()
);
const COPIED: &str = "DELETE FROM copying WHERE id = ?1";
const NEWEST: &str = "SELECT coalesce(max(epoch), 0) FROM snapshot";
const GET: &str = "SELECT value FROM setting WHERE key = ?1";
const SET: &str = "
    INSERT INTO setting (key, value) VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
/// The cause of each counter that a volume must have.
const COUNTERS: [&str; 2] = ["checkpoints", "counted"];

/// Something that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// What it is about, if it has a path.
    pub ino: Option<Ino>,
    /// What was done.
    pub what: String,
}

/// The copy.
#[derive(Debug)]
pub struct Workpiece {
    session: Session,
    /// The epoch that rows are born in.
    now: i64,
    /// The newest snapshot's.
    newest: i64,
    /// Numbers from here on were never given out.
    numbers: i64,
    mends: Vec<Mend>,
    /// Chunks that were found lost.
    lost: BTreeSet<ChunkId>,
}

impl Workpiece {
    /// Opens the copy at `path`, and brings its tables to the present version.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when SQLite cannot use it, or finds damage in its structure; I/O errors.
    pub fn open(path: &Path) -> Result<Self> {
        let session = Session::of(schema::open_copy(path)?);
        let damage = session.integrity()?;
        if let Some(first) = damage.first() {
            return Err(Error::Corrupt(first.clone()));
        }
        session.run("BEGIN")?;
        Ok(Self {
            session,
            now: 1,
            newest: 0,
            numbers: 3,
            mends: Vec::new(),
            lost: BTreeSet::new(),
        })
    }

    /// Makes all rows fit each other, but for what only the segments know.
    ///
    /// # Errors
    /// I/O errors.
    pub fn mend(&mut self) -> Result<()> {
        self.mend_rows()?;
        self.mend_counters()?;
        self.finish_copies()?;
        self.mend_tree()?;
        self.mend_history()?;
        self.mend_extents()?;
        self.store("numbers", self.numbers)
    }

    /// After the chunks: counts what names them. Nothing may be changed any more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when rows still do not fit each other; I/O errors.
    pub fn finish(&mut self) -> Result<()> {
        self.mend_mapping()?;
        self.count_refs()?;
        let left = self.session.audit()?;
        match left.first() {
            None => self.session.run("COMMIT"),
            Some(first) => Err(Error::Corrupt(format!(
                "{} things could not be mended, the first: {first}",
                left.len()
            ))),
        }
    }

    /// What was changed so far.
    #[must_use]
    pub fn mends(&self) -> &[Mend] {
        &self.mends
    }

    /// Chunks that were found lost so far.
    #[must_use]
    pub const fn lost(&self) -> &BTreeSet<ChunkId> {
        &self.lost
    }

    fn mend_counters(&mut self) -> Result<()> {
        self.newest = self.one(NEWEST, &[])?;
        self.numbers = self.at_least("numbers", NUMBERS)?;
        self.now = self.at_least("epoch", EPOCH)?;
        for counter in COUNTERS {
            if self.stored(counter)?.is_none() {
                self.store(counter, 0)?;
            }
        }
        Ok(())
    }

    /// Writes the extents of copies that were under way: what is lost of a source is lost of its target as well.
    fn finish_copies(&mut self) -> Result<()> {
        for id in self.inos(NONSENSE_COPIES)? {
            self.run(COPIED, &[&id])?;
            self.note(None, "a copy that was under way does not fit its files");
        }
        for id in self.inos(COPYING)? {
            self.run(COPY, &[&id, &self.now])?;
            self.run(COPIED, &[&id])?;
        }
        Ok(())
    }

    /// A counter must not be below what was counted.
    fn at_least(&mut self, key: &str, query: &str) -> Result<i64> {
        let (stored, least) = (self.stored(key)?, self.one::<i64>(query, &[])?);
        match stored {
            Some(stored) if stored >= least => Ok(stored),
            _ => {
                self.store(key, least)?;
                self.note(None, format!("the counter \"{key}\" is {least} again"));
                Ok(least)
            }
        }
    }

    fn stored(&self, key: &str) -> Result<Option<i64>> {
        let mut stmt = self.session.conn().prepare_cached(GET)?;
        Ok(stmt.query_row([key], |row| row.get(0)).optional()?)
    }

    fn store(&self, key: &str, value: i64) -> Result<()> {
        self.run(SET, &[&key, &value]).map(drop)
    }

    fn fresh_number(&mut self) -> i64 {
        self.numbers += 1;
        self.numbers - 1
    }

    fn note(&mut self, ino: impl Into<Option<i64>>, what: impl Into<String>) {
        let ino = ino.into().map(|ino| Ino::from_raw(ino.cast_unsigned()));
        let what = what.into();
        self.mends.push(Mend { ino, what });
    }

    fn run(&self, sql: &str, values: &[&dyn ToSql]) -> Result<usize> {
        Ok(self.session.conn().prepare_cached(sql)?.execute(values)?)
    }

    fn one<T: rusqlite::types::FromSql>(&self, sql: &str, values: &[&dyn ToSql]) -> Result<T> {
        let mut stmt = self.session.conn().prepare_cached(sql)?;
        Ok(stmt.query_row(values, |row| row.get(0))?)
    }

    fn all<T>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut stmt = self.session.conn().prepare_cached(sql)?;
        let rows = stmt.query_map(values, |row| read(row))?;
        rows.map(|row| Ok(row?)).collect()
    }

    fn inos(&self, sql: &str) -> Result<Vec<i64>> {
        self.all(sql, &[], |row| row.get(0))
    }
}

impl Deref for Workpiece {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}
