//! The invariants of the tables (docs/format.md), checked over all rows.

use crate::meta::health::repair::history::dangling;
use crate::meta::health::repair::past::missing_data;
use crate::meta::health::repair::rows::nonsense_name;
use crate::meta::schema::text::sql;
use crate::meta::tables::copying::{misplaced_copy, still_to_write};
use crate::meta::{Database, Result, Session};

/// Each query selects the rows that break the invariant of its name, described in one column.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "a chunk's refs is the number of extents that name it, and live of those in the head",
        "SELECT 'chunk ' || c.id || ' has refs ' || c.refs || ' and live ' || c.live
         FROM chunk c LEFT JOIN (
            SELECT chunk, count(*) AS refs, sum(live) AS live FROM (
                SELECT chunk, 1 AS live FROM extent UNION ALL SELECT chunk, 0 FROM extent_past)
            GROUP BY chunk) n ON n.chunk = c.id
         WHERE c.refs <> coalesce(n.refs, 0) OR c.live <> coalesce(n.live, 0)",
    ),
    (
        "an extent lies within its chunk",
        "SELECT 'inode ' || e.ino || ' byte ' || e.off FROM extent e
         LEFT JOIN chunk c ON c.id = e.chunk
         WHERE c.id IS NULL OR e.chunk_off + e.len > c.len OR e.chunk_off < 0",
    ),
    (
        "extents of a file do not overlap",
        "SELECT 'inode ' || ino || ' byte ' || off FROM (
            SELECT ino, off, max(off + len) OVER (PARTITION BY ino ORDER BY off
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM extent)
         WHERE off < before",
    ),
    (
        "an inode's allocated bytes are those of its extents",
        // Not of orphans: the reaper frees them in steps, between which the sums do not fit.
        "SELECT 'inode ' || i.ino FROM inode i WHERE i.nlink > 0 AND i.allocated <>
            (SELECT coalesce(sum(len), 0) FROM extent WHERE ino = i.ino) +
            (SELECT coalesce(sum(bytes), 0) FROM copying WHERE target = i.ino)",
    ),
    (
        "a copy that is under way can be carried on",
        concat!("SELECT 'copy ' || id FROM copying c
         WHERE source NOT IN (SELECT ino FROM inode WHERE kind = 32768)
            OR target NOT IN (SELECT ino FROM inode WHERE kind = 32768)
            OR bytes <> (SELECT coalesce(sum(len), 0) FROM (", still_to_write!(), ") w WHERE w.id = c.id)
            OR ", misplaced_copy!()),
    ),
    (
        "no extent begins behind the end of its file",
        "SELECT 'inode ' || i.ino FROM inode i JOIN extent e ON e.ino = i.ino
         WHERE i.nlink > 0 AND e.off + e.len > i.size",
    ),
    (
        "extents and attributes belong to an inode",
        "SELECT 'inode ' || ino FROM (SELECT ino FROM extent UNION SELECT ino FROM xattr)
         WHERE ino NOT IN (SELECT ino FROM inode)",
    ),
    (
        "a file's nlink is the number of its names",
        "SELECT 'inode ' || i.ino FROM inode i
         LEFT JOIN (SELECT ino, count(*) AS names FROM dentry GROUP BY ino) n ON n.ino = i.ino
         WHERE i.kind <> 16384 AND i.nlink <> coalesce(n.names, 0)",
    ),
    (
        "a directory's nlink is 2 and one more for each directory in it, or 0 when it has no name",
        "SELECT 'inode ' || i.ino FROM inode i WHERE i.kind = 16384 AND i.nlink <> CASE
            WHEN i.ino = 1 OR EXISTS (SELECT 1 FROM dentry d WHERE d.parent = i.parent
                AND d.cookie = i.place AND d.ino = i.ino)
            THEN 2 + (SELECT count(*) FROM dentry d JOIN inode c ON c.ino = d.ino
                      WHERE d.parent = i.ino AND c.kind = 16384)
            ELSE 0 END",
    ),
    (
        "an inode is an orphan if and only if it has no name",
        "SELECT 'inode ' || ino FROM inode WHERE (nlink = 0) <> (ino IN (SELECT ino FROM orphan))",
    ),
    (
        "what is pending is a snapshot",
        "SELECT 'epoch ' || epoch FROM pending WHERE epoch NOT IN (SELECT epoch FROM snapshot)",
    ),
    (
        "an entry's directory and inode are there",
        "SELECT 'entry of inode ' || parent FROM dentry
         WHERE parent NOT IN (SELECT ino FROM inode WHERE kind = 16384)
            OR ino NOT IN (SELECT ino FROM inode)",
    ),
    (
        "a past row is visible at some snapshot, or waits to be freed",
        "SELECT t || ' row born ' || born || ', died ' || died FROM (
            SELECT 'inode' AS t, born, died FROM inode_past UNION ALL
            SELECT 'dentry', born, died FROM dentry_past UNION ALL
            SELECT 'extent', born, died FROM extent_past UNION ALL
            SELECT 'xattr', born, died FROM xattr_past) r
         WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE epoch >= r.born AND epoch < r.died)
           AND NOT EXISTS (SELECT 1 FROM purge p
                WHERE r.born > p.after AND r.died BETWEEN p.first AND p.last)",
    ),
    (
        "an extent of a snapshot lies within its chunk",
        "SELECT 'inode ' || e.ino || ' byte ' || e.off || ', born ' || e.born FROM extent_past e
         LEFT JOIN chunk c ON c.id = e.chunk
         WHERE c.id IS NULL OR e.chunk_off + e.len > c.len OR e.chunk_off < 0",
    ),
    (
        "a snapshot sees all data of its files",
        concat!("SELECT 'inode ' || ino FROM (", missing_data!(), ")"),
    ),
    (
        "an entry that a snapshot sees leads to an inode",
        concat!("SELECT 'entry of inode ' || parent || ', born ' || born FROM (", dangling!(), ")"),
    ),
    (
        "the root is a directory without a name",
        "SELECT 'inode 1' WHERE NOT EXISTS (SELECT 1 FROM inode WHERE ino = 1 AND kind = 16384)
            OR EXISTS (SELECT 1 FROM dentry WHERE ino = 1)
         UNION ALL SELECT 'epoch ' || epoch FROM snapshot s
            WHERE NOT EXISTS (SELECT 1 FROM inode WHERE ino = 1 AND born <= s.epoch)
            AND NOT EXISTS (SELECT 1 FROM inode_past WHERE ino = 1 AND born <= s.epoch AND died > s.epoch)",
    ),
    (
        "a directory has one name",
        "SELECT 'inode ' || i.ino FROM inode i WHERE i.kind = 16384
            AND i.ino IN (SELECT ino FROM dentry GROUP BY ino HAVING count(*) > 1)",
    ),
    (
        "every directory is below the root",
        "WITH RECURSIVE reached (ino) AS (
            SELECT 1 UNION SELECT d.ino FROM reached r JOIN dentry d ON d.parent = r.ino
                JOIN inode i ON i.ino = d.ino AND i.kind = 16384)
         SELECT 'inode ' || ino FROM inode WHERE kind = 16384 AND nlink > 0
            AND ino NOT IN (SELECT ino FROM reached)",
    ),
    (
        "an orphan is an inode without entries",
        "SELECT 'inode ' || ino FROM orphan WHERE ino NOT IN (SELECT ino FROM inode)
            OR ino IN (SELECT parent FROM dentry)",
    ),
    (
        "a name is one that a file can have",
        concat!("SELECT 'entry of inode ' || parent FROM dentry WHERE ", nonsense_name!()),
    ),
    (
        "an inode is one that can be",
        sql!("SELECT 'inode ' || ino FROM inode WHERE {inode nonsense}
            UNION ALL SELECT 'inode ' || ino || ', past' FROM inode_past WHERE {inode nonsense}"),
    ),
    (
        "a chunk is one that can be",
        sql!("SELECT 'chunk ' || id FROM chunk WHERE {chunk nonsense}"),
    ),
    (
        "numbers and epochs are counted up",
        "SELECT key FROM setting WHERE key = 'numbers' AND value <= (SELECT max(n) FROM (
                SELECT max(ino) AS n FROM inode UNION ALL SELECT max(ino) FROM inode_past
                UNION ALL SELECT max(cookie) FROM dentry UNION ALL SELECT max(cookie) FROM dentry_past))
            OR key = 'epoch' AND value <= (SELECT coalesce(max(epoch), 0) FROM snapshot)",
    ),
];

impl Database {
    /// Checks every invariant of one state; returns a line for each row that breaks one.
    pub fn audit(&self) -> Result<Vec<String>> {
        // Counted anew where nothing is counted yet, so that there is something to compare with.
        self.tally()?;
        let (reader, tally) = self.read_with_tally()?;
        let mut broken = reader.audit()?;
        let counted = reader.counted()?;
        if tally.is_some_and(|tally| tally != counted) {
            broken.push(format!("the counts are those of the rows: {counted:?}"));
        }
        Ok(broken)
    }
}

impl Session {
    /// A line for each row that breaks an invariant.
    pub(in crate::meta) fn audit(&self) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        for (invariant, query) in INVARIANTS {
            let mut stmt = self.conn().prepare(query)?;
            for row in stmt.query_map([], |row| row.get::<_, String>(0))? {
                broken.push(format!("{invariant}: {}", row?));
            }
        }
        Ok(broken)
    }
}
