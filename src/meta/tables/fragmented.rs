//! Which files are in many small extents.

use rusqlite::params;

use crate::meta::{ExtentRow, Result, Session, WriteTx};
use crate::types::{ChunkBytes, ChunkId, Ino};

const COUNT: &str = "
    SELECT ino, count(*), sum(len) FROM extent WHERE ino > ?1 GROUP BY ino ORDER BY ino LIMIT ?2";
const REFS: &str = "SELECT refs FROM chunk WHERE id = ?1";

impl Session {
    /// Of the next `limit` files after `after`, those in at least `extents_min` extents that are more than as many
    /// whole chunks as their data would be, and the last file that was looked at; `None` at the end.
    pub fn fragmented(
        &self,
        after: Ino,
        limit: usize,
        chunk: ChunkBytes,
        extents_min: u64,
    ) -> Result<Option<(Vec<Ino>, Ino)>> {
        let mut stmt = self.conn().prepare_cached(COUNT)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = stmt.query(params![after.raw().cast_signed(), limit])?;
        let (mut found, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let ino = Ino::from_raw(row.get::<_, i64>(0)?.cast_unsigned());
            let (extents, bytes) = (row.get::<_, i64>(1)?, row.get::<_, i64>(2)?);
            let whole = bytes.cast_unsigned().div_ceil(u64::from(chunk.get()));
            // A few extents over are not worth reading and writing the whole file again.
            let enough = whole + whole / 32 + 1;
            if extents.cast_unsigned() >= extents_min.max(enough) {
                found.push(ino);
            }
            last = Some(ino);
        }
        Ok(last.map(|last| (found, last)))
    }
}

impl WriteTx<'_> {
    /// How many extents name the chunk; 0 when it is not there.
    pub fn chunk_refs(&self, chunk: ChunkId) -> Result<u64> {
        let mut stmt = self.conn().prepare_cached(REFS)?;
        let mut rows = stmt.query([chunk.0])?;
        let refs = rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()?;
        Ok(refs.map_or(0, i64::cast_unsigned))
    }

    /// Whether some snapshot sees the extent.
    #[must_use]
    pub fn is_seen_by_snapshot(&self, extent: &ExtentRow) -> bool {
        self.epochs().is_kept(extent.born)
    }
}
