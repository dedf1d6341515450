//! `chunk`: what is stored, where, and by how many extents it is named.

use rusqlite::{OptionalExtension, Row, params};

use super::{Error, Result, Session, WriteTx};
use crate::types::{ChunkHash, ChunkId, Codec, Location, PageSums, SegmentId};

const FIND: &str = "SELECT id FROM chunk WHERE hash = ?1 AND shared = 1";
const INSERT: &str = "
    INSERT INTO chunk (hash, segment, off, len, stored_len, codec, sums, refs, shared)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)";
const ADD_REF: &str = "UPDATE chunk SET refs = refs + 1 WHERE id = ?1";
const DROP_LAST_REF: &str = "DELETE FROM chunk WHERE id = ?1 AND refs = 1";
const DROP_REF: &str = "UPDATE chunk SET refs = refs - 1 WHERE id = ?1";

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

/// Reads a chunk's place and sums from the columns `segment, off, len, stored_len, codec, sums`.
pub(super) fn read_place(row: &Row<'_>, at: usize) -> Result<(Location, PageSums)> {
    let word = |i: usize| -> Result<u32> {
        let value = row.get::<_, i64>(at + i)?;
        u32::try_from(value).map_err(|_| Error::row(format!("a chunk column holds {value}")))
    };
    let codec = u8::try_from(word(4)?).ok().and_then(Codec::from_raw);
    let place = Location {
        segment: SegmentId::from_raw(word(0)?),
        offset: row.get::<_, i64>(at + 1)?.cast_unsigned(),
        len: word(2)?,
        stored_len: word(3)?,
        codec: codec.ok_or_else(|| Error::row("a chunk has an unknown codec"))?,
    };
    let sums = row.get_ref(at + 5)?.as_blob().map_err(Error::row)?;
    Ok((place, PageSums::from_bytes(sums)))
}

impl Session {
    /// The chunk with this content, if it is one that is shared.
    ///
    /// # Errors
    /// I/O errors.
    pub fn find_chunk(&self, hash: &ChunkHash) -> Result<Option<ChunkId>> {
        let mut stmt = self.conn().prepare_cached(FIND)?;
        Ok(stmt
            .query_row([hash.as_bytes()], |row| row.get(0).map(ChunkId))
            .optional()?)
    }
}

impl WriteTx<'_> {
    /// Adds a chunk, with one reference: the caller's next [`Self::put_extent`].
    ///
    /// # Errors
    /// I/O errors.
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
        Ok(ChunkId(self.conn().last_insert_rowid()))
    }

    /// Counts one more extent that names the chunk.
    ///
    /// # Errors
    /// I/O errors; [`Error::Corrupt`] when there is no such chunk.
    pub fn add_ref(&mut self, chunk: ChunkId) -> Result<()> {
        match self.conn().prepare_cached(ADD_REF)?.execute([chunk.0])? {
            1 => Ok(()),
            _ => Err(Error::row(format!("chunk {} is not in the table", chunk.0))),
        }
    }

    /// Counts one extent less that names the chunk; the last one takes the chunk along.
    ///
    /// # Errors
    /// I/O errors; [`Error::Corrupt`] when there is no such chunk.
    pub(super) fn drop_ref(&mut self, chunk: ChunkId) -> Result<()> {
        let mut changed = self
            .conn()
            .prepare_cached(DROP_LAST_REF)?
            .execute([chunk.0])?;
        if changed == 0 {
            changed = self.conn().prepare_cached(DROP_REF)?.execute([chunk.0])?;
        }
        match changed {
            1 => Ok(()),
            _ => Err(Error::row(format!("chunk {} is not in the table", chunk.0))),
        }
    }
}
