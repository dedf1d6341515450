//! `refused`: bytes of files that the kernel sent from its page cache and that could not be stored.
//!
//! The table is made when there is first something to say, so a program that does not know of it can open the database.

use std::ops::Range;

use rusqlite::params;

use super::{Result, Session, WriteTx};
use crate::types::Ino;

const EXISTS: &str = "
    SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'refused')";
const MAKE: &str = "
    CREATE TABLE refused (
        ino INTEGER NOT NULL, off INTEGER NOT NULL CHECK (off >= 0), end INTEGER NOT NULL CHECK (end > off),
        full INTEGER NOT NULL CHECK (full IN (0, 1)), PRIMARY KEY (ino, off)
    ) STRICT, WITHOUT ROWID";
const ALL: &str = "SELECT ino, off, end, full FROM refused ORDER BY ino, off";
const INSERT: &str = "INSERT INTO refused (ino, off, end, full) VALUES (?1, ?2, ?3, ?4)";
const FORGET: &str = "DELETE FROM refused WHERE ino = ?1";
const CLEAR: &str = "DELETE FROM refused";

/// Why a write was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There was no space.
    Full,
    /// Something failed.
    Failed,
}

/// A range of a file that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRange {
    /// The file.
    pub ino: Ino,
    /// Its bytes; not empty.
    pub range: Range<u64>,
    /// Why.
    pub refusal: Refusal,
}

impl Session {
    fn has_refused(&self) -> Result<bool> {
        let mut stmt = self.conn().prepare_cached(EXISTS)?;
        Ok(stmt.query_row([], |row| row.get(0))?)
    }

    /// All ranges that were refused, by file and offset.
    ///
    /// # Errors
    /// I/O errors.
    pub fn refused(&self) -> Result<Vec<RefusedRange>> {
        if !self.has_refused()? {
            return Ok(Vec::new());
        }
        let mut stmt = self.conn().prepare_cached(ALL)?;
        let rows = stmt.query_map([], |row| {
            let [ino, off, end] = [row.get(0)?, row.get(1)?, row.get(2)?].map(i64::cast_unsigned);
            Ok(RefusedRange {
                ino: Ino::from_raw(ino),
                range: off..end,
                refusal: match row.get(3)? {
                    true => Refusal::Full,
                    false => Refusal::Failed,
                },
            })
        })?;
        rows.map(|row| Ok(row?)).collect()
    }
}

impl WriteTx<'_> {
    /// Notes what of the file `ino` was refused, in place of what was noted of it before.
    ///
    /// # Errors
    /// I/O errors.
    pub fn set_refused(&mut self, ino: Ino, ranges: &[(Range<u64>, Refusal)]) -> Result<()> {
        if !self.has_refused()? {
            self.run(MAKE)?;
        }
        let ino = ino.raw().cast_signed();
        self.conn().prepare_cached(FORGET)?.execute([ino])?;
        let mut insert = self.conn().prepare_cached(INSERT)?;
        for (range, refusal) in ranges {
            let (off, end) = (range.start.cast_signed(), range.end.cast_signed());
            insert.execute(params![ino, off, end, *refusal == Refusal::Full])?;
        }
        Ok(())
    }

    /// Nothing is refused any more.
    ///
    /// # Errors
    /// I/O errors.
    pub fn clear_refused(&mut self) -> Result<()> {
        if self.has_refused()? {
            self.run(CLEAR)?;
        }
        Ok(())
    }
}
