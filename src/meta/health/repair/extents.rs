//! Extents of the head: within their chunk and their file, none where another is, and none missing.

use std::collections::BTreeMap;

use super::pieces::{Extent, Holes, LENGTH_MAX, sort_out};
use super::workpiece::Workpiece;
use crate::meta::Result;
use crate::meta::schema::text::sql;
use crate::types::ChunkId;

const NAMED_AND_LOST: &str = "
    SELECT DISTINCT chunk FROM (SELECT chunk FROM extent UNION ALL SELECT chunk FROM extent_past)
    WHERE chunk NOT IN (SELECT id FROM chunk)";
const INSERT_LOST: &str =
    sql!("INSERT INTO chunk ({chunk}) VALUES (?1, zeroblob(32), 0, 0, ?2, 0, 0, x'', 1, 0, 0)");
const NEXT_CHUNK: &str = "SELECT coalesce(max(id), 0) + 1 FROM chunk";
const UNCERTAIN: &str = "
    SELECT e.ino FROM extent e JOIN chunk c ON c.id = e.chunk
        WHERE e.chunk_off < 0 OR e.chunk_off + e.len > c.len
    UNION SELECT i.ino FROM inode i JOIN extent e ON e.ino = i.ino
        WHERE i.nlink > 0 AND e.off + e.len > i.size
    UNION SELECT ino FROM (SELECT ino, off, max(off + len) OVER (PARTITION BY ino ORDER BY off
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM extent) WHERE off < before
    UNION SELECT ino FROM inode i WHERE i.nlink > 0 AND i.kind = 32768 AND i.allocated >
        (SELECT coalesce(sum(len), 0) FROM extent e WHERE e.ino = i.ino)";
const FILE: &str = "
    SELECT size, allocated > (SELECT coalesce(sum(len), 0) FROM extent WHERE ino = ?1)
    FROM inode WHERE ino = ?1";
const OF_FILE: &str = "
    SELECT e.off, e.len, e.born, e.chunk, e.chunk_off,
        e.chunk_off >= 0 AND e.chunk_off + e.len <= c.len
    FROM extent e JOIN chunk c ON c.id = e.chunk WHERE e.ino = ?1 ORDER BY e.off";
const KEEP: &str = sql!(
    "INSERT OR IGNORE INTO extent_past ({extent}, died) SELECT {extent}, ?3 FROM extent
     WHERE ino = ?1 AND off = ?2"
);
const DELETE: &str = "DELETE FROM extent WHERE ino = ?1 AND off = ?2";
const INSERT: &str = sql!("INSERT INTO extent ({extent}) VALUES ({extent params 1})");
const NOBODYS: &str = "
    DELETE FROM extent WHERE ino NOT IN (SELECT ino FROM inode) RETURNING ino";
const NOBODYS_ATTRIBUTES: &str = "
    DELETE FROM xattr WHERE ino NOT IN (SELECT ino FROM inode) RETURNING ino";
const WRONG_ALLOCATED: &str = "
    SELECT ino FROM inode WHERE nlink > 0 AND allocated <>
        (SELECT coalesce(sum(len), 0) FROM extent e WHERE e.ino = inode.ino)";
const ALLOCATE: &str = "
    UPDATE inode SET allocated = (SELECT coalesce(sum(len), 0) FROM extent WHERE ino = ?1) WHERE ino = ?1";

impl Workpiece {
    pub(super) fn mend_extents(&mut self) -> Result<()> {
        for query in [NOBODYS, NOBODYS_ATTRIBUTES] {
            let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
            for ino in self.inos(query)? {
                *counts.entry(ino).or_default() += 1;
            }
            for (ino, count) in counts {
                let what = format!("{count} rows of inode {ino}, which is lost, are removed");
                self.note(None, what);
            }
        }
        for id in self.inos(NAMED_AND_LOST)? {
            self.insert_lost(id, LENGTH_MAX)?;
        }
        self.mend_mapping()
    }

    fn insert_lost(&mut self, id: i64, len: i64) -> Result<()> {
        // Its name went with its row, so that no segment can be searched for it; `len` is cut later to what is named of
        // it.
        self.run(INSERT_LOST, &[&id, &len])?;
        self.lost.insert(ChunkId(id));
        Ok(())
    }

    pub(super) fn new_lost(&mut self, len: i64) -> Result<i64> {
        let id = self.one(NEXT_CHUNK, &[])?;
        self.insert_lost(id, len)?;
        Ok(id)
    }

    /// Extents that reach beyond their chunk or file, or over each other, or are missing; and what files take.
    pub(super) fn mend_mapping(&mut self) -> Result<()> {
        for ino in self.inos(UNCERTAIN)? {
            self.mend_file(ino)?;
        }
        for ino in self.inos(WRONG_ALLOCATED)? {
            self.keep_inode(ino)?;
            self.run(ALLOCATE, &[&ino])?;
            self.note(
                ino,
                "what it takes is counted anew, by the data that it has",
            );
        }
        self.mend_past_mapping()
    }

    fn mend_file(&mut self, ino: i64) -> Result<()> {
        let (size, holes) = self.session.conn().query_row(FILE, [ino], |row| {
            let missing: bool = row.get(1)?;
            let holes = if missing {
                Holes::Doubted
            } else {
                Holes::Holes
            };
            Ok((row.get(0)?, holes))
        })?;
        let found = self.all(OF_FILE, &[&ino], |row| {
            let certain: bool = row.get(5)?;
            Ok(Extent {
                off: row.get(0)?,
                len: row.get(1)?,
                born: row.get(2)?,
                bytes: certain.then_some((row.get(3)?, row.get(4)?)),
            })
        })?;
        let (certain, lost) = sort_out(&found, size, holes);
        for one in found.iter().filter(|one| !certain.contains(one)) {
            if one.born <= self.newest {
                // A snapshot sees it: how it is wrong there is decided by what that snapshot knows of the file.
                self.run(KEEP, &[&ino, &one.off, &self.now])?;
            }
            self.run(DELETE, &[&ino, &one.off])?;
        }
        for one in certain.iter().filter(|one| !found.contains(one)) {
            if let Some((chunk, at)) = one.bytes {
                self.run(INSERT, &[&ino, &one.off, &self.now, &one.len, &chunk, &at])?;
            }
        }
        for range in &lost {
            let len = range.end - range.start;
            let chunk = self.new_lost(len)?;
            self.run(INSERT, &[&ino, &range.start, &self.now, &len, &chunk, &0])?;
        }
        if certain != found || !lost.is_empty() {
            self.note(
                ino,
                "its extents did not fit its size, its chunks or each other, or were missing",
            );
        }
        Ok(())
    }
}
