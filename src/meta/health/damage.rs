//! What a damaged chunk means: which bytes of which files, in which states.

use std::collections::BTreeSet;

use crate::meta::tables::copying::still_to_write;
use crate::meta::{Error, Result, Session};
use crate::types::{ChunkId, Epoch, Ino};

// A hundred lines: one damaged page can be the cause of thousands.
const INTEGRITY: &str = "PRAGMA integrity_check(100)";
// How SQLite says that a page has no sum: SQLITE_IOERR_DATA.
const NO_SUM: &str = "unable to get the page. error code=8202";
// What copies have still to write is in the head only.
const EXTENTS: &str = concat!(
    "SELECT ino, off, len, born, NULL, chunk FROM extent
     UNION ALL SELECT ino, off, len, born, died, chunk FROM extent_past
     UNION ALL SELECT ino, off, len, (SELECT value FROM setting WHERE key = 'epoch'), NULL, chunk FROM (",
    still_to_write!(),
    ")"
);

/// Bytes of a file that a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedBytes {
    /// The file.
    pub ino: Ino,
    /// Where in it they begin.
    pub off: u64,
    /// How many.
    pub len: u64,
    /// The first epoch that sees them.
    pub born: Epoch,
    /// The first that does not, if the head does not.
    pub died: Option<Epoch>,
}

/// What SQLite says of pages, without its heading.
fn told(lines: &str) -> impl Iterator<Item = String> {
    let lines = lines.lines().filter(|line| !line.starts_with("***"));
    lines.map(|line| line.replace(NO_SUM, "it is not what was written there"))
}

impl Session {
    /// What SQLite finds wrong with the database's own structure.
    pub fn integrity(&self) -> Result<Vec<String>> {
        let mut stmt = self.conn().prepare(INTEGRITY)?;
        let lines = stmt.query_map([], |row| row.get::<_, String>(0))?;
        let mut found = Vec::new();
        for line in lines {
            match line.map_err(Error::from) {
                Ok(line) if line == "ok" => {}
                Ok(lines) => found.extend(told(&lines)),
                // It looks at the pages first, and then at rows, of which it does not reach all.
                Err(Error::Corrupt(what)) => {
                    found.extend(found.is_empty().then_some(what));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The bytes of files that these chunks hold; looks at every extent.
    pub fn bytes_in(&self, chunks: &BTreeSet<ChunkId>) -> Result<Vec<NamedBytes>> {
        // There is no index by chunk: each overwrite would pay for it, and this is asked after damage only.
        let mut stmt = self.conn().prepare(EXTENTS)?;
        let mut rows = stmt.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if chunks.contains(&ChunkId(row.get(5)?)) {
                found.push(NamedBytes {
                    ino: Ino::from_raw(row.get::<_, i64>(0)?.cast_unsigned()),
                    off: row.get::<_, i64>(1)?.cast_unsigned(),
                    len: row.get::<_, i64>(2)?.cast_unsigned(),
                    born: Epoch(row.get(3)?),
                    died: row.get::<_, Option<i64>>(4)?.map(Epoch),
                });
            }
        }
        found.sort_by_key(|bytes| (bytes.ino, bytes.off));
        Ok(found)
    }
}
