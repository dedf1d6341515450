//! Rows that nobody can read: values that no cask writes.

use super::Workpiece;
use crate::meta::Result;
use crate::types::SnapshotName;

macro_rules! nonsense_inode {
    () => {
        "kind NOT IN (4096, 8192, 16384, 24576, 32768, 40960, 49152) OR mode NOT BETWEEN 0 AND 4095
         OR uid NOT BETWEEN 0 AND 4294967295 OR gid NOT BETWEEN 0 AND 4294967295
         OR nlink NOT BETWEEN 0 AND 4294967295 OR rdev NOT BETWEEN 0 AND 4294967295
         OR size < 0 OR allocated < 0 OR atime_ns NOT BETWEEN 0 AND 999999999
         OR mtime_ns NOT BETWEEN 0 AND 999999999 OR ctime_ns NOT BETWEEN 0 AND 999999999"
    };
}
pub(in crate::meta) use nonsense_inode;

macro_rules! nonsense_chunk {
    () => {
        "segment NOT BETWEEN 0 AND 4294967295 OR off < 0 OR codec NOT IN (0, 1, 2)
         OR len NOT BETWEEN 1 AND 1048576 OR stored_len NOT BETWEEN 0 AND 1048576"
    };
}
pub(in crate::meta) use nonsense_chunk;

macro_rules! nonsense_name {
    () => {
        "instr(name, x'2f') > 0 OR instr(name, x'00') > 0 OR name IN (x'2e', x'2e2e')"
    };
}
pub(in crate::meta) use nonsense_name;

const INODES: &str = concat!(
    "DELETE FROM inode WHERE ",
    nonsense_inode!(),
    " RETURNING ino"
);
const PAST_INODES: &str = concat!(
    "DELETE FROM inode_past WHERE ",
    nonsense_inode!(),
    " RETURNING ino"
);
// Its name, the hash, is what it can be found again by.
const CHUNKS: &str = concat!(
    "UPDATE chunk SET segment = 0, off = 0, stored_len = 0, codec = 0, sums = x'',
        len = CASE WHEN len BETWEEN 1 AND 1048576 THEN len ELSE 1048576 END
     WHERE ",
    nonsense_chunk!(),
    " RETURNING id"
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
                format!("a cut waited for a snapshot that is lost, of epoch {epoch}"),
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
