//! `chunk`: what is stored, where, and by how many extents it is named.

use std::collections::BTreeSet;
use std::ops::Range;

use rusqlite::{OptionalExtension, Row, params};

use crate::meta::schema::text::sql;
use crate::meta::{Error, Result, Session, Stored, WriteTx};
use crate::types::{ChunkHash, ChunkId, Codec, Ino, Location, PageSums, SegmentId};

const FIND: &str = "SELECT id FROM chunk WHERE hash = ?1 AND shared = 1";
const FIND_PLACE: &str =
    sql!("SELECT {chunk segment..codec} FROM chunk WHERE hash = ?1 AND shared = 1");
const INSERT: &str = sql!(
    "INSERT INTO chunk ({chunk hash..sums}, refs, shared, live)
     VALUES ({chunk hash..sums params 1}, 1, ?8, 1)"
);
const ADD_REF: &str = sql!(
    "UPDATE chunk SET refs = refs + 1, live = live + 1 WHERE id = ?1
     RETURNING {chunk segment..codec}, live = 1"
);
// Of each extent that begins in a range, by one statement: a row at a time costs four times as much.
const ADD_REFS: &str = "
    UPDATE chunk SET refs = refs + 1, live = live + 1
    WHERE id IN (SELECT chunk FROM extent WHERE ino = ?1 AND off >= ?2 AND off < ?3)";
const DISTINCT: &str = "
    SELECT count(DISTINCT chunk) FROM extent WHERE ino = ?1 AND off >= ?2 AND off < ?3";
const ADD_MORE_REFS: &str = "
    UPDATE chunk SET refs = refs + more, live = live + more FROM (
        SELECT chunk AS named, count(*) - 1 AS more FROM extent
        WHERE ino = ?1 AND off >= ?2 AND off < ?3 GROUP BY chunk HAVING count(*) > 1)
    WHERE id = named";
// The last reference of any kind.
const DROP_LAST_REF: &str = sql!(
    "DELETE FROM chunk WHERE id = ?1 AND refs = 1
     RETURNING {chunk segment..codec}, live = 1"
);
const DROP_LIVE_REF: &str = sql!(
    "UPDATE chunk SET refs = refs - 1, live = live - 1 WHERE id = ?1
     RETURNING {chunk segment..codec}, live = 0"
);
const DROP_PAST_REF: &str = "UPDATE chunk SET refs = refs - 1 WHERE id = ?1";
const KEEP_REF: &str = sql!(
    "UPDATE chunk SET live = live - 1 WHERE id = ?1
     RETURNING {chunk segment..codec}, live = 0"
);
const MOVE: &str = "
    UPDATE chunk SET segment = ?4, off = ?5, stored_len = ?6, codec = ?7
    WHERE id = ?1 AND segment = ?2 AND off = ?3
    RETURNING live > 0";
const IN_SEGMENTS: &str = sql!(
    "SELECT {chunk segment..sums}, hash, id FROM chunk
     WHERE id > ?1 ORDER BY id LIMIT ?2"
);
const FROM_PLACE: &str = sql!(
    "SELECT {chunk segment..sums}, hash, id FROM chunk
     WHERE id > ?1 AND (segment > ?2 OR (segment = ?2 AND off >= ?3)) ORDER BY id LIMIT ?4"
);

/// A chunk to add to the table.
#[derive(Debug)]
pub struct ChunkRow<'a> {
    /// Its name.
    pub hash: &'a ChunkHash,
    /// Where it is.
    pub at: Location,
    /// The checksums of its pages.
    pub sums: &'a PageSums,
    /// Whether it is to be found by its hash, so that equal content can share it.
    pub sharing: Sharing,
}

/// Whether a chunk is in the hash index, which costs every insert a random page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// It is: others with the same content can refer to it.
    Indexed,
    /// It is too small to be worth it while its file still changes.
    Unindexed,
}

/// What becomes of an extent to be copied whose chunk is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing is copied.
    Refused,
    /// The copy is as damaged.
    Left,
}

/// Reads a chunk's place and sums from the columns `{chunk segment..sums}`.
pub(in crate::meta) fn read_place(row: &Row<'_>, at: usize) -> Result<(Location, PageSums)> {
    let place = read_location(row, at)?;
    let sums = row.get_ref(at + 5)?.as_blob().map_err(Error::row)?;
    Ok((place, PageSums::from_bytes(sums)))
}

/// Reads a chunk from the columns of [`IN_SEGMENTS`].
fn read_chunk(row: &Row<'_>) -> Result<StoredChunk> {
    let (at, sums) = read_place(row, 0)?;
    let hash = row.get::<_, [u8; ChunkHash::LEN]>(6)?;
    Ok(StoredChunk {
        id: ChunkId(row.get(7)?),
        hash: ChunkHash::from_bytes(hash),
        at,
        sums,
    })
}

