//! The same for a state whose extents name their chunks by hashes, and whose chunks come in any order, some perhaps
//! from elsewhere.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Arrival, BORN, EXTENT, unfit};
use crate::meta::schema::text::sql;
use crate::meta::{Error, Result, Sharing};
use crate::types::{ChunkHash, ChunkId, Ino, Location, PageSums, SegmentId, SnapshotName};

const NAMED: &str = "CREATE TABLE places.named (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE)";
const NAME: &str = "
    INSERT INTO places.named (hash) VALUES (?1) ON CONFLICT (hash) DO UPDATE SET hash = hash
    RETURNING id";
const IS_HERE: &str = "SELECT 1 FROM chunk WHERE id = ?1";
const MISSING: &str = "
    SELECT hash FROM places.named WHERE id NOT IN (SELECT id FROM chunk) LIMIT 1";
const SNAPSHOT: &str = sql!(
    "INSERT INTO snapshot ({snapshot -held})
     SELECT 1, ?1, ?2, value, ?3 FROM setting WHERE key = 'numbers'"
);
const EPOCH: &str = "UPDATE setting SET value = 2 WHERE key = 'epoch'";

/// An extent whose chunk is named by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedExtent {
    /// The file.
    pub ino: Ino,
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
    /// The chunk.
    pub hash: ChunkHash,
}

/// The snapshot that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedSnapshot {
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken, in seconds since 1970.
    pub created: i64,
    /// The user's note.
    pub label: String,
    /// Numbers from here on are in no inode and no entry.
    pub numbers: u64,
}

/// The database, in one transaction.
#[derive(Debug)]
pub struct HashedArrival(pub(super) Arrival);

impl HashedArrival {
    /// As [`Arrival::begin`].
    ///
    /// # Errors
    /// Those of it.
    pub fn begin(path: &Path, scratch: &Path) -> Result<Self> {
        let arrival = Arrival::begin(path, scratch)?;
        arrival.session.conn().execute(NAMED, [])?;
        Ok(Self(arrival))
    }

    /// For the rows that name no chunk.
    #[must_use]
    pub const fn rows(&self) -> &Arrival {
        &self.0
    }

    /// Adds an extent.
    ///
    /// # Errors
    /// As [`Arrival::inode`].
    pub fn extent(&self, extent: &HashedExtent) -> Result<()> {
        let values = params![
            extent.ino.raw().cast_signed(),
            extent.off.cast_signed(),
            BORN,
            extent.len.cast_signed(),
            self.named(&extent.hash)?.0,
            extent.chunk_off.cast_signed()
        ];
        self.0.insert(EXTENT, values)
    }

    /// Whether a chunk has come.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Sqlite`].
    pub fn is_here(&self, hash: &ChunkHash) -> Result<bool> {
        let id = self.named(hash)?;
        let mut stmt = self.0.session.conn().prepare_cached(IS_HERE)?;
        Ok(stmt.exists([id.0])?)
    }

    /// A chunk has come, and is stored.
    ///
    /// # Errors
    /// As [`Arrival::inode`], also when it has come before.
    pub fn chunk(
        &self,
        hash: &ChunkHash,
        stored: (&Location, &PageSums),
        sharing: Sharing,
    ) -> Result<()> {
        self.0.chunk(self.named(hash)?, hash, stored, sharing)
    }

    /// Makes the snapshot of what has arrived, counts and commits, as [`Arrival::finish`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the first thing that does not fit, or a chunk that has not come; [`Error::Full`],
    /// [`Error::Sqlite`].
    pub fn finish(self, snapshot: &ArrivedSnapshot) -> Result<()> {
        let conn = self.0.session.conn();
        expect_named(conn, MISSING)?;
        conn.execute(super::NUMBERS, [snapshot.numbers.cast_signed()])?;
        conn.execute(
            SNAPSHOT,
            params![snapshot.name.as_str(), snapshot.created, snapshot.label],
        )
        .map_err(unfit)?;
        conn.execute(EPOCH, [])?;
        self.0.finish(snapshot.numbers)
    }

    /// The segments that hold chunks.
    ///
    /// # Errors
    /// [`Error::Sqlite`].
    pub fn segments(&self) -> Result<Vec<SegmentId>> {
        self.0.session.segments()
    }

    fn named(&self, hash: &ChunkHash) -> Result<ChunkId> {
        let mut stmt = self.0.session.conn().prepare_cached(NAME)?;
        Ok(stmt.query_row([hash.as_bytes()], |row| row.get(0).map(ChunkId))?)
    }
}

/// `missing` selects a chunk that is named and is not there.
pub(super) fn expect_named(conn: &Connection, missing: &str) -> Result<()> {
    let found = conn.query_row(missing, [], |row| row.get::<_, [u8; ChunkHash::LEN]>(0));
    found.optional()?.map_or(Ok(()), |hash| {
        let hash = ChunkHash::from_bytes(hash);
        Err(Error::row(format!(
            "chunk {hash} is named, and did not come"
        )))
    })
}
