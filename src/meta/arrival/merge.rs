//! What arrived becomes the next snapshot of a copy of a volume's database, and its head: rows that are as before
//! stay, so that earlier snapshots keep what they see and the next comparison finds what changed.

use std::path::Path;

use rusqlite::{Connection, params};

use super::hashed::{ArrivedSnapshot, HashedArrival};
use super::unfit;
use crate::meta::schema::connect;
use crate::meta::schema::text::sql;
use crate::meta::{Error, Result, Session};

const MAP: &str = "CREATE TABLE places.map (id INTEGER PRIMARY KEY, chunk INTEGER NOT NULL)";
// By the whole table: only some chunks are in its index of hashes.
const MAP_KNOWN: &str = "
    INSERT OR IGNORE INTO places.map (id, chunk)
    SELECT n.id, c.id FROM chunk c CROSS JOIN places.named n ON n.hash = c.hash
    WHERE c.segment <> 0";
const LAST_CHUNK: &str = "SELECT coalesce(max(id), 0) FROM chunk";
const ADD_CHUNKS: &str = sql!(
    "INSERT INTO chunk ({chunk id..sums}, refs, shared, live)
     SELECT ?1 + a.id, {a.chunk hash..sums}, 1, a.shared AND NOT EXISTS (
        SELECT 1 FROM chunk c WHERE c.hash = a.hash AND c.shared = 1), 1
     FROM arrived.chunk a WHERE a.id NOT IN (SELECT id FROM places.map)"
);
const MAP_ADDED: &str =
    "INSERT OR IGNORE INTO places.map (id, chunk) SELECT id, ?1 + id FROM arrived.chunk";
const MISSING: &str = "
    SELECT hash FROM places.named WHERE id NOT IN (SELECT id FROM places.map) LIMIT 1";
const NAME_KNOWN: &str = "
    UPDATE arrived.extent SET chunk = (SELECT m.chunk FROM places.map m WHERE m.id = extent.chunk)";

