//! Rows that nobody can read: values that no cask writes.

use super::workpiece::Workpiece;
use crate::meta::Result;
use crate::meta::schema::text::sql;
use crate::types::SnapshotName;

macro_rules! nonsense_name {
    () => {
        "instr(name, x'2f') > 0 OR instr(name, x'00') > 0 OR name IN (x'2e', x'2e2e')"
    };
}
pub(in crate::meta::health) use nonsense_name;

const INODES: &str = sql!("DELETE FROM inode WHERE {inode nonsense} RETURNING ino");
const PAST_INODES: &str = sql!("DELETE FROM inode_past WHERE {inode nonsense} RETURNING ino");
// Its name, the hash, is what it can be found again by.
const CHUNKS: &str = sql!(
    "UPDATE chunk SET segment = 0, off = 0, stored_len = 0, codec = 0, sums = x'',
        len = CASE WHEN len BETWEEN 1 AND 1048576 THEN len ELSE 1048576 END
     WHERE {chunk nonsense} RETURNING id"
);
const SNAPSHOTS: &str = "SELECT epoch, name FROM snapshot";
const RENAME: &str = "UPDATE OR IGNORE snapshot SET name = ?2 WHERE epoch = ?1";
const PENDING: &str =
    "DELETE FROM pending WHERE epoch NOT IN (SELECT epoch FROM snapshot) RETURNING epoch";

impl Workpiece {
    pub(super) fn mend_rows(&mut self) -> Result<()> {
        for ino in self.inos(INODES)? {
            self.note(
                ino,
                format!("what is known of inode {ino} makes no sense, and is dropped"),
            );
        }
        for ino in self.inos(PAST_INODES)? {
            let what =
                format!("what a snapshot knows of inode {ino} makes no sense, and is dropped");
            self.note(ino, what);
        }
        for id in self.inos(CHUNKS)? {
            self.note(
                None,
                format!("the place of chunk {id} makes no sense, and is dropped"),
            );
        }
        self.name_snapshots()?;
        for epoch in self.inos(PENDING)? {
            self.note(
                None,
                format!("a group snapshot waited for a snapshot that is lost, of epoch {epoch}"),
            );
        }
        Ok(())
    }

    fn name_snapshots(&mut self) -> Result<()> {
        let found = self.all(SNAPSHOTS, &[], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        for (epoch, name) in found {
            if name.parse::<SnapshotName>().is_err() {
                let fresh = format!("found-{epoch}");
                self.run(RENAME, &[&epoch, &fresh])?;
                self.note(
                    None,
                    format!(
                        "the snapshot {name:?} is called {fresh} now: no snapshot can have its name"
                    ),
                );
            }
        }
        Ok(())
    }
}
