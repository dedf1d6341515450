//! Counting all rows, and the counts that are stored from one open to the next.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::meta::database::session::Session;
use crate::meta::error::Result;
use crate::meta::schema::text::sql;
use crate::meta::tables::setting::Setting;
use crate::meta::tally::counts::{InSegment, Stored, Tally};
use crate::types::SegmentId;

const INODES: &str = "SELECT count(*) FROM inode";
// What copies have still to write counts as if they had.
const EXTENTS: &str = "
    SELECT count(*), coalesce(sum(len), 0) + (SELECT coalesce(sum(bytes), 0) FROM copying) FROM extent";
// A record is its header and its bytes, to the next multiple of 8 (`types::record_bytes`).
const CHUNKS: &str = "
    SELECT segment, live > 0, count(*), sum(len), sum(stored_len), sum((stored_len + 71) & ~7)
    FROM chunk GROUP BY segment, live > 0";
const TOTALS: &str = sql!("SELECT {tally} FROM tally");
const SEGMENTS: &str = sql!("SELECT {segment} FROM segment");
const CLEAR: [&str; 2] = ["DELETE FROM tally", "DELETE FROM segment"];
const STORE_TOTALS: &str = sql!("INSERT INTO tally ({tally}) VALUES ({tally params 1})");
const STORE_SEGMENT: &str = sql!("INSERT INTO segment ({segment}) VALUES ({segment params 1})");

impl Session {
    /// Counts all rows.
    pub fn counted(&self) -> Result<Tally> {
        let mut tally = Tally {
            inodes: self.conn().query_row(INODES, [], |row| row.get(0))?,
            ..Tally::default()
        };
        (tally.extents, tally.logical) = self
            .conn()
            .query_row(EXTENTS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut stmt = self.conn().prepare(CHUNKS)?;
        let mut rows = stmt.query([])?;
        while let Some(row) = rows.next()? {
            let stored = Stored {
                chunks: row.get(2)?,
                plain: row.get(3)?,
                stored: row.get(4)?,
            };
            if row.get(1)? {
                tally.head.add(stored);
            } else {
                tally.past.add(stored);
            }
            let part = InSegment {
                chunks: stored.chunks,
                bytes: row.get(5)?,
            };
            tally.add_to_segment(SegmentId::from_raw(row.get(0)?), part);
        }
        Ok(tally)
    }

    pub(super) fn stored_tally(&self) -> Result<Tally> {
        let mut tally = self.conn().query_row(TOTALS, [], |row| {
            let stored = |at: usize| {
                Ok::<_, rusqlite::Error>(Stored {
                    chunks: row.get(at)?,
                    plain: row.get(at + 1)?,
                    stored: row.get(at + 2)?,
                })
            };
            Ok(Tally {
                inodes: row.get(0)?,
                extents: row.get(1)?,
                logical: row.get(2)?,
                head: stored(3)?,
                past: stored(6)?,
                segments: BTreeMap::new(),
            })
        })?;
        let mut stmt = self.conn().prepare(SEGMENTS)?;
        let mut rows = stmt.query([])?;
        while let Some(row) = rows.next()? {
            let part = InSegment {
                chunks: row.get(1)?,
                bytes: row.get(2)?,
            };
            tally
                .segments
                .insert(SegmentId::from_raw(row.get(0)?), part);
        }
        Ok(tally)
    }

    pub(in crate::meta) fn store_tally(&self, tally: &Tally) -> Result<()> {
        for clear in CLEAR {
            self.conn().execute(clear, [])?;
        }
        self.conn().execute(
            STORE_TOTALS,
            params![
                tally.inodes,
                tally.extents,
                tally.logical,
                tally.head.chunks,
                tally.head.plain,
                tally.head.stored,
                tally.past.chunks,
                tally.past.plain,
                tally.past.stored
            ],
        )?;
        let mut stmt = self.conn().prepare(STORE_SEGMENT)?;
        for (id, part) in &tally.segments {
            stmt.execute(params![id.raw(), part.chunks, part.bytes])?;
        }
        self.set_setting(Setting::Counted, 1)
    }
}