pub(in crate::meta) fn read_location(row: &Row<'_>, at: usize) -> Result<Location> {
    let word = |i: usize| -> Result<u32> {
        let value = row.get::<_, i64>(at + i)?;
        u32::try_from(value).map_err(|_| Error::row(format!("a chunk column holds {value}")))
    };
    let codec = u8::try_from(word(4)?).ok().and_then(Codec::from_raw);
    Ok(Location {
        segment: SegmentId::from_raw(word(0)?),
        offset: row.get::<_, i64>(at + 1)?.cast_unsigned(),
        len: word(2)?,
        stored_len: word(3)?,
        codec: codec.ok_or_else(|| Error::row("a chunk has an unknown codec"))?,
    })
}

/// A chunk of the table, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChunk {
    /// Its row.
    pub id: ChunkId,
    /// Its name.
    pub hash: ChunkHash,
    /// Where it is.
    pub at: Location,
    /// The checksums of its pages.
    pub sums: PageSums,
}

impl Session {
    /// Of the next `limit` chunks after `after`, those in one of `segments`, and the last that was looked at;
    /// `None` at the end of the table.
    pub fn chunks_in(
        &self,
        segments: &BTreeSet<SegmentId>,
        after: ChunkId,
        limit: usize,
    ) -> Result<Option<(Vec<StoredChunk>, ChunkId)>> {
        let mut stmt = self.conn().prepare_cached(IN_SEGMENTS)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = stmt.query([after.0, limit])?;
        let (mut found, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let id = ChunkId(row.get(7)?);
            last = Some(id);
            if segments.contains(&SegmentId::from_raw(row.get(0)?)) {
                found.push(read_chunk(row)?);
            }
        }
        Ok(last.map(|last| (found, last)))
    }

    /// At most `limit` chunks after `after` whose bytes begin in `segment` at `offset` or later, or in a later segment.
    pub fn chunks_from(
        &self,
        segment: SegmentId,
        offset: u64,
        after: ChunkId,
        limit: usize,
    ) -> Result<Vec<StoredChunk>> {
        let mut stmt = self.conn().prepare_cached(FROM_PLACE)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![after.0, segment.raw(), offset.cast_signed(), limit];
        let mut rows = stmt.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_chunk(row)?);
        }
        Ok(found)
    }

    /// Where the chunk with this content is, if it is one that is shared.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Sqlite`].
    pub fn find_place(&self, hash: &ChunkHash) -> Result<Option<Location>> {
        let mut stmt = self.conn().prepare_cached(FIND_PLACE)?;
        let mut rows = stmt.query([hash.as_bytes()])?;
        let row = rows.next()?;
        row.map(|row| read_location(row, 0)).transpose()
    }

    /// The chunk with this content, if it is one that is shared.
    pub fn find_chunk(&self, hash: &ChunkHash) -> Result<Option<ChunkId>> {
        let mut stmt = self.conn().prepare_cached(FIND)?;
        Ok(stmt
            .query_row([hash.as_bytes()], |row| row.get(0).map(ChunkId))
            .optional()?)
    }
}

