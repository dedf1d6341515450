//! `copying`: copies of file ranges that were answered while their extents are still to be written.
//!
//! Until they are, the target is read through its source, so nobody changes the extents of either in the range of the
//! copy: [`WriteTx::clear_range`] has them written first, and so has a snapshot, whose rows know no copies. A file is
//! never the target of one copy and the source of another.

use std::ops::Range;
use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension, Row, params};

use crate::meta::schema::text::sql;
use crate::meta::tables::chunk::Missing;
use crate::meta::{ExtentRow, Result, Session, StoredExtent, WriteTx};
use crate::types::Ino;

const FIRST: &str = sql!(
    "SELECT {copying} FROM copying
     WHERE (?1 IS NULL OR source = ?1) AND (?2 IS NULL OR target = ?2) ORDER BY id LIMIT 1"
);
const OF: &str = sql!("SELECT {copying} FROM copying WHERE target = ?1 OR source = ?1 ORDER BY id");
const INSERT: &str = sql!("INSERT INTO copying ({copying -id}) VALUES ({copying -id params 1})");
const ADVANCE: &str = "
    UPDATE copying SET off = off + ?2, source_off = source_off + ?2, len = len - ?2, bytes = max(bytes - ?3, 0)
    WHERE id = ?1";
const DELETE: &str = "DELETE FROM copying WHERE id = ?1";
const COUNT: &str = "SELECT count(*) FROM copying";
const SHORTEN: &str =
    "UPDATE copying SET off = ?2, source_off = ?3, len = ?4, bytes = ?5 WHERE id = ?1";

/// What copies have still to write: `id` of the copy, and the columns of the extents.
macro_rules! still_to_write {
    () => {
        "SELECT c.id AS id, c.target AS ino, c.off + max(e.off - c.source_off, 0) AS off,
            min(e.off + e.len, c.source_off + c.len) - max(e.off, c.source_off) AS len,
            e.chunk AS chunk, e.chunk_off + max(c.source_off - e.off, 0) AS chunk_off
         FROM copying c JOIN extent e ON e.ino = c.source
            AND e.off < c.source_off + c.len AND e.off + e.len > c.source_off"
    };
}
pub(in crate::meta) use still_to_write;

/// Whether copy `c` writes where something is, or beyond its target, or is not the only one of its kind.
macro_rules! misplaced_copy {
    () => {
        "c.source IN (SELECT target FROM copying)
         OR EXISTS (SELECT 1 FROM inode i
            WHERE i.ino = c.target AND i.nlink > 0 AND c.off + c.len > i.size)
         OR EXISTS (SELECT 1 FROM extent e
            WHERE e.ino = c.target AND e.off < c.off + c.len AND e.off + e.len > c.off)
         OR EXISTS (SELECT 1 FROM copying o WHERE o.target = c.target AND o.id <> c.id
            AND o.off < c.off + c.len AND o.off + o.len > c.off)"
    };
}
pub(in crate::meta) use misplaced_copy;

/// Which of the copies that are under way are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// All.
    All,
    /// Those that read this file.
    From(Ino),
    /// Those that write this file.
    Into(Ino),
}

impl Copies {
    /// The source and the target that they must have, as [`FIRST`] takes them.
    fn ends(self) -> [Option<i64>; 2] {
        let raw = |ino: Ino| Some(ino.raw().cast_signed());
        match self {
            Self::All => [None, None],
            Self::From(ino) => [raw(ino), None],
            Self::Into(ino) => [None, raw(ino)],
        }
    }
}

/// A copy that is under way: what is left of it.
#[derive(Debug, Clone, Copy)]
struct Copying {
    id: i64,
    target: Ino,
    off: u64,
    source: Ino,
    source_off: u64,
    len: u64,
    /// Bytes that the source's extents cover in the range.
    bytes: u64,
}

impl Copying {
    const fn written(&self) -> Range<u64> {
        self.off..self.off + self.len
    }

    const fn read(&self) -> Range<u64> {
        self.source_off..self.source_off + self.len
    }

    /// Where in the source that part of `range` is which the copy writes, if any.
    fn behind(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let written = self.written();
        let (start, end) = (range.start.max(written.start), range.end.min(written.end));
        let moved = |at: u64| at - self.off + self.source_off;
        (start < end).then(|| moved(start)..moved(end))
    }

