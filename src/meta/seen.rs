//! Names of chunks that need not be sent (again): a set that is on the disk, for there may be more of them than memory
//! has place for.

use rusqlite::Connection;

use crate::meta::Result;
use crate::types::ChunkHash;

const TABLE: &str = "CREATE TABLE seen (hash BLOB PRIMARY KEY) WITHOUT ROWID";
const ADD: &str = "INSERT OR IGNORE INTO seen (hash) VALUES (?1)";

/// A set of names; it is gone with its owner.
#[derive(Debug)]
pub struct SeenChunks(Connection);

impl SeenChunks {
    /// An empty set.
    ///
    /// # Errors
    /// [`crate::meta::Error::Full`] and [`crate::meta::Error::Sqlite`] when there is no place for it.
    pub fn begin() -> Result<Self> {
        // A database without a name is a file that SQLite makes and removes at once; it is written when its cache is
        // full (sqlite.org/inmemorydb.html).
        let conn = Connection::open("")?;
        conn.pragma_update(None, "journal_mode", "OFF")?;
        conn.pragma_update(None, "cache_size", -8 * 1024)?;
        conn.execute(TABLE, [])?;
        conn.execute_batch("BEGIN")?;
        Ok(Self(conn))
    }

    /// Adds a name; whether it is a new one.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn add(&self, hash: &ChunkHash) -> Result<bool> {
        let mut stmt = self.0.prepare_cached(ADD)?;
        Ok(stmt.execute([hash.as_bytes()])? == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once() {
        let seen = SeenChunks::begin().unwrap();
        for number in 0..100_000_u32 {
            let hash = ChunkHash::of(&number.to_le_bytes());
            assert!(seen.add(&hash).unwrap());
            assert!(!seen.add(&hash).unwrap());
        }
    }
}
