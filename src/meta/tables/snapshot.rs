//! `snapshot`: names for epochs, and the freeing of rows that no snapshot sees any more.

use rusqlite::{OptionalExtension, Row, params};

use crate::meta::schema::text::sql;
use crate::meta::tables::setting::Setting;
use crate::meta::{Copies, Error, Result, Session, WriteTx};
use crate::types::{ChunkId, Epoch, SnapshotName, Timestamp};

const LIST_ALL: &str = sql!("SELECT {snapshot} FROM snapshot ORDER BY epoch");
const LIST: &str = sql!(
    "SELECT {snapshot} FROM snapshot
     WHERE epoch NOT IN (SELECT epoch FROM pending WHERE taken = 0) ORDER BY epoch"
);
const GET: &str = sql!(
    "SELECT {snapshot} FROM snapshot
     WHERE name = ?1 AND epoch NOT IN (SELECT epoch FROM pending WHERE taken = 0)"
);
const IS_TAKEN: &str = "SELECT 1 FROM snapshot WHERE name = ?1";
const IS_THERE: &str = "SELECT 1 FROM snapshot WHERE epoch = ?1";
const INSERT: &str =
    sql!("INSERT INTO snapshot ({snapshot -held}) VALUES ({snapshot -held params 1})");
const HOLD: &str = "UPDATE snapshot SET held = ?2 WHERE epoch = ?1";
const DELETE: &str = "DELETE FROM snapshot WHERE epoch = ?1";
const BEFORE: &str = "SELECT coalesce(max(epoch), 0) FROM snapshot WHERE epoch < ?1";
const AFTER: &str = "SELECT min(epoch) FROM snapshot WHERE epoch > ?1";
// A state older than every snapshot is compared with no more.
const FORGET_REVIVED: &str = "
    DELETE FROM revived WHERE epoch <= coalesce((SELECT min(epoch) FROM snapshot), 9e18)";
const INSERT_PURGE: &str = sql!("INSERT INTO purge ({purge -id}) VALUES ({purge -id params 1})");
const NEXT_PURGE: &str = sql!("SELECT {purge} FROM purge ORDER BY id LIMIT 1");
const DELETE_PURGE: &str = "DELETE FROM purge WHERE id = ?1";

// Rows that only removed snapshots saw: born after `?1`, died in `?2..=?3`.
const DEAD_EXTENTS: &str = "
    SELECT ino, off, born, chunk FROM extent_past
    WHERE died BETWEEN ?2 AND ?3 AND born > ?1 LIMIT ?4";
const DELETE_EXTENT: &str = "DELETE FROM extent_past WHERE ino = ?1 AND off = ?2 AND born = ?3";
const PURGE_OTHERS: [&str; 3] = [
    "DELETE FROM inode_past WHERE (ino, born) IN (SELECT ino, born FROM inode_past
        WHERE died BETWEEN ?2 AND ?3 AND born > ?1 LIMIT ?4)",
    "DELETE FROM dentry_past WHERE (parent, name, born) IN (SELECT parent, name, born FROM dentry_past
        WHERE died BETWEEN ?2 AND ?3 AND born > ?1 LIMIT ?4)",
    "DELETE FROM xattr_past WHERE (ino, name, born) IN (SELECT ino, name, born FROM xattr_past
        WHERE died BETWEEN ?2 AND ?3 AND born > ?1 LIMIT ?4)",
];

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it names.
    pub epoch: Epoch,
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken, to the second.
    pub created: Timestamp,
    /// Numbers from here on were given out after it.
    pub numbers: u64,
    /// The user's note.
    pub label: String,
    /// Whether it may not be removed.
    pub held: bool,
}

fn read_snapshot(row: &Row<'_>) -> Result<Snapshot> {
    let name: String = row.get(1)?;
    Ok(Snapshot {
        epoch: Epoch(row.get(0)?),
        name: name.parse().map_err(Error::row)?,
        created: Timestamp::new(row.get(2)?, 0),
        numbers: row.get::<_, i64>(3)?.cast_unsigned(),
        label: row.get(4)?,
        held: row.get::<_, i64>(5)? != 0,
    })
}

