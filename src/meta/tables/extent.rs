//! `extent` and `extent_past`: which chunk holds which bytes of which file.

use std::ops::Range;

use rusqlite::{OptionalExtension, Rows, params};

use crate::meta::schema::text::sql;
use crate::meta::tables::chunk::{Missing, read_place};
use crate::meta::{Error, Result, Session, WriteTx};
use crate::types::{ChunkId, Epoch, Ino, Location, PageSums};

// An extent that begins before the range may reach into it: it is the last one that begins there.
macro_rules! overlapping {
    () => {
        "e.ino = ?1 AND e.off < ?3 AND e.off >= coalesce(
            (SELECT max(off) FROM extent WHERE ino = ?1 AND off <= ?2), ?2)"
    };
}

const ROWS: &str = concat!(
    "SELECT e.off, e.len, e.born, e.chunk, e.chunk_off FROM extent e WHERE ",
    overlapping!(),
    " ORDER BY e.off LIMIT ?4"
);
const STORED: &str = sql!(
    "SELECT {c.chunk segment..sums}, e.off, e.len, e.chunk_off, e.chunk
     FROM extent e LEFT JOIN chunk c ON c.id = e.chunk WHERE ",
    overlapping!(),
    " ORDER BY e.off"
);
const COVERED: &str = concat!(
    "SELECT coalesce(sum(max(min(e.off + e.len, ?3) - max(e.off, ?2), 0)), 0) FROM extent e WHERE ",
    overlapping!()
);
const NTH_FROM_END: &str = "
    SELECT off FROM extent WHERE ino = ?1 AND off >= ?2 ORDER BY off DESC LIMIT 1 OFFSET ?3";
const INSERT: &str = sql!("INSERT INTO extent ({extent}) VALUES ({extent params 1})");
const DELETE: &str = "DELETE FROM extent WHERE ino = ?1 AND off = ?2";
const NTH: &str = "
    SELECT off FROM extent WHERE ino = ?1 AND off >= ?2 AND off < ?3 ORDER BY off LIMIT 1 OFFSET ?4";
const MEASURE: &str = "
    SELECT count(*), coalesce(sum(len), 0) FROM extent WHERE ino = ?1 AND off >= ?2 AND off < ?3";
const COPY: &str = sql!(
    "INSERT INTO extent ({extent})
     SELECT ?4, off + ?5, ?6, {extent len..chunk_off} FROM extent
     WHERE ino = ?1 AND off >= ?2 AND off < ?3"
);
const KEEP: &str = sql!(
    "INSERT INTO extent_past ({extent}, died) SELECT {extent}, ?3 FROM extent
     WHERE ino = ?1 AND off = ?2"
);

/// A live extent row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtentRow {
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// The epoch that it was written in.
    pub born: Epoch,
    /// The chunk that holds its bytes.
    pub chunk: ChunkId,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
}

impl ExtentRow {
    /// The offset behind its last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.off + self.len
    }

    /// The part of it that lies in `range`, if any.
    #[must_use]
    pub fn clip(&self, range: &Range<u64>) -> Option<Self> {
        let (off, len, chunk_off) = clipped((self.off, self.len, self.chunk_off), range)?;
        Some(Self {
            off,
            len,
            chunk_off,
            ..*self
        })
    }
}

/// Where the part of an extent that lies in `range` begins, its length, and where in the chunk it begins, if there is one.
fn clipped((off, len, chunk_off): (u64, u64, u64), range: &Range<u64>) -> Option<(u64, u64, u64)> {
    let (start, end) = (off.max(range.start), (off + len).min(range.end));
    (start < end).then(|| (start, end - start, chunk_off + (start - off)))
}

/// An extent with the place of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredExtent {
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
    /// The chunk's row.
    pub chunk: ChunkId,
    /// Where the chunk is.
    pub at: Location,
    /// The checksums of the chunk's pages.
    pub sums: PageSums,
}

impl StoredExtent {
    /// The part of it that lies in `range`, if any.
    #[must_use]
    pub fn clip(&self, range: &Range<u64>) -> Option<Self> {
        let (off, len, chunk_off) = clipped((self.off, self.len, self.chunk_off), range)?;
        Some(Self {
            off,
            len,
            chunk_off,
            ..self.clone()
        })
    }
}