impl WriteTx<'_> {
    /// Adds a chunk, with one reference: the caller's next [`Self::put_extent`].
    pub fn insert_chunk(&mut self, chunk: &ChunkRow<'_>) -> Result<ChunkId> {
        let at = &chunk.at;
        let shared = i64::from(chunk.sharing == Sharing::Indexed);
        let codec = i64::from(at.codec.to_raw());
        self.conn().prepare_cached(INSERT)?.execute(params![
            chunk.hash.as_bytes(),
            at.segment.raw(),
            at.offset.cast_signed(),
            at.len,
            at.stored_len,
            codec,
            chunk.sums.as_bytes(),
            shared,
        ])?;
        self.tally.head.add(Stored::of(at));
        self.tally.place(at, 1);
        Ok(ChunkId(self.conn().last_insert_rowid()))
    }

    /// Counts one more extent of the head that names the chunk.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is no such chunk.
    pub fn add_ref(&mut self, chunk: ChunkId) -> Result<()> {
        let (at, is_first) = self.touch(ADD_REF, chunk)?.ok_or_else(|| missing(chunk))?;
        if is_first {
            self.tally.head.add(Stored::of(&at));
            self.tally.past.take(Stored::of(&at));
        }
        Ok(())
    }

    /// As [`Self::add_ref`], unless there is no such chunk and that is left as it is.
    pub(super) fn add_ref_if(&mut self, chunk: ChunkId, missing: Missing) -> Result<()> {
        match self.add_ref(chunk) {
            Err(Error::Corrupt(_)) if missing == Missing::Left => Ok(()),
            added => added,
        }
    }

    /// Counts for each of the `rows` extents of the head that begin in `range` one more of the same chunk.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a chunk is not there, if that is to be refused.
    pub(super) fn add_refs(
        &mut self,
        ino: Ino,
        range: &Range<u64>,
        rows: i64,
        missing: Missing,
    ) -> Result<()> {
        let values = [ino.raw(), range.start, range.end].map(u64::cast_signed);
        // The statement touches a chunk once: fewer rows than extents means that some name the same one, or that one is
        // missing.
        let touched = self.conn().prepare_cached(ADD_REFS)?.execute(values)?;
        if i64::try_from(touched).is_ok_and(|touched| touched == rows) {
            return Ok(());
        }
        let named = self
            .conn()
            .prepare_cached(DISTINCT)?
            .query_row(values, |row| row.get::<_, i64>(0))?;
        let are_there = i64::try_from(touched).is_ok_and(|touched| touched == named);
        if !are_there && missing == Missing::Refused {
            let why = format!("an extent of {ino} names a chunk that is not in the table");
            return Err(Error::row(why));
        }
        self.conn().prepare_cached(ADD_MORE_REFS)?.execute(values)?;
        Ok(())
    }

    /// Counts one extent of the head less that names the chunk; the last one takes the chunk along.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is no such chunk.
    pub(super) fn drop_ref(&mut self, chunk: ChunkId) -> Result<()> {
        // First: a count of 0 is none that the table takes (CHECK refs > 0).
        if self.drop_last_ref(chunk)? {
            return Ok(());
        }
        let (at, was_last) = self
            .touch(DROP_LIVE_REF, chunk)?
            .ok_or_else(|| missing(chunk))?;
        if was_last {
            self.tally.head.take(Stored::of(&at));
            self.tally.past.add(Stored::of(&at));
        }
        Ok(())
    }

    /// Counts one extent of a snapshot less that names the chunk; the last one takes the chunk along.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is no such chunk.
    pub(super) fn drop_past_ref(&mut self, chunk: ChunkId) -> Result<()> {
        if self.drop_last_ref(chunk)? {
            return Ok(());
        }
        match self
            .conn()
            .prepare_cached(DROP_PAST_REF)?
            .execute([chunk.0])?
        {
            1 => Ok(()),
            _ => Err(missing(chunk)),
        }
    }

    /// An extent of the head that names the chunk is one of a snapshot from now on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is no such chunk.
    pub(super) fn keep_ref(&mut self, chunk: ChunkId) -> Result<()> {
        let (at, was_last) = self.touch(KEEP_REF, chunk)?.ok_or_else(|| missing(chunk))?;
        if was_last {
            self.tally.head.take(Stored::of(&at));
            self.tally.past.add(Stored::of(&at));
        }
        Ok(())
    }

    fn drop_last_ref(&mut self, chunk: ChunkId) -> Result<bool> {
        let Some((at, was_live)) = self.touch(DROP_LAST_REF, chunk)? else {
            return Ok(false);
        };
        let stored = if was_live {
            &mut self.tally.head
        } else {
            &mut self.tally.past
        };
        stored.take(Stored::of(&at));
        self.tally.place(&at, -1);
        Ok(true)
    }

    /// Runs a statement that changes the row of a chunk and returns its place and a yes or no.
    fn touch(&self, sql: &'static str, chunk: ChunkId) -> Result<Option<(Location, bool)>> {
        let mut stmt = self.conn().prepare_cached(sql)?;
        let mut rows = stmt.query([chunk.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let touched = (read_location(row, 0)?, row.get(5)?);
        // To the end: SQLite refuses a COMMIT while a statement that writes is under way.
        while rows.next()?.is_some() {}
        Ok(Some(touched))
    }

    /// Notes that the chunk's bytes are at `to` now; whether it was still at `from`.
    pub fn move_chunk(&mut self, chunk: ChunkId, from: &Location, to: &Location) -> Result<bool> {
        // By its place as well: the id may be another chunk's by now, whose bytes are elsewhere.
        let values = params![
            chunk.0,
            from.segment.raw(),
            from.offset.cast_signed(),
            to.segment.raw(),
            to.offset.cast_signed(),
            to.stored_len,
            i64::from(to.codec.to_raw()),
        ];
        let mut stmt = self.conn().prepare_cached(MOVE)?;
        let mut rows = stmt.query(values)?;
        let is_live: Option<bool> = rows.next()?.map(|row| row.get(0)).transpose()?;
        // To the end: SQLite refuses a COMMIT while a statement that writes is under way.
        while rows.next()?.is_some() {}
        drop(rows);
        drop(stmt);
        if let Some(is_live) = is_live {
            self.count_moved(is_live, from, to);
        }
        Ok(is_live.is_some())
    }

    /// A chunk has another place, where it may be stored otherwise.
    pub(super) fn count_moved(&mut self, is_live: bool, from: &Location, to: &Location) {
        let stored = if is_live {
            &mut self.tally.head
        } else {
            &mut self.tally.past
        };
        stored.take(Stored::of(from));
        stored.add(Stored::of(to));
        self.tally.place(from, -1);
        self.tally.place(to, 1);
    }
}

fn missing(chunk: ChunkId) -> Error {
    Error::row(format!("chunk {} is not in the table", chunk.0))
}
