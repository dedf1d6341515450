//! `refused`: bytes of files that the kernel sent from its page cache and that could not be stored.
//!
//! The table is made when there is first something to say, so a program that does not know of it can open the database.

use std::ops::Range;

use rusqlite::params;

use crate::meta::schema;
use crate::meta::schema::text::sql;
use crate::meta::{Result, Session, WriteTx};
use crate::types::Ino;

const EXISTS: &str = "
    SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'refused')";
const ALL: &str = sql!("SELECT {refused} FROM refused ORDER BY ino, off");
const INSERT: &str = sql!("INSERT INTO refused ({refused}) VALUES ({refused params 1})");
/// Takes the rows away that have bytes in `?2..?3`, and returns them.
const TAKE: &str =
    "DELETE FROM refused WHERE ino = ?1 AND off < ?3 AND end > ?2 RETURNING off, end, full";
/// No file has a byte there.
const END: u64 = i64::MAX.cast_unsigned();
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
    /// Notes of a range of the file `ino` that it was refused, or is no more.
    pub fn note_refused(
        &mut self,
        ino: Ino,
        range: &Range<u64>,
        refusal: Option<Refusal>,
    ) -> Result<()> {
        if !self.has_refused()? {
            // SQLite makes tables within transactions as well: it goes with the row if that is not committed.
            self.run(schema::tables::REFUSED)?;
        }
        let ino = ino.raw().cast_signed();
        let (from, to) = (range.start.cast_signed(), range.end.min(END).cast_signed());
        let mut stmt = self.conn().prepare_cached(TAKE)?;
        let taken = stmt.query_map([ino, from, to], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let taken: Vec<(i64, i64, i64)> = taken.collect::<rusqlite::Result<_>>()?;
        let mut insert = self.conn().prepare_cached(INSERT)?;
        for (off, end, full) in taken {
            for (off, end) in [(off, end.min(from)), (off.max(to), end)] {
                if off < end {
                    insert.execute(params![ino, off, end, full])?;
                }
            }
        }
        if let Some(refusal) = refusal {
            insert.execute(params![ino, from, to, refusal == Refusal::Full])?;
        }
        Ok(())
    }

    /// Nothing is refused any more.
    pub fn clear_refused(&mut self) -> Result<()> {
        if self.has_refused()? {
            self.run(CLEAR)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Database;

    #[test]
    fn rows_are_cut_where_a_range_is_noted_or_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        Database::create(&path, |_| Ok(())).unwrap();
        let database = Database::open(&path).unwrap();
        let ino = Ino::from_raw(9);
        let note = |range: Range<u64>, refusal| {
            let mut tx = database.write().unwrap();
            tx.note_refused(ino, &range, refusal).unwrap();
            tx.commit().unwrap();
        };
        note(0..100, Some(Refusal::Full));
        note(40..60, Some(Refusal::Failed));
        note(50..70, None);
        let refused = database.read_once().unwrap().refused().unwrap();
        let found = refused.into_iter().map(|row| (row.range, row.refusal));
        let expected = [
            (0..40, Refusal::Full),
            (40..50, Refusal::Failed),
            (70..100, Refusal::Full),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
        note(0..u64::MAX, None);
        assert_eq!(database.read_once().unwrap().refused().unwrap(), []);
    }
}