/// What [`WriteTx::clear_range`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleared {
    /// Bytes that are no longer allocated.
    pub bytes: u64,
    /// Rows that were changed: if there are any, the file's inode has changed as well.
    pub rows: usize,
    /// Whether extents are left in the range, because the limit was reached.
    pub unfinished: bool,
}

/// Reads extents with the places of their bytes, from the columns of [`STORED`], but those that end by `start`.
pub(in crate::meta) fn read_stored(
    mut rows: Rows<'_>,
    ino: Ino,
    start: u64,
) -> Result<Vec<StoredExtent>> {
    let mut extents = Vec::new();
    while let Some(row) = rows.next()? {
        let uint = |i: usize| row.get::<_, i64>(i).map(i64::cast_unsigned);
        let (off, len, chunk_off) = (uint(6)?, uint(7)?, uint(8)?);
        if row.get::<_, Option<i64>>(0)?.is_none() {
            return Err(Error::row(format!(
                "byte {off} of {ino} names a chunk that is not there"
            )));
        }
        let (at, sums) = read_place(row, 0)?;
        if off + len > start {
            extents.push(StoredExtent {
                off,
                len,
                chunk_off,
                chunk: ChunkId(row.get(9)?),
                at,
                sums,
            });
        }
    }
    Ok(extents)
}

impl Session {
    /// The extents that have bytes in `range`, by offset, with the places of their bytes, and those that a copy has
    /// still to write. That is more than one query: outside a transaction they may see different states.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an extent names a chunk that is not there.
    pub fn stored_extents(&self, ino: Ino, range: &Range<u64>) -> Result<Vec<StoredExtent>> {
        let mut extents = self.own_extents(ino, range)?;
        if self.may_be_copying() {
            self.add_copied(ino, range, &mut extents)?;
        }
        Ok(extents)
    }

    /// The extents that have bytes in `range`, whole, by offset, with the places of their bytes.
    pub(super) fn own_extents(&self, ino: Ino, range: &Range<u64>) -> Result<Vec<StoredExtent>> {
        let mut stmt = self.conn().prepare_cached(STORED)?;
        let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
        let rows = stmt.query(params![ino.raw().cast_signed(), start, end])?;
        read_stored(rows, ino, range.start)
    }

