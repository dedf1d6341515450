//! A copy of a database that is being repaired: its rows are made to fit each other again.
//!
//! Works on a copy that nobody else has open, and that takes the database's place only when all of it fits:
//! nothing here is durable, or undone. What snapshots see of a row that is changed for the head's sake is kept.

pub(in crate::meta) mod chunks;
mod extents;
pub(super) mod history;
pub(super) mod past;
mod pieces;
pub(super) mod rows;
mod tree;
pub(in crate::meta) mod workpiece;

use crate::meta::schema::text::sql;
use crate::meta::tables::copying::{misplaced_copy, still_to_write};
use crate::meta::{Error, Result};
use workpiece::Workpiece;

const NUMBERS: &str = "
    SELECT max(n) + 1 FROM (SELECT 2 AS n
        UNION ALL SELECT max(ino) FROM inode UNION ALL SELECT max(ino) FROM inode_past
        UNION ALL SELECT max(cookie) FROM dentry UNION ALL SELECT max(cookie) FROM dentry_past)";
const EPOCH: &str = "
    SELECT max(e) FROM (SELECT 1 AS e UNION ALL SELECT max(epoch) + 1 FROM snapshot
        UNION ALL SELECT max(born) FROM inode UNION ALL SELECT max(died) FROM inode_past
        UNION ALL SELECT max(born) FROM dentry UNION ALL SELECT max(died) FROM dentry_past
        UNION ALL SELECT max(born) FROM extent UNION ALL SELECT max(died) FROM extent_past
        UNION ALL SELECT max(born) FROM xattr UNION ALL SELECT max(died) FROM xattr_past)";
const COPYING: &str = "SELECT id FROM copying";
const COPY: &str = sql!(
    "INSERT OR IGNORE INTO extent ({extent}) SELECT ino, off, ?2, {extent len..chunk_off} FROM (",
    still_to_write!(),
    ") WHERE id = ?1"
);
// What is behind a copy can be less than it was, not more; and a file has allocated what it lacks.
const NONSENSE_COPIES: &str = concat!(
    "SELECT c.id FROM copying c
     LEFT JOIN inode s ON s.ino = c.source LEFT JOIN inode t ON t.ino = c.target
     WHERE bytes < (SELECT coalesce(sum(len), 0) FROM (",
    still_to_write!(),
    ") w WHERE w.id = c.id)
        OR s.kind <> 32768 OR c.source_off + c.len > s.size
        OR t.kind <> 32768 OR t.nlink > 0 AND t.allocated <
            (SELECT coalesce(sum(len), 0) FROM extent WHERE ino = c.target) +
            (SELECT sum(bytes) FROM copying WHERE target = c.target)
        OR ",
    misplaced_copy!()
);
// What a repair does to rows, their births and deaths do not tell: no snapshot is compared with a later one by those, but
// what is taken from now on.
const NOTE_REVIVED: &str = sql!(
    "INSERT OR IGNORE INTO revived ({revived})
     SELECT epoch, 1 FROM snapshot UNION SELECT value, 1 FROM setting WHERE key = 'epoch'"
);
const COPIED: &str = "DELETE FROM copying WHERE id = ?1";
const NEWEST: &str = "SELECT coalesce(max(epoch), 0) FROM snapshot";
/// The cause of each counter that a volume must have.
const COUNTERS: [&str; 2] = ["checkpoints", "counted"];

impl Workpiece {
    /// Makes all rows fit each other, but for what only the segments know.
    pub fn mend(&mut self) -> Result<()> {
        // In this order. Nonsense goes first: a number out of range would become the counter. Then the counters, which
        // the rest gives numbers and epochs from; then inodes, which extents are measured by.
        self.mend_rows()?;
        self.mend_counters()?;
        self.finish_copies()?;
        self.mend_tree()?;
        self.mend_history()?;
        self.mend_extents()?;
        self.store("numbers", self.numbers)
    }

    /// After the chunks: counts what names them. Nothing may be changed any more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when rows still do not fit each other.
    pub fn finish(&mut self) -> Result<()> {
        // Again: what the segments said of a chunk may be shorter than what its extents say.
        self.mend_mapping()?;
        self.count_refs()?;
        self.run(NOTE_REVIVED, &[])?;
        let left = self.session.audit()?;
        match left.first() {
            // Nothing was committed before: a repair that does not come out whole leaves nothing to take the database's
            // place.
            None => self.session.run("COMMIT"),
            Some(first) => Err(Error::Corrupt(format!(
                "{} things could not be mended, the first: {first}",
                left.len()
            ))),
        }
    }

    fn mend_counters(&mut self) -> Result<()> {
        self.newest = self.one(NEWEST, &[])?;
        self.numbers = self.at_least("numbers", NUMBERS)?;
        self.now = self.at_least("epoch", EPOCH)?;
        for counter in COUNTERS {
            if self.stored(counter)?.is_none() {
                self.store(counter, 0)?;
            }
        }
        Ok(())
    }

    /// Writes the extents of copies that were under way: what is lost of a source is lost of its target as well.
    fn finish_copies(&mut self) -> Result<()> {
        for id in self.inos(NONSENSE_COPIES)? {
            self.run(COPIED, &[&id])?;
            self.note(None, "a copy that was under way does not fit its files");
        }
        for id in self.inos(COPYING)? {
            self.run(COPY, &[&id, &self.now])?;
            self.run(COPIED, &[&id])?;
        }
        Ok(())
    }

    /// A counter must not be below what was counted.
    fn at_least(&mut self, key: &str, query: &str) -> Result<i64> {
        let (stored, least) = (self.stored(key)?, self.one::<i64>(query, &[])?);
        match stored {
            Some(stored) if stored >= least => Ok(stored),
            _ => {
                self.store(key, least)?;
                self.note(None, format!("the counter \"{key}\" is {least} again"));
                Ok(least)
            }
        }
    }
}