impl Session {
    /// All snapshots, the oldest first, but those that are pending.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.listed(LIST)
    }

    /// All snapshots, the oldest first, also those that are pending.
    pub fn all_snapshots(&self) -> Result<Vec<Snapshot>> {
        self.listed(LIST_ALL)
    }

    fn listed(&self, query: &'static str) -> Result<Vec<Snapshot>> {
        let mut stmt = self.conn().prepare_cached(query)?;
        let mut rows = stmt.query([])?;
        let mut snapshots = Vec::new();
        while let Some(row) = rows.next()? {
            snapshots.push(read_snapshot(row)?);
        }
        Ok(snapshots)
    }

    /// The snapshot of this name, unless it is pending.
    pub fn snapshot(&self, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let mut stmt = self.conn().prepare_cached(GET)?;
        let mut rows = stmt.query([name.as_str()])?;
        rows.next()?.map(read_snapshot).transpose()
    }

    /// Whether a snapshot has this name, also one that is pending.
    pub fn is_taken(&self, name: &SnapshotName) -> Result<bool> {
        let mut stmt = self.conn().prepare_cached(IS_TAKEN)?;
        Ok(stmt.exists([name.as_str()])?)
    }

    /// Whether there is a snapshot of this epoch.
    pub fn is_snapshot(&self, epoch: Epoch) -> Result<bool> {
        let mut stmt = self.conn().prepare_cached(IS_THERE)?;
        Ok(stmt.exists([epoch.0])?)
    }

    /// Whether rows wait to be freed.
    pub fn has_purge(&self) -> Result<bool> {
        Ok(self.next_purge()?.is_some())
    }

    fn next_purge(&self) -> Result<Option<[i64; 4]>> {
        let mut stmt = self.conn().prepare_cached(NEXT_PURGE)?;
        let found = stmt.query_row([], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        });
        Ok(found.optional()?)
    }
}

impl WriteTx<'_> {
    /// Names the present state, and begins the next epoch. Copies nothing, once what is copying is written.
    ///
    /// # Errors
    /// [`Error::Sqlite`] when the name is taken.
    pub fn insert_snapshot(&mut self, name: &SnapshotName, label: &str) -> Result<Snapshot> {
        self.finish_copies(Copies::All)?;
        let epoch = self.epochs().current;
        let numbers = self.writer.numbers.next;
        let created = Timestamp::new(Timestamp::now().secs(), 0);
        let values = params![epoch.0, name.as_str(), created.secs(), numbers, label];
        self.conn().prepare_cached(INSERT)?.execute(values)?;
        self.set_setting(Setting::Epoch, epoch.0 + 1)?;
        self.change_epochs(Epoch(epoch.0 + 1), epoch);
        let numbers = numbers.cast_unsigned();
        let (name, label) = (name.clone(), label.to_owned());
        Ok(Snapshot {
            epoch,
            name,
            created,
            numbers,
            label,
            held: false,
        })
    }

    /// Forbids or allows the removal of a snapshot.
    pub fn hold_snapshot(&mut self, epoch: Epoch, hold: Hold) -> Result<()> {
        let held = i64::from(hold == Hold::Held);
        self.conn()
            .prepare_cached(HOLD)?
            .execute(params![epoch.0, held])?;
        Ok(())
    }

    /// Removes a snapshot; [`Self::purge`] frees what only it saw.
    pub fn delete_snapshot(&mut self, epoch: Epoch) -> Result<()> {
        let conn = self.conn();
        let before: i64 = conn
            .prepare_cached(BEFORE)?
            .query_row([epoch.0], |row| row.get(0))?;
        let after: Option<i64> = conn
            .prepare_cached(AFTER)?
            .query_row([epoch.0], |row| row.get(0))?;
        let last = after.unwrap_or(self.epochs().current.0);
        // What was born after the snapshot before it and died by the one behind it, no other sees.
        conn.prepare_cached(INSERT_PURGE)?
            .execute(params![before, epoch.0 + 1, last])?;
        conn.prepare_cached(DELETE)?.execute([epoch.0])?;
        self.delete_pending(epoch)?;
        let conn = self.conn();
        conn.prepare_cached(FORGET_REVIVED)?.execute([])?;
        let newest = self.newest_snapshot()?;
        self.change_epochs(self.epochs().current, Epoch(newest));
        Ok(())
    }

    /// Frees at most `limit` rows of each table that no snapshot sees any more; whether some are left.
    pub fn purge(&mut self, limit: usize) -> Result<bool> {
        let Some([id, after, first, last]) = self.next_purge()? else {
            return Ok(false);
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut freed = self.purge_extents(params![after, first, last, limit])?;
        for table in PURGE_OTHERS {
            freed += self
                .conn()
                .prepare_cached(table)?
                .execute(params![after, first, last, limit])?;
        }
        if freed == 0 {
            self.conn().prepare_cached(DELETE_PURGE)?.execute([id])?;
        }
        Ok(true)
    }

    fn purge_extents(&mut self, range: &[&dyn rusqlite::ToSql]) -> Result<usize> {
        // All rows first: what a query sees of rows that are deleted while it runs is not defined
        // (sqlite.org/isolation.html).
        let mut dead: Vec<(i64, i64, i64, ChunkId)> = Vec::new();
        {
            let mut stmt = self.conn().prepare_cached(DEAD_EXTENTS)?;
            let rows = stmt.query_map(range, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, ChunkId(row.get(3)?)))
            })?;
            for row in rows {
                dead.push(row?);
            }
        }
        for &(ino, off, born, chunk) in &dead {
            self.conn()
                .prepare_cached(DELETE_EXTENT)?
                .execute(params![ino, off, born])?;
            self.drop_past_ref(chunk)?;
        }
        Ok(dead.len())
    }
}

/// Whether a snapshot may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It may not.
    Held,
    /// It may.
    Released,
}