    /// Where the last `count` extents from `from` on begin; `None` when there are fewer.
    pub fn tail_start(&self, ino: Ino, from: u64, count: usize) -> Result<Option<u64>> {
        let mut stmt = self.conn().prepare_cached(NTH_FROM_END)?;
        let nth = i64::try_from(count).unwrap_or(i64::MAX);
        let values = params![ino.raw().cast_signed(), from.cast_signed(), nth];
        let off = stmt
            .query_row(values, |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(off.map(i64::cast_unsigned))
    }

    /// Where the extent begins before which `count` others begin in `range`; `None` when there are no more.
    pub fn nth_start(&self, ino: Ino, range: &Range<u64>, count: usize) -> Result<Option<u64>> {
        let mut stmt = self.conn().prepare_cached(NTH)?;
        let nth = i64::try_from(count).unwrap_or(i64::MAX);
        let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
        let values = params![ino.raw().cast_signed(), start, end, nth];
        let off = stmt
            .query_row(values, |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(off.map(i64::cast_unsigned))
    }

    /// How many bytes of `range` extents cover.
    pub fn covered(&self, ino: Ino, range: &Range<u64>) -> Result<u64> {
        let values = [ino.raw(), range.start, range.end].map(u64::cast_signed);
        let mut stmt = self.conn().prepare_cached(COVERED)?;
        let bytes: i64 = stmt.query_row(values, |row| row.get(0))?;
        Ok(bytes.cast_unsigned())
    }

    /// At most `limit` extents that have bytes in `range`, whole, by offset; not those that a copy has still to write.
    pub fn extents(&self, ino: Ino, range: &Range<u64>, limit: usize) -> Result<Vec<ExtentRow>> {
        let mut stmt = self.conn().prepare_cached(ROWS)?;
        let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = stmt.query_map(params![ino.raw().cast_signed(), start, end, limit], |row| {
            Ok(ExtentRow {
                off: row.get::<_, i64>(0)?.cast_unsigned(),
                len: row.get::<_, i64>(1)?.cast_unsigned(),
                born: Epoch(row.get(2)?),
                chunk: ChunkId(row.get(3)?),
                chunk_off: row.get::<_, i64>(4)?.cast_unsigned(),
            })
        })?;
        let mut extents = Vec::new();
        for row in rows {
            let row = row?;
            if row.end() > range.start {
                extents.push(row);
            }
        }
        Ok(extents)
    }
}

impl WriteTx<'_> {
    /// Maps bytes of a file to a chunk, whose reference is counted already. The range must be clear.
    pub fn put_extent(&mut self, ino: Ino, extent: &ExtentRow) -> Result<()> {
        self.conn().prepare_cached(INSERT)?.execute(params![
            ino.raw().cast_signed(),
            extent.off.cast_signed(),
            extent.born.0,
            extent.len.cast_signed(),
            extent.chunk.0,
            extent.chunk_off.cast_signed(),
        ])?;
        self.tally.extents += 1;
        self.tally.logical += extent.len.cast_signed();
        Ok(())
    }

    /// Maps what extents of `source` that begin in `range` hold, to `target` as well, from `to` on, which must be
    /// clear. No extent may reach over the end of the range. Returns how many bytes that are.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a chunk is not there, if that is to be refused.
    pub(super) fn copy_extents(
        &mut self,
        (source, range): (Ino, &Range<u64>),
        (target, to): (Ino, u64),
        missing: Missing,
    ) -> Result<u64> {
        let (ino, start, end) = (
            source.raw().cast_signed(),
            range.start.cast_signed(),
            range.end.cast_signed(),
        );
        let (rows, bytes) = self
            .conn()
            .prepare_cached(MEASURE)?
            .query_row(params![ino, start, end], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
        // Before the copy, which may be in the same file.
        self.add_refs(source, range, rows, missing)?;
        self.conn().prepare_cached(COPY)?.execute(params![
            ino,
            start,
            end,
            target.raw().cast_signed(),
            to.cast_signed() - start,
            self.epoch().0,
        ])?;
        self.tally.extents += rows;
        self.tally.logical += bytes;
        Ok(bytes.cast_unsigned())
    }

    /// The epoch that rows are born in now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epochs().current
    }

    /// Unmaps `range` of a file, `limit` extents at most, from its start on; what reaches over the
    /// ends of the range is cut there. Copies that the range matters to are finished or give it up first.
    pub fn clear_range(&mut self, ino: Ino, range: &Range<u64>, limit: usize) -> Result<Cleared> {
        let given_up = self.finish_or_give_up_copies(ino, range)?;
        debug_assert!(
            self.is_free_of_copies(ino, range)?,
            "no copy reads or writes what is cleared (invariant 13)"
        );
        let extents = self.extents(ino, range, limit)?;
        let mut bytes = given_up;
        for extent in &extents {
            bytes += self.cut_extent(ino, extent, range)?;
        }
        Ok(Cleared {
            bytes,
            rows: extents.len() + usize::from(given_up > 0),
            // The limit counted one more, if the extent before the range ends before it.
            unfinished: extents.len() + 1 >= limit,
        })
    }

    /// Removes the part of `extent` that lies in `range`; returns its length.
    fn cut_extent(&mut self, ino: Ino, extent: &ExtentRow, range: &Range<u64>) -> Result<u64> {
        let before = extent.clip(&(0..range.start));
        let after = extent.clip(&(range.end..u64::MAX));
        let left: u64 = before.iter().chain(&after).map(|part| part.len).sum();
        let kept = self.epochs().is_kept(extent.born);
        let key = (ino.raw().cast_signed(), extent.off.cast_signed());
        if kept {
            let died = self.epochs().current.0;
            self.conn()
                .prepare_cached(KEEP)?
                .execute(params![key.0, key.1, died])?;
            self.keep_ref(extent.chunk)?;
        }
        self.conn()
            .prepare_cached(DELETE)?
            .execute(params![key.0, key.1])?;
        self.tally.extents -= 1;
        self.tally.logical -= extent.len.cast_signed();
        // A kept row holds on to its reference; else the first part that is left takes it over.
        let mut spare = !kept;
        for part in before.iter().chain(&after) {
            let born = if kept {
                self.epochs().current
            } else {
                extent.born
            };
            if spare {
                spare = false;
            } else {
                self.add_ref(extent.chunk)?;
            }
            self.put_extent(ino, &ExtentRow { born, ..*part })?;
        }
        if spare {
            self.drop_ref(extent.chunk)?;
        }
        Ok(extent.len - left)
    }
}
