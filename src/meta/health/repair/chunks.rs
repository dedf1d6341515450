//! The chunk table: where each chunk is, and how many extents name it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::workpiece::Workpiece;
use crate::meta::schema::text::sql;
use crate::meta::{Result, StoredChunk};
use crate::types::{ChunkHash, ChunkId, Location, PageSums, SegmentId};

const PLACE: &str = sql!("UPDATE chunk SET {chunk segment..sums sets 2} WHERE id = ?1");
const LOSE: &str = "
    UPDATE chunk SET segment = 0, off = 0, stored_len = 0, codec = 0, sums = x'', shared = 0 WHERE id = ?1";
const RENAME: &str = "UPDATE chunk SET hash = ?2, shared = 0 WHERE id = ?1";
const INSERT: &str = sql!(
    "INSERT INTO chunk ({chunk hash..sums}, refs, shared, live)
     VALUES ({chunk hash..sums params 1}, 1, 0, 0)"
);
// For the time of a repair: a volume in use never looks up extents by chunk, and would pay for these at each write.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS extent_chunk ON extent (chunk)";
const INDEX_PAST: &str = "CREATE INDEX IF NOT EXISTS extent_past_chunk ON extent_past (chunk)";
const DROP_INDEXES: [&str; 2] = [
    "DROP INDEX IF EXISTS extent_chunk",
    "DROP INDEX IF EXISTS extent_past_chunk",
];
const NAMING: &str = sql!("SELECT {extent -chunk}, 0 FROM extent WHERE chunk = ?1");
const NAMING_PAST: &str = sql!("SELECT {extent -chunk}, died FROM extent_past WHERE chunk = ?1");
const DELETE: &str = "DELETE FROM extent WHERE ino = ?1 AND off = ?2";
const DELETE_PAST: &str = "DELETE FROM extent_past WHERE ino = ?1 AND off = ?2 AND born = ?3";
const ADD: &str = sql!("INSERT INTO extent ({extent}) VALUES ({extent params 1})");
const ADD_PAST: &str =
    sql!("INSERT OR IGNORE INTO extent_past ({extent}, died) VALUES ({extent params 1}, ?7)");
const COUNT: &str = "
    CREATE TEMP TABLE named AS SELECT chunk AS id, count(*) AS refs, sum(live) AS live, max(ends) AS ends
    FROM (SELECT chunk, 1 AS live, chunk_off + len AS ends FROM extent
        UNION ALL SELECT chunk, 0, chunk_off + len FROM extent_past) GROUP BY chunk";
const COUNT_INDEX: &str = "CREATE UNIQUE INDEX temp.named_id ON named (id)";
const UNNAMED: &str = "DELETE FROM chunk WHERE id NOT IN (SELECT id FROM temp.named)";
const MISCOUNTED: &str = "
    UPDATE chunk SET refs = n.refs, live = n.live FROM temp.named n
    WHERE chunk.id = n.id AND (chunk.refs <> n.refs OR chunk.live <> n.live)";
const SHORTEN: &str = "
    UPDATE chunk SET len = n.ends FROM temp.named n WHERE chunk.id = n.id AND chunk.segment = 0";
const LOST: &str = "SELECT id FROM chunk WHERE segment = 0";
const UNCOUNT: [&str; 4] = [
    "DROP TABLE temp.named",
    "DELETE FROM tally",
    "DELETE FROM segment",
    "UPDATE setting SET value = 0 WHERE key = 'counted'",
];

/// Bytes of a chunk that was damaged, as a chunk of their own.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Where in the damaged chunk they were.
    pub range: Range<u64>,
    /// Their own name.
    pub hash: ChunkHash,
    /// Where they are.
    pub at: Location,
    /// The checksums of their pages.
    pub sums: PageSums,
}

#[derive(Debug, Clone, Copy)]
struct Naming {
    ino: i64,
    off: i64,
    born: i64,
    len: i64,
    chunk_off: i64,
    /// 0: it lives.
    died: i64,
}

impl Workpiece {
    /// At most `limit` chunks after `after`, those that are lost among them.
    pub fn chunks_after(&self, after: ChunkId, limit: usize) -> Result<Vec<StoredChunk>> {
        self.session.chunks_from(SegmentId::LOST, 0, after, limit)
    }

    /// Notes where a chunk's bytes were found.
    pub fn place_chunk(&mut self, id: ChunkId, at: &Location, sums: &PageSums) -> Result<()> {
        let values = Place::of(at);
        self.run(
            PLACE,
            &[
                &id.0,
                &values.segment,
                &values.off,
                &values.len,
                &values.stored_len,
                &values.codec,
                &sums.as_bytes(),
            ],
        )?;
        self.lost.remove(&id);
        Ok(())
    }

