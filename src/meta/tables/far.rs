//! Chunks whose bytes are in a repository still: their rows say where, until the bytes have come.

use rusqlite::params;

use crate::meta::schema::text::sql;
use crate::meta::tables::chunk::read_place;
use crate::meta::{Error, Result, Session, Sharing, WriteTx};
use crate::types::{ChunkHash, ChunkId, FarPlace, Location, PageSums};

// A part of the table, however few of these there are in it.
const FROM: &str = sql!(
    "SELECT {chunk segment..sums}, id FROM chunk
     WHERE id BETWEEN ?1 AND ?1 + ?2 - 1 AND segment = 4294967295 ORDER BY id"
);
const IS_BEYOND: &str = "SELECT EXISTS (SELECT 1 FROM chunk WHERE id >= ?1)";
const COUNT: &str = "
    SELECT count(*), coalesce(sum(stored_len), 0) FROM chunk WHERE segment = 4294967295";
const BRING: &str = "
    UPDATE chunk SET hash = ?4, segment = ?5, off = ?6, stored_len = ?7, codec = ?8, sums = ?9, shared = ?10
    WHERE id = ?1 AND segment = 4294967295 AND off = ?2 AND sums = ?3
    RETURNING live > 0";

/// What is in a repository still.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FarCount {
    /// Chunks.
    pub chunks: u64,
    /// Bytes that are stored of them.
    pub bytes: u64,
}

/// A chunk that has come.
#[derive(Debug)]
pub struct BroughtChunk<'a> {
    /// Its row.
    pub id: ChunkId,
    /// Where it was.
    pub from: FarPlace,
    /// Its name.
    pub hash: &'a ChunkHash,
    /// Where it is.
    pub at: Location,
    /// The checksums of its pages.
    pub sums: &'a PageSums,
    /// Whether it is to be found by its hash.
    pub sharing: Sharing,
}

impl Session {
    /// Of the `span` rows from `from` on, those of chunks that are elsewhere; `None` where no row follows.
    pub fn far_chunks(&self, from: ChunkId, span: u32) -> Result<Option<Vec<(FarPlace, ChunkId)>>> {
        let mut stmt = self.conn().prepare_cached(FROM)?;
        let mut rows = stmt.query(params![from.0, span])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (at, sums) = read_place(row, 0)?;
            let place = FarPlace::of(&at, &sums);
            let place = place.ok_or_else(|| Error::row("a chunk elsewhere has no place"))?;
            found.push((place, ChunkId(row.get(6)?)));
        }
        if found.is_empty() {
            let mut stmt = self.conn().prepare_cached(IS_BEYOND)?;
            let is_beyond: bool = stmt.query_row([from.0], |row| row.get(0))?;
            return Ok(is_beyond.then_some(found));
        }
        Ok(Some(found))
    }

    /// How much is elsewhere. Looks at all chunks.
    pub fn far_count(&self) -> Result<FarCount> {
        let mut stmt = self.conn().prepare_cached(COUNT)?;
        let uint = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        Ok(stmt.query_row([], |row| {
            Ok(FarCount {
                chunks: uint(row, 0)?,
                bytes: uint(row, 1)?,
            })
        })?)
    }
}

impl WriteTx<'_> {
    /// Notes that a chunk has come, unless it was removed or had come before. One that equals another in the hash index
    /// is not in it as well.
    pub fn bring_chunk(&mut self, chunk: &BroughtChunk<'_>) -> Result<()> {
        let indexed = chunk.sharing == Sharing::Indexed && self.find_chunk(chunk.hash)?.is_none();
        let Some(from) = chunk.from.location() else {
            return Err(Error::row("a chunk has an unknown codec"));
        };
        let (at, pack) = (&chunk.at, chunk.from.sums());
        let values = params![
            chunk.id.0,
            from.offset.cast_signed(),
            pack.as_bytes(),
            chunk.hash.as_bytes(),
            at.segment.raw(),
            at.offset.cast_signed(),
            at.stored_len,
            at.codec.to_raw(),
            chunk.sums.as_bytes(),
            i64::from(indexed),
        ];
        let mut stmt = self.conn().prepare_cached(BRING)?;
        let mut rows = stmt.query(values)?;
        let is_live: Option<bool> = rows.next()?.map(|row| row.get(0)).transpose()?;
        // To the end: SQLite refuses a COMMIT while a statement that writes is under way.
        while rows.next()?.is_some() {}
        drop(rows);
        drop(stmt);
        if let Some(is_live) = is_live {
            self.count_moved(is_live, &from, at);
        }
        Ok(())
    }
}
