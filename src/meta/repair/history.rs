//! What snapshots see: rows that one of them sees, and names that lead to an inode.

use super::Workpiece;
use crate::meta::Result;

macro_rules! unseen {
    () => {
        "NOT EXISTS (SELECT 1 FROM snapshot WHERE epoch >= r.born AND epoch < r.died)
         AND NOT EXISTS (SELECT 1 FROM purge p WHERE r.born > p.after AND r.died BETWEEN p.first AND p.last)"
    };
}
const UNSEEN: [(&str, &str); 4] = [
    (
        "inode",
        concat!("DELETE FROM inode_past AS r WHERE ", unseen!()),
    ),
    (
        "dentry",
        concat!("DELETE FROM dentry_past AS r WHERE ", unseen!()),
    ),
    (
        "extent",
        concat!("DELETE FROM extent_past AS r WHERE ", unseen!()),
    ),
    (
        "xattr",
        concat!("DELETE FROM xattr_past AS r WHERE ", unseen!()),
    ),
];

/// Each entry that snapshots see, and how many of them see no inode behind it.
macro_rules! dangling {
    () => {
        "SELECT d.parent, d.name, d.born, d.died, d.ino FROM (
            SELECT parent, name, born, 9223372036854775807 AS died, ino FROM dentry
                WHERE born <= (SELECT coalesce(max(epoch), 0) FROM snapshot)
            UNION ALL SELECT parent, name, born, died, ino FROM dentry_past) d
         WHERE (SELECT count(*) FROM snapshot s WHERE s.epoch >= d.born AND s.epoch < d.died) <>
            coalesce((SELECT count(*) FROM inode i, snapshot s WHERE i.ino = d.ino
                AND s.epoch >= max(d.born, i.born) AND s.epoch < d.died), 0)
            + coalesce((SELECT count(*) FROM inode_past i, snapshot s WHERE i.ino = d.ino
                AND s.epoch >= max(d.born, i.born) AND s.epoch < min(d.died, i.died)), 0)"
    };
}
pub(in crate::meta) use dangling;

const SEEING: &str = "
    SELECT s.epoch, EXISTS (SELECT 1 FROM inode i WHERE i.ino = ?3 AND i.born <= s.epoch)
        OR EXISTS (SELECT 1 FROM inode_past i WHERE i.ino = ?3 AND i.born <= s.epoch AND i.died > s.epoch)
    FROM snapshot s WHERE s.epoch >= ?1 AND s.epoch < ?2 ORDER BY s.epoch";
const COOKIE: &str = "
    SELECT cookie FROM dentry WHERE parent = ?1 AND name = ?2 AND born = ?3
    UNION ALL SELECT cookie FROM dentry_past WHERE parent = ?1 AND name = ?2 AND born = ?3";
const DELETE_PAST: &str = "DELETE FROM dentry_past WHERE parent = ?1 AND name = ?2 AND born = ?3";
const ADD_PAST: &str = "
    INSERT OR IGNORE INTO dentry_past (parent, name, born, ino, cookie, died)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const BEAR: &str = "UPDATE dentry SET born = ?3 WHERE parent = ?1 AND name = ?2";
/// The `died` of what has not.
const NEVER: i64 = i64::MAX;

#[derive(Debug)]
struct Entry {
    parent: i64,
    name: Vec<u8>,
    born: i64,
    died: i64,
    ino: i64,
}

impl Workpiece {
    pub(super) fn mend_history(&mut self) -> Result<()> {
        for (table, query) in UNSEEN {
            let count = self.run(query, &[])?;
            if count > 0 {
                self.note(
                    None,
                    format!("{count} {table} rows that no snapshot sees are removed"),
                );
            }
        }
        let found = self.all(dangling!(), &[], |row| {
            Ok(Entry {
                parent: row.get(0)?,
                name: row.get(1)?,
                born: row.get(2)?,
                died: row.get(3)?,
                ino: row.get(4)?,
            })
        })?;
        found.iter().try_for_each(|entry| self.hide(entry))
    }

    /// Takes an entry from those snapshots that have no inode for it.
    fn hide(&mut self, entry: &Entry) -> Result<()> {
        let Entry {
            parent,
            name,
            born,
            died,
            ino,
        } = entry;
        let seeing = self.all(SEEING, &[born, died, ino], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        })?;
        let cookie: i64 = self.one(COOKIE, &[parent, name, born])?;
        if *died != NEVER {
            self.run(DELETE_PAST, &[parent, name, born])?;
        }
        let mut from = *born;
        for (epoch, _) in seeing.iter().filter(|(_, is_there)| !is_there) {
            let sees = seeing.iter().any(|(one, _)| (from..*epoch).contains(one));
            if sees {
                self.run(ADD_PAST, &[parent, name, &from, ino, &cookie, epoch])?;
            }
            from = epoch + 1;
        }
        if *died == NEVER {
            self.run(BEAR, &[parent, name, &from])?;
        } else if from < *died && seeing.iter().any(|(one, _)| (from..*died).contains(one)) {
            self.run(ADD_PAST, &[parent, name, &from, ino, &cookie, died])?;
        }
        let shown = String::from_utf8_lossy(name);
        let what = format!(
            "the name {shown:?} led to inode {ino}, which is lost, in snapshots: it is removed from them"
        );
        self.note(*parent, what);
        Ok(())
    }
}