// For each table: what is not as it arrives dies now, in epoch `?1`, and is kept if a snapshot, the newest of which is
// `?2`, sees it; what is not there is born.
macro_rules! merge {
    ($table:literal by $key:literal where $same:expr) => {
        [
            sql!(
                "INSERT INTO ",
                $table,
                "_past ({",
                $table,
                "}, died) SELECT {o.",
                $table,
                "}, ?1 FROM ",
                $table,
                " o
                 WHERE o.born <= ?2 AND NOT EXISTS (SELECT 1 FROM arrived.",
                $table,
                " n WHERE ",
                $same,
                ")"
            ),
            sql!(
                "DELETE FROM ",
                $table,
                " AS o WHERE NOT EXISTS (SELECT 1 FROM arrived.",
                $table,
                " n WHERE ",
                $same,
                ")"
            ),
            sql!(
                "INSERT INTO ",
                $table,
                " (born, {",
                $table,
                " -born}) SELECT ?1, {n.",
                $table,
                " -born} FROM arrived.",
                $table,
                " n
                 WHERE NOT EXISTS (SELECT 1 FROM ",
                $table,
                " o WHERE ",
                $key,
                ")"
            ),
        ]
    };
}
const MERGE: [[&str; 3]; 4] = [
    merge!("inode" by "o.ino = n.ino" where
        "n.ino = o.ino AND ({n.inode -born -ino}) IS ({o.inode -born -ino})"),
    merge!("dentry" by "o.parent = n.parent AND o.name = n.name" where
        "n.parent = o.parent AND n.name = o.name AND n.ino = o.ino AND n.cookie = o.cookie"),
    merge!("xattr" by "o.ino = n.ino AND o.name = n.name" where
        "n.ino = o.ino AND n.name = o.name AND n.value = o.value"),
    merge!("extent" by "o.ino = n.ino AND o.off = n.off" where
        "n.ino = o.ino AND n.off = o.off AND n.len = o.len AND n.chunk = o.chunk
         AND n.chunk_off = o.chunk_off"),
];
// The root in any case: rows of an inode may be others where its own is not.
const NOTE_REVIVED: &str = sql!(
    "INSERT OR IGNORE INTO revived ({revived}) SELECT ?1, ino FROM inode WHERE born = ?1 OR ino = 1"
);
pub(super) const CONCLUDE: &str = "
    DELETE FROM orphan;
    DELETE FROM copying;
    DELETE FROM chunk WHERE id NOT IN (SELECT chunk FROM extent UNION ALL SELECT chunk FROM extent_past);
    UPDATE chunk SET refs = n.refs, live = n.live FROM (
        SELECT chunk AS named, count(*) AS refs, sum(live) AS live FROM (
            SELECT chunk, 1 AS live FROM extent UNION ALL SELECT chunk, 0 FROM extent_past)
        GROUP BY chunk) n
    WHERE id = n.named AND (chunk.refs <> n.refs OR chunk.live <> n.live);
    UPDATE setting SET value = 0 WHERE key = 'counted';";
const NUMBERS: &str = "
    UPDATE setting SET value = max(value, ?1,
        (SELECT coalesce(max(ino), 0) + 1 FROM inode), (SELECT coalesce(max(cookie), 0) + 1 FROM dentry))
    WHERE key = 'numbers'";
const EPOCHS: &str = "
    SELECT value, (SELECT coalesce(max(epoch), 0) FROM snapshot) FROM setting WHERE key = 'epoch'";
const SNAPSHOT: &str = sql!(
    "INSERT INTO snapshot ({snapshot -held})
     SELECT ?1, ?2, ?3, value, ?4 FROM setting WHERE key = 'numbers'"
);
const NEXT_EPOCH: &str = "UPDATE setting SET value = ?1 + 1 WHERE key = 'epoch'";

impl HashedArrival {
    /// Merges what arrived into the database at `copy`, which nobody else has open, instead of finishing it: chunks
    /// that did not come are taken from those that the copy names.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first thing that does not fit, or a chunk that is not there; [`Error::Full`],
    /// [`Error::Sqlite`]. The copy is of no use then.
    pub fn merge(self, copy: &Path, snapshot: &ArrivedSnapshot) -> Result<()> {
        let (path, scratch) = (self.commit()?, self.0.scratch.clone());
        drop(self);
        let session = Session::of(connect::open_copy(copy)?);
        let conn = session.conn();
        conn.execute("ATTACH ?1 AS arrived", [path])?;
        conn.execute("ATTACH ?1 AS places", [scratch.to_string_lossy()])?;
        conn.execute_batch("BEGIN")?;
        map_chunks(conn)?;
        merge_rows(conn, snapshot)?;
        conn.execute_batch(CONCLUDE)?;
        if let Some(first) = session.audit()?.first() {
            return Err(Error::Corrupt(first.clone()));
        }
        session.run("COMMIT")?;
        let closed = session.into_conn().close();
        closed.map_err(|(_, error)| Error::from(error))
    }

    /// So that another connection sees what arrived; where it is.
    fn commit(&self) -> Result<String> {
        let conn = self.0.session.conn();
        self.0.session.run("COMMIT")?;
        conn.path()
            .map(str::to_owned)
            .ok_or_else(|| Error::bug("a database has no path"))
    }
}

/// Numbers in the extents that arrived are those of the copy from here on.
fn map_chunks(conn: &Connection) -> Result<()> {
    conn.execute(MAP, [])?;
    conn.execute(MAP_KNOWN, [])?;
    let last: i64 = conn.query_row(LAST_CHUNK, [], |row| row.get(0))?;
    conn.execute(ADD_CHUNKS, [last])?;
    conn.execute(MAP_ADDED, [last])?;
    super::hashed::expect_named(conn, MISSING)?;
    conn.execute(NAME_KNOWN, [])?;
    Ok(())
}

/// What arrived becomes the next snapshot, and the head. What names each chunk is not counted.
pub(super) fn merge_rows(conn: &Connection, snapshot: &ArrivedSnapshot) -> Result<()> {
    let (now, newest): (i64, i64) =
        conn.query_row(EPOCHS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for [keep, delete, add] in MERGE {
        conn.execute(keep, [now, newest])?;
        conn.execute(delete, [])?;
        conn.execute(add, [now])?;
    }
    // Nothing is compared with what was before the first.
    if newest > 0 {
        conn.execute(NOTE_REVIVED, [now])?;
    }
    conn.execute(NUMBERS, [snapshot.numbers.cast_signed()])?;
    let values = params![
        now,
        snapshot.name.as_str(),
        snapshot.created,
        snapshot.label
    ];
    conn.execute(SNAPSHOT, values).map_err(unfit)?;
    conn.execute(NEXT_EPOCH, [now])?;
    Ok(())
}
