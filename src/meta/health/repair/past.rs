//! Extents as snapshots see them: within their chunk, none where another is, and none missing.

use super::pieces::{Extent, Holes, LENGTH_MAX, PIECES_MAX, disputed, doubted, split};
use super::workpiece::Workpiece;
use crate::meta::Result;
use crate::meta::schema::text::sql;

const UNCERTAIN: &str = "
    SELECT e.ino, e.off, e.born, e.len FROM extent_past e JOIN chunk c ON c.id = e.chunk
    WHERE e.chunk_off < 0 OR e.chunk_off + e.len > c.len";
const LOSE: &str = "
    UPDATE extent_past SET chunk = ?4, chunk_off = 0, len = ?5 WHERE ino = ?1 AND off = ?2 AND born = ?3";
/// Files of which snapshots see less data than their inodes say: by all snapshots together, in one pass.
macro_rules! missing_data {
    () => {
        "SELECT said.ino FROM (
            SELECT ino, sum(allocated * seen) AS bytes FROM (
                SELECT ino, allocated, nlink, (SELECT count(*) FROM snapshot WHERE epoch >= born) AS seen
                    FROM inode WHERE kind = 32768 AND born <= (SELECT coalesce(max(epoch), 0) FROM snapshot)
                UNION ALL SELECT ino, allocated, nlink,
                    (SELECT count(*) FROM snapshot WHERE epoch >= born AND epoch < died)
                    FROM inode_past WHERE kind = 32768)
            GROUP BY ino HAVING min(nlink) > 0) said
         WHERE said.bytes >
            coalesce((SELECT sum(len * (SELECT count(*) FROM snapshot WHERE epoch >= e.born))
                FROM extent e WHERE e.ino = said.ino), 0)
            + coalesce((SELECT sum(len * (SELECT count(*) FROM snapshot
                    WHERE epoch >= e.born AND epoch < e.died))
                FROM extent_past e WHERE e.ino = said.ino), 0)"
    };
}
pub(in crate::meta::health) use missing_data;

// Files that the head had mended have past extents that were kept as they were.
const OVERLAPPING: &str = "
    SELECT DISTINCT a.ino FROM extent_past a JOIN extent_past b ON b.ino = a.ino
        AND b.off > a.off AND b.off < a.off + a.len
    WHERE a.died = ?1 AND b.died = ?1";
const STATES: &str = "
    SELECT s.epoch, i.size, i.allocated FROM snapshot s JOIN (
        SELECT size, allocated, born, 9223372036854775807 AS died FROM inode WHERE ino = ?1
        UNION ALL SELECT size, allocated, born, died FROM inode_past WHERE ino = ?1) i
    ON i.born <= s.epoch AND i.died > s.epoch";
const SEEN: &str = "
    SELECT off, len, born, 1 AS live FROM extent WHERE ino = ?1 AND born <= ?2
    UNION ALL SELECT off, len, born, 0 FROM extent_past WHERE ino = ?1 AND born <= ?2 AND died > ?2
    ORDER BY off";
const ADD: &str = sql!(
    "INSERT OR IGNORE INTO extent_past ({extent -chunk_off}, chunk_off, died)
     VALUES ({extent -chunk_off params 1}, 0, ?3 + 1)"
);

impl Workpiece {
    pub(super) fn mend_past_mapping(&mut self) -> Result<()> {
        let found = self.all(UNCERTAIN, &[], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })?;
        for row in found {
            self.lose_past(row)?;
        }
        let mut inos = self.inos(missing_data!())?;
        inos.extend(self.all(OVERLAPPING, &[&self.now], |row| row.get::<_, i64>(0))?);
        for ino in inos {
            let states = self.all(STATES, &[&ino], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get(2)?])
            })?;
            for state in states {
                self.mend_state(ino, state)?;
            }
        }
        Ok(())
    }

    fn lose_past(&mut self, [ino, off, born, len]: [i64; 4]) -> Result<()> {
        let len = LENGTH_MAX.min(len);
        let chunk = self.new_lost(len)?;
        self.run(LOSE, &[&ino, &off, &born, &chunk, &len]).map(drop)
    }

    /// Mends what one snapshot sees of a file.
    fn mend_state(&mut self, ino: i64, [epoch, size, allocated]: [i64; 3]) -> Result<()> {
        let found = self.all(SEEN, &[&ino, &epoch], |row| {
            let extent = Extent {
                off: row.get(0)?,
                len: row.get(1)?,
                born: row.get(2)?,
                bytes: Some((0, 0)),
            };
            Ok((extent, row.get::<_, bool>(3)?))
        })?;
        let extents: Vec<Extent> = found.iter().map(|(extent, _)| *extent).collect();
        let held: i64 = extents.iter().map(|one| one.len).sum();
        let holes = if held < allocated {
            Holes::Doubted
        } else {
            Holes::Holes
        };
        // What the head sees, too, and has no dispute with, is right.
        for ((one, is_live), disputed) in found.iter().zip(disputed(&extents)) {
            if disputed && !is_live {
                self.lose_past([ino, one.off, one.born, one.len])?;
            }
        }
        let gaps = doubted(&extents, size, holes).into_iter();
        for range in gaps.flat_map(split).take(PIECES_MAX) {
            let len = range.end - range.start;
            let chunk = self.new_lost(len)?;
            self.run(ADD, &[&ino, &range.start, &epoch, &len, &chunk])?;
        }
        Ok(())
    }
}