    /// What is found in `behind` in the source, as the target has it.
    fn seen(&self, extent: &StoredExtent, behind: &Range<u64>) -> Option<StoredExtent> {
        let mut seen = extent.clip(behind)?;
        seen.off = seen.off - self.source_off + self.off;
        Some(seen)
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

fn read_copying(row: &Row<'_>) -> rusqlite::Result<Copying> {
    let uint = |i: usize| row.get::<_, i64>(i).map(i64::cast_unsigned);
    Ok(Copying {
        id: row.get(0)?,
        target: Ino::from_raw(uint(1)?),
        off: uint(2)?,
        source: Ino::from_raw(uint(3)?),
        source_off: uint(4)?,
        len: uint(5)?,
        bytes: uint(6)?,
    })
}

impl Session {
    /// Whether such copies are under way.
    pub fn has_copies(&self, which: Copies) -> Result<bool> {
        Ok(self.first_copy(which)?.is_some())
    }

    /// Whether any copy is under way.
    pub(in crate::meta) fn is_copying(&self) -> Result<bool> {
        self.has_copies(Copies::All)
    }

    fn first_copy(&self, which: Copies) -> Result<Option<Copying>> {
        // One flag in memory: where nothing is being copied nobody pays for a query.
        if !self.may_be_copying() {
            return Ok(None);
        }
        let mut stmt = self.conn().prepare_cached(FIRST)?;
        let found = stmt.query_row(which.ends(), read_copying);
        Ok(found.optional()?)
    }

    /// The copies that read or write `ino`.
    fn copies_of(&self, ino: Ino) -> Result<Vec<Copying>> {
        if !self.may_be_copying() {
            return Ok(Vec::new());
        }
        let mut stmt = self.conn().prepare_cached(OF)?;
        let rows = stmt.query_map([ino.raw().cast_signed()], read_copying)?;
        rows.map(|row| Ok(row?)).collect()
    }

    /// Adds to the `extents` of a range those that copies have still to write there.
    pub(super) fn add_copied(
        &self,
        ino: Ino,
        range: &Range<u64>,
        extents: &mut Vec<StoredExtent>,
    ) -> Result<()> {
        for copy in self.copies_of(ino)? {
            let Some(behind) = copy.behind(range).filter(|_| copy.target == ino) else {
                continue;
            };
            let found = self.own_extents(copy.source, &behind)?;
            extents.extend(found.iter().filter_map(|one| copy.seen(one, &behind)));
        }
        extents.sort_by_key(|extent| extent.off);
        Ok(())
    }

    /// At most `limit` ranges of each copy that it has still to write in `range`.
    pub(in crate::meta) fn copied_ranges(
        &self,
        ino: Ino,
        range: &Range<u64>,
        limit: usize,
    ) -> Result<Vec<Range<u64>>> {
        let mut found = Vec::new();
        for copy in self.copies_of(ino)? {
            let Some(behind) = copy.behind(range).filter(|_| copy.target == ino) else {
                continue;
            };
            let extents = self.extents(copy.source, &behind, limit)?;
            let clipped = extents.iter().filter_map(|extent| extent.clip(&behind));
            found.extend(clipped.map(|extent| {
                let start = extent.off - copy.source_off + copy.off;
                start..start + extent.len
            }));
        }
        Ok(found)
    }

    /// How many copies are under way.
    pub fn copies(&self) -> Result<u64> {
        let mut stmt = self.conn().prepare_cached(COUNT)?;
        Ok(stmt
            .query_row([], |row| row.get::<_, i64>(0))?
            .cast_unsigned())
    }
}

impl WriteTx<'_> {
    /// Notes that what is in `range` of `source`, of which extents cover `bytes`, is at `to` in `target` from now on.
    /// That range must be clear, no copy may write `source`, and none read `target`.
    pub fn begin_copy(
        &mut self,
        (source, range): (Ino, &Range<u64>),
        (target, to): (Ino, u64),
        bytes: u64,
    ) -> Result<()> {
        // Before anybody can see the row: who does not know of it reads zeros.
        self.copying_mark().store(true, Ordering::SeqCst);
        let len = range.end - range.start;
        let values = [target.raw(), to, source.raw(), range.start, len, bytes];
        self.conn()
            .prepare_cached(INSERT)?
            .execute(values.map(u64::cast_signed))?;
        self.tally.logical += bytes.cast_signed();
        Ok(())
    }

    /// Whether nothing is in `range`, not even what a copy has still to write.
    pub fn is_clear(&self, ino: Ino, range: &Range<u64>) -> Result<bool> {
        let copies = self.copies_of(ino)?;
        let is_written = |copy: &Copying| copy.target == ino && overlap(&copy.written(), range);
        Ok(!copies.iter().any(is_written) && self.extents(ino, range, 2)?.is_empty())
    }

    /// Writes at most `limit` extents of the oldest of these copies; whether there was one.
    pub fn carry_on_copies(&mut self, which: Copies, limit: usize) -> Result<bool> {
        let found = self.first_copy(which)?;
        if let Some(copy) = &found {
            self.carry_on(copy, limit)?;
        }
        Ok(found.is_some())
    }

    /// Writes what is left of these copies.
    ///
    /// # Errors
    /// As [`Self::carry_on_copies`].
    pub fn finish_copies(&mut self, which: Copies) -> Result<()> {
        while self.carry_on_copies(which, usize::MAX)? {}
        Ok(())
    }

    /// The extents in `range` are about to go: a copy that reads them is written first, and one that writes there
    /// gives that part up. Returns how many bytes such ones would have written.
    pub(super) fn finish_or_give_up_copies(&mut self, ino: Ino, range: &Range<u64>) -> Result<u64> {
        let mut given_up = 0;
        for copy in self.copies_of(ino)? {
            if copy.target == ino && overlap(&copy.written(), range) {
                given_up += self.give_up(&copy, range)?;
            } else if copy.source == ino && overlap(&copy.read(), range) {
                self.carry_on(&copy, usize::MAX)?;
            }
        }
        Ok(given_up)
    }

    /// Whether no copy reads or writes in `range`.
    pub(super) fn is_free_of_copies(&self, ino: Ino, range: &Range<u64>) -> Result<bool> {
        let copies = self.copies_of(ino)?;
        let touches = |copy: &Copying| {
            copy.target == ino && overlap(&copy.written(), range)
                || copy.source == ino && overlap(&copy.read(), range)
        };
        Ok(!copies.iter().any(touches))
    }

    /// Has a copy write nothing of `range`, some of which it was to write; or all at once, if what is left were two
    /// pieces.
    fn give_up(&mut self, copy: &Copying, range: &Range<u64>) -> Result<u64> {
        let written = copy.written();
        let left = match (written.start < range.start, range.end < written.end) {
            (false, false) => {
                self.forget_copy(copy)?;
                return Ok(copy.bytes);
            }
            // A row is one range: the copy would have to go on as two, of which nobody counts `bytes`.
            (true, true) => {
                self.carry_on(copy, usize::MAX)?;
                return Ok(0);
            }
            (true, false) => written.start..range.start,
            (false, true) => range.end..written.end,
        };
        let behind = copy.behind(&left).unwrap_or_default();
        let bytes = self.covered(copy.source, &behind)?.min(copy.bytes);
        let values = [left.start, behind.start, left.end - left.start, bytes];
        let [off, source_off, len, bytes] = values.map(u64::cast_signed);
        self.conn()
            .prepare_cached(SHORTEN)?
            .execute([copy.id, off, source_off, len, bytes])?;
        let given_up = copy.bytes.cast_signed() - bytes;
        self.tally.logical -= given_up;
        Ok(given_up.cast_unsigned())
    }

    fn forget_copy(&mut self, copy: &Copying) -> Result<()> {
        self.conn().prepare_cached(DELETE)?.execute([copy.id])?;
        self.tally.logical -= copy.bytes.cast_signed();
        Ok(())
    }

    /// Writes at most `limit` extents. What is damaged in the source becomes so in the target: were it refused, nobody
    /// could take a snapshot any more.
    fn carry_on(&mut self, copy: &Copying, limit: usize) -> Result<()> {
        let range = copy.read();
        let next = self.nth_start(copy.source, &range, limit)?;
        let part = range.start..next.unwrap_or(range.end);
        let len = part.end - part.start;
        let ends = ((copy.source, &part), (copy.target, copy.off));
        let bytes = self.share_range(ends.0, ends.1, Missing::Left)?;
        if next.is_none() {
            return self.forget_copy(copy);
        }
        let bytes = bytes.min(copy.bytes).cast_signed();
        self.conn()
            .prepare_cached(ADVANCE)?
            .execute(params![copy.id, len.cast_signed(), bytes])?;
        self.tally.logical -= bytes;
        Ok(())
    }

    /// Maps what is in `range` of `source` to `target` as well, from `to` on, which must be clear. Returns how many
    /// bytes that are.
    ///
    /// # Errors
    /// [`crate::meta::Error::Corrupt`] when a chunk is not there, if that is to be refused.
    pub fn share_range(
        &mut self,
        (source, range): (Ino, &Range<u64>),
        (target, to): (Ino, u64),
        missing: Missing,
    ) -> Result<u64> {
        let (parts, whole) = self.split(source, range)?;
        let mut bytes = 0;
        for part in parts {
            let off = to + (part.off - range.start);
            let born = self.epoch();
            self.add_ref_if(part.chunk, missing)?;
            self.put_extent(target, &ExtentRow { off, born, ..part })?;
            bytes += part.len;
        }
        let at = (target, to + (whole.start - range.start));
        Ok(bytes + self.copy_extents((source, &whole), at, missing)?)
    }

    /// The parts of extents that reach over an end of the range, and the range between them.
    fn split(&self, ino: Ino, range: &Range<u64>) -> Result<(Vec<ExtentRow>, Range<u64>)> {
        let (mut parts, mut whole) = (Vec::new(), range.clone());
        let first = self.extents(ino, &(range.start..range.start + 1), 1)?;
        let last = self.extents(ino, &(range.end - 1..range.end), 1)?;
        if let Some(first) = first.first().filter(|first| first.off < range.start) {
            whole.start = first.end().min(range.end);
            parts.extend(first.clip(range));
        }
        if let Some(last) = last
            .last()
            .filter(|last| last.end() > range.end && last.off >= whole.start)
        {
            whole.end = last.off;
            parts.extend(last.clip(range));
        }
        Ok((parts, whole))
    }
}