    /// Notes what a chunk's bytes are called: its own name was damaged.
    pub fn rename_chunk(&mut self, id: ChunkId, hash: &ChunkHash) -> Result<()> {
        self.run(RENAME, &[&id.0, &hash.as_bytes()]).map(drop)
    }

    /// Notes that a chunk is lost, but for what was saved of it. It keeps its name, to be found again.
    pub fn lose_chunk(&mut self, id: ChunkId, saved: &[Saved]) -> Result<()> {
        self.run(LOSE, &[&id.0])?;
        self.lost.insert(id);
        if saved.is_empty() {
            return Ok(());
        }
        self.run(INDEX, &[])?;
        self.run(INDEX_PAST, &[])?;
        let mut parts = Vec::new();
        for one in saved {
            parts.push((&one.range, self.insert_saved(one)?));
        }
        for query in [NAMING, NAMING_PAST] {
            for naming in self.naming(query, id)? {
                self.part(id, &naming, &parts)?;
            }
        }
        Ok(())
    }

    fn insert_saved(&self, saved: &Saved) -> Result<i64> {
        let values = Place::of(&saved.at);
        self.run(
            INSERT,
            &[
                &saved.hash.as_bytes(),
                &values.segment,
                &values.off,
                &values.len,
                &values.stored_len,
                &values.codec,
                &saved.sums.as_bytes(),
            ],
        )?;
        Ok(self.session.conn().last_insert_rowid())
    }

    fn naming(&self, query: &str, chunk: ChunkId) -> Result<Vec<Naming>> {
        self.all(query, &[&chunk.0], |row| {
            Ok(Naming {
                ino: row.get(0)?,
                off: row.get(1)?,
                born: row.get(2)?,
                len: row.get(3)?,
                chunk_off: row.get(4)?,
                died: row.get(5)?,
            })
        })
    }

    /// Replaces an extent of a lost chunk by its parts that are saved, and those that are not.
    fn part(&self, lost: ChunkId, one: &Naming, saved: &[(&Range<u64>, i64)]) -> Result<()> {
        let (from, to) = (one.chunk_off, one.chunk_off + one.len);
        let mut pieces = Vec::new();
        let mut at = from;
        for (range, id) in saved {
            let start = range.start.cast_signed().clamp(at, to);
            let end = range.end.cast_signed().clamp(start, to);
            pieces.push((at, start, lost.0, at));
            pieces.push((start, end, *id, start - range.start.cast_signed()));
            at = end;
        }
        pieces.push((at, to, lost.0, at));
        match one.died {
            0 => self.run(DELETE, &[&one.ino, &one.off])?,
            _ => self.run(DELETE_PAST, &[&one.ino, &one.off, &one.born])?,
        };
        for (start, end, chunk, chunk_off) in pieces {
            let (off, len) = (one.off + (start - from), end - start);
            // A part can be empty: where the saved pages begin or end with the extent, or lie outside it.
            match (len, one.died) {
                (0, _) => 0,
                (_, 0) => self.run(ADD, &[&one.ino, &off, &one.born, &len, &chunk, &chunk_off])?,
                (_, died) => self.run(
                    ADD_PAST,
                    &[&one.ino, &off, &one.born, &len, &chunk, &chunk_off, &died],
                )?,
            };
        }
        Ok(())
    }

    pub(super) fn count_refs(&mut self) -> Result<()> {
        for query in DROP_INDEXES.into_iter().chain([COUNT, COUNT_INDEX]) {
            self.run(query, &[])?;
        }
        let (unnamed, miscounted) = (self.run(UNNAMED, &[])?, self.run(MISCOUNTED, &[])?);
        // What is lost is as long as what is missed of it.
        self.run(SHORTEN, &[])?;
        for query in UNCOUNT {
            self.run(query, &[])?;
        }
        // Parts of damaged chunks are counted here for the first time.
        if unnamed + miscounted > 0 && self.lost.is_empty() {
            let what = format!(
                "{miscounted} chunks are counted anew, and {unnamed} that no file names are forgotten"
            );
            self.note(None, what);
        }
        // What was lost of a file that is gone, too, nobody misses.
        let named: BTreeSet<i64> = self.inos(LOST)?.into_iter().collect();
        self.lost.retain(|id| named.contains(&id.0));
        Ok(())
    }
}

/// The columns of a place.
struct Place {
    segment: u32,
    off: i64,
    len: u32,
    stored_len: u32,
    codec: i64,
}

impl Place {
    fn of(at: &Location) -> Self {
        Self {
            segment: at.segment.raw(),
            off: at.offset.cast_signed(),
            len: at.len,
            stored_len: at.stored_len,
            codec: at.codec.to_raw().into(),
        }
    }
}
