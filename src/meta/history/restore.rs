//! Making the head what it was at a snapshot, at the cost of what changed since.

use rusqlite::params;

use crate::meta::schema::text::sql;
use crate::meta::{Result, Snapshot, WriteTx};

// If it is not there: the writer's connection, and so the table, outlives the transaction.
const BEGIN: &str = "CREATE TEMP TABLE IF NOT EXISTS changed (ino INTEGER PRIMARY KEY)";
const CLEAR: &str = "DELETE FROM temp.changed";
// What was there at `?1` and has changed; what has been made since, which has numbers from `?2` on; and what
// has come back since.
const COLLECT: &str = "
    INSERT OR IGNORE INTO temp.changed
        SELECT ino FROM inode_past WHERE born <= ?1 AND died > ?1
        UNION SELECT ino FROM inode WHERE ino >= ?2
        UNION SELECT ino FROM revived WHERE epoch > ?1";
const NOTE_REVIVED: &str = sql!(
    "INSERT INTO revived ({revived}) SELECT ?1, ino FROM inode
     WHERE ino IN (SELECT ino FROM temp.changed) AND born = ?1"
);
const COUNT: &str = "SELECT count(*) FROM temp.changed";

// For each table: what is newer than `?1` dies now, in epoch `?2`; it is kept, for the newest snapshot sees
// it. What was seen at `?1` is born again.
macro_rules! restore {
    ($table:literal of $owner:literal) => {
        [
            sql!(
                "INSERT INTO ",
                $table,
                "_past ({",
                $table,
                "}, died) SELECT {",
                $table,
                "}, ?2
                 FROM ",
                $table,
                " WHERE ",
                $owner,
                " IN (SELECT ino FROM temp.changed) AND born > ?1"
            ),
            sql!(
                "DELETE FROM ",
                $table,
                "
                 WHERE ",
                $owner,
                " IN (SELECT ino FROM temp.changed) AND born > ?1"
            ),
            sql!(
                "INSERT INTO ",
                $table,
                " (born, {",
                $table,
                " -born}) SELECT ?2, {",
                $table,
                " -born}
                 FROM ",
                $table,
                "_past
                 WHERE ",
                $owner,
                " IN (SELECT ino FROM temp.changed) AND born <= ?1 AND died > ?1"
            ),
        ]
    };
}
const RESTORE: [[&str; 3]; 4] = [
    restore!("inode" of "ino"),
    restore!("dentry" of "parent"),
    restore!("xattr" of "ino"),
    restore!("extent" of "ino"),
];
const KEEP_REFS: &str = "
    UPDATE chunk SET live = live - n.less FROM (
        SELECT chunk, count(*) AS less FROM extent
            WHERE ino IN (SELECT ino FROM temp.changed) AND born > ?1 GROUP BY chunk) n
    WHERE chunk.id = n.chunk";
const ADD_REFS: &str = "
    UPDATE chunk SET refs = refs + n.more, live = live + n.more FROM (
        SELECT chunk, count(*) AS more FROM extent
            WHERE ino IN (SELECT ino FROM temp.changed) AND born = ?1 GROUP BY chunk) n
    WHERE chunk.id = n.chunk";
const DROP_ORPHANS: &str = "DELETE FROM orphan WHERE ino IN (SELECT ino FROM temp.changed)";
const ADD_ORPHANS: &str = sql!(
    "INSERT INTO orphan ({orphan}) SELECT ino FROM inode WHERE nlink = 0
     AND ino IN (SELECT ino FROM temp.changed)"
);

// A clone has no history: its chunks are those that its head names.
const FORGET_HISTORY: &str = "
    DELETE FROM inode_past; DELETE FROM dentry_past; DELETE FROM xattr_past; DELETE FROM extent_past;
    DELETE FROM snapshot; DELETE FROM pending; DELETE FROM purge; DELETE FROM revived;
    CREATE TEMP TABLE named AS SELECT chunk AS id, count(*) AS refs FROM extent GROUP BY chunk;
    CREATE UNIQUE INDEX temp.named_id ON named (id);
    DELETE FROM chunk WHERE id NOT IN (SELECT id FROM temp.named);
    UPDATE chunk SET refs = n.refs, live = n.refs FROM temp.named n
        WHERE chunk.id = n.id AND (chunk.refs <> n.refs OR chunk.live <> n.refs);
    DROP TABLE temp.named;";

impl WriteTx<'_> {
    /// Makes the head what it was at `snapshot`; returns how many inodes that changed.
    ///
    /// A snapshot of the present state must have been taken in this transaction, and nothing been changed
    /// since: it keeps what is taken out of the head.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<u64> {
        debug_assert!(
            !self.is_copying()?,
            "invariant 13: a copy would go on reading what is taken out of the head"
        );
        let (at, now) = (snapshot.epoch.0, self.epochs().current.0);
        let conn = self.conn();
        conn.execute(BEGIN, [])?;
        conn.execute(CLEAR, [])?;
        conn.execute(COLLECT, params![at, snapshot.numbers.cast_signed()])?;
        // Counted by the extents that are about to go, so before they do; those that come are counted once they are
        // there.
        conn.execute(KEEP_REFS, [at])?;
        for [keep, delete, revive] in RESTORE {
            conn.execute(keep, params![at, now])?;
            conn.execute(delete, [at])?;
            conn.execute(revive, params![at, now])?;
        }
        conn.execute(ADD_REFS, [now])?;
        conn.execute(NOTE_REVIVED, [now])?;
        conn.execute(DROP_ORPHANS, [])?;
        conn.execute(ADD_ORPHANS, [])?;
        let changed: i64 = conn.query_row(COUNT, [], |row| row.get(0))?;
        conn.execute(CLEAR, [])?;
        // Statements over whole tables pass the tally by: it is counted anew afterwards.
        self.uncounted = true;
        Ok(changed.cast_unsigned())
    }

    /// Drops all snapshots and what only they see.
    pub fn forget_history(&mut self) -> Result<()> {
        self.conn().execute_batch(FORGET_HISTORY)?;
        self.uncounted = true;
        self.change_epochs(self.epochs().current, crate::types::Epoch(0));
        Ok(())
    }
}
