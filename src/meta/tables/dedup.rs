//! Chunks that are not found by their hash, and the equal ones that are.

use rusqlite::{OptionalExtension, params};

use crate::meta::schema::text::sql;
use crate::meta::{ExtentRow, Result, Session, WriteTx};
use crate::types::{ChunkHash, ChunkId, Epoch, Ino};

// The extents that are looked at are those of the inner query, so that a look has an end.
const UNINDEXED: &str = sql!(
    "SELECT {e.extent}, c.hash FROM (
        SELECT {extent} FROM extent WHERE (ino, off) > (?1, ?2) ORDER BY ino, off LIMIT ?3) e
     LEFT JOIN chunk c ON c.id = e.chunk AND e.len < ?4 AND c.shared IN (0, ?5)
        AND c.segment <> 4294967295
     ORDER BY e.ino, e.off"
);
const HASH: &str = "SELECT hash FROM chunk WHERE id = ?1";
const FILE: &str = "UPDATE chunk SET shared = ?2 WHERE id = ?1";
const RENAME: &str = "UPDATE extent SET chunk = ?3 WHERE ino = ?1 AND off = ?2";
/// `chunk.shared` of a chunk in the index, and of one that is equal to such a one.
const INDEXED: i64 = 1;
const APART: i64 = 2;

/// An extent whose chunk is not found by its hash.
#[derive(Debug, Clone, Copy)]
pub struct UnindexedExtent {
    /// Its file.
    pub ino: Ino,
    /// Its row.
    pub extent: ExtentRow,
    /// The chunk's name, as it was when this was read.
    pub hash: ChunkHash,
}

/// Which chunks that are not in the index are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// Those that nobody has looked at.
    New,
    /// All, also those that were left apart.
    All,
}

/// Where a look through the extents has come to.
pub type ExtentKey = (Ino, u64);

impl Session {
    /// Of the next `limit` extents after `after`, those shorter than `len` whose chunk is not found by its hash,
    /// and the last that was looked at; `None` at the end.
    pub fn unindexed_extents(
        &self,
        after: ExtentKey,
        limit: usize,
        len: usize,
        candidates: Candidates,
    ) -> Result<Option<(Vec<UnindexedExtent>, ExtentKey)>> {
        let mut stmt = self.conn().prepare_cached(UNINDEXED)?;
        let mut rows = stmt.query(params![
            after.0.raw().cast_signed(),
            after.1.cast_signed(),
            i64::try_from(limit).unwrap_or(i64::MAX),
            i64::try_from(len).unwrap_or(i64::MAX),
            if candidates == Candidates::All {
                APART
            } else {
                0
            },
        ])?;
        let (mut found, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let uint = |i: usize| row.get::<_, i64>(i).map(i64::cast_unsigned);
            let (ino, off) = (Ino::from_raw(uint(0)?), uint(1)?);
            last = Some((ino, off));
            let Some(hash) = row.get::<_, Option<[u8; ChunkHash::LEN]>>(6)? else {
                continue;
            };
            let extent = ExtentRow {
                off,
                born: Epoch(row.get(2)?),
                len: uint(3)?,
                chunk: ChunkId(row.get(4)?),
                chunk_off: uint(5)?,
            };
            let hash = ChunkHash::from_bytes(hash);
            found.push(UnindexedExtent { ino, extent, hash });
        }
        Ok(last.map(|last| (found, last)))
    }

    /// The name of a chunk's content.
    pub fn chunk_hash(&self, chunk: ChunkId) -> Result<Option<ChunkHash>> {
        let mut stmt = self.conn().prepare_cached(HASH)?;
        let hash = stmt.query_row([chunk.0], |row| row.get(0)).optional()?;
        Ok(hash.map(ChunkHash::from_bytes))
    }
}

impl WriteTx<'_> {
    /// From now on the chunk is found by its hash, which no other in the index has.
    pub fn index_chunk(&mut self, chunk: ChunkId) -> Result<()> {
        self.file_chunk(chunk, INDEXED)
    }

    /// Notes that an equal chunk is in the index, and that this one stays all the same.
    pub fn leave_apart(&mut self, chunk: ChunkId) -> Result<()> {
        self.file_chunk(chunk, APART)
    }

    fn file_chunk(&self, chunk: ChunkId, shared: i64) -> Result<()> {
        let mut stmt = self.conn().prepare_cached(FILE)?;
        stmt.execute([chunk.0, shared])?;
        Ok(())
    }

    /// Has an extent, which no snapshot sees, name an equal chunk.
    ///
    /// # Errors
    /// [`crate::meta::Error::Corrupt`] when a chunk is not there.
    pub fn rename_chunk(&mut self, ino: Ino, extent: &ExtentRow, equal: ChunkId) -> Result<()> {
        // Before the other is dropped, whose last reference takes its row along: an error here changes nothing.
        self.add_ref(equal)?;
        let key = (ino.raw().cast_signed(), extent.off.cast_signed());
        self.conn()
            .prepare_cached(RENAME)?
            .execute(params![key.0, key.1, equal.0])?;
        self.drop_ref(extent.chunk)
    }
}
