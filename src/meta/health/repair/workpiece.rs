//! A copy of a database, in one transaction, and what was changed of it so far.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;

use rusqlite::{OptionalExtension, Row, ToSql};

use crate::meta::schema::connect::{self, Added};
use crate::meta::schema::text::sql;
use crate::meta::{Error, Result, Session};
use crate::types::{ChunkId, Ino};

const GET: &str = "SELECT value FROM setting WHERE key = ?1";
const SET: &str = sql!(
    "INSERT INTO setting ({setting}) VALUES ({setting params 1})
     ON CONFLICT (key) DO UPDATE SET value = excluded.value"
);

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
    pub(super) session: Session,
    /// The epoch that rows are born in.
    pub(super) now: i64,
    /// The newest snapshot's.
    pub(super) newest: i64,
    /// Numbers from here on were never given out.
    pub(super) numbers: i64,
    mends: Vec<Mend>,
    /// Chunks that were found lost.
    pub(super) lost: BTreeSet<ChunkId>,
}

impl Workpiece {
    /// Opens the copy at `path`, and brings its tables to the present version.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when SQLite cannot use it, or finds damage in its structure.
    pub fn open(path: &Path) -> Result<Self> {
        let session = Session::of(connect::open_copy(path)?);
        let damage = session.integrity()?;
        if let Some(first) = damage.first() {
            return Err(Error::Corrupt(first.clone()));
        }
        let mends = match connect::add_sums(session.conn())? {
            Added::Now => vec![Mend {
                ino: None,
                what: "the pages of the database have sums from now on".to_owned(),
            }],
            Added::Before => Vec::new(),
        };
        // One transaction, which `finish` commits: without syncs and with its journal in memory, steps of their own
        // would gain nothing.
        session.run("BEGIN")?;
        Ok(Self {
            session,
            now: 1,
            newest: 0,
            numbers: 3,
            mends,
            lost: BTreeSet::new(),
        })
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

    pub(super) fn stored(&self, key: &str) -> Result<Option<i64>> {
        let mut stmt = self.session.conn().prepare_cached(GET)?;
        Ok(stmt.query_row([key], |row| row.get(0)).optional()?)
    }

    pub(super) fn store(&self, key: &str, value: i64) -> Result<()> {
        self.run(SET, &[&key, &value]).map(drop)
    }

    pub(super) fn fresh_number(&mut self) -> i64 {
        self.numbers += 1;
        self.numbers - 1
    }

    pub(super) fn note(&mut self, ino: impl Into<Option<i64>>, what: impl Into<String>) {
        let ino = ino.into().map(|ino| Ino::from_raw(ino.cast_unsigned()));
        let what = what.into();
        self.mends.push(Mend { ino, what });
    }

    pub(super) fn run(&self, sql: &str, values: &[&dyn ToSql]) -> Result<usize> {
        Ok(self.session.conn().prepare_cached(sql)?.execute(values)?)
    }

    pub(super) fn one<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
    ) -> Result<T> {
        let mut stmt = self.session.conn().prepare_cached(sql)?;
        Ok(stmt.query_row(values, |row| row.get(0))?)
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut stmt = self.session.conn().prepare_cached(sql)?;
        let rows = stmt.query_map(values, |row| read(row))?;
        rows.map(|row| Ok(row?)).collect()
    }

    pub(super) fn inos(&self, sql: &str) -> Result<Vec<i64>> {
        self.all(sql, &[], |row| row.get(0))
    }
}

impl Deref for Workpiece {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}
