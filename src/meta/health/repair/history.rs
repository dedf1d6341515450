//! What snapshots see: rows that one of them sees, and names that lead to an inode.

use super::tree::{ROOT, found_inode};
use super::workpiece::Workpiece;
use crate::meta::schema::text::sql;
use crate::meta::{Home, Result};
use crate::types::{Epoch, FileKind, Ino};

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
pub(in crate::meta::health) use dangling;

const SEEING: &str = "
    SELECT s.epoch, EXISTS (SELECT 1 FROM inode i WHERE i.ino = ?3 AND i.born <= s.epoch)
        OR EXISTS (SELECT 1 FROM inode_past i WHERE i.ino = ?3 AND i.born <= s.epoch AND i.died > s.epoch)
    FROM snapshot s WHERE s.epoch >= ?1 AND s.epoch < ?2 ORDER BY s.epoch";
const COOKIE: &str = "
    SELECT cookie FROM dentry WHERE parent = ?1 AND name = ?2 AND born = ?3
    UNION ALL SELECT cookie FROM dentry_past WHERE parent = ?1 AND name = ?2 AND born = ?3";
const DELETE_PAST: &str = "DELETE FROM dentry_past WHERE parent = ?1 AND name = ?2 AND born = ?3";
const ADD_PAST: &str =
    sql!("INSERT OR IGNORE INTO dentry_past ({dentry}, died) VALUES ({dentry params 1}, ?6)");
const BEAR: &str = "UPDATE dentry SET born = ?3 WHERE parent = ?1 AND name = ?2";
const ROOTLESS: &str = "
    SELECT epoch FROM snapshot s WHERE NOT EXISTS (SELECT 1 FROM inode WHERE ino = 1 AND born <= s.epoch)
        AND NOT EXISTS (SELECT 1 FROM inode_past WHERE ino = 1 AND born <= s.epoch AND died > s.epoch)";
const IS_DIRECTORY: &str = "
    SELECT ?1 = 1 OR EXISTS (SELECT 1 FROM dentry WHERE parent = ?1 AND born <= ?2)
        OR EXISTS (SELECT 1 FROM dentry_past WHERE parent = ?1 AND born <= ?2 AND died > ?2)";
const DATA: &str = "
    SELECT coalesce(max(off + len), 0), coalesce(sum(len), 0) FROM (
        SELECT off, len FROM extent WHERE ino = ?1 AND born <= ?2
        UNION ALL SELECT off, len FROM extent_past WHERE ino = ?1 AND born <= ?2 AND died > ?2)";
const ADD_INODE: &str = sql!(
    "INSERT OR IGNORE INTO inode_past ({inode -target}, died)
     VALUES ({inode -target params 1}, ?2 + 1)"
);
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
        found.iter().try_for_each(|entry| self.hide(entry))?;
        self.make_past_roots()
    }

    fn make_past_roots(&mut self) -> Result<()> {
        for epoch in self.inos(ROOTLESS)? {
            self.make_past(ROOT, epoch, (ROOT, 0))?;
            self.note(
                ROOT,
                "the root directory's attributes were lost in a snapshot: it has mode 0700 there",
            );
        }
        Ok(())
    }

    /// Makes an inode that is lost in one snapshot, but not what it held; whether it held anything.
    fn make_past(&self, ino: i64, epoch: i64, (parent, cookie): (i64, i64)) -> Result<bool> {
        let is_directory: bool = self.one(IS_DIRECTORY, &[&ino, &epoch])?;
        let conn = self.session.conn();
        let (size, allocated): (i64, i64) =
            conn.query_row(DATA, [ino, epoch], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let kind = match (is_directory, size) {
            (true, _) => FileKind::Directory,
            (false, 0) => return Ok(false),
            (false, _) => FileKind::File,
        };
        let mut found = found_inode(ino, kind, self.owner()?, size);
        found.born = Epoch(epoch);
        found.attr.allocated = allocated.cast_unsigned();
        found.home = Home {
            parent: Ino::from_raw(parent.cast_unsigned()),
            cookie: cookie.cast_unsigned(),
        };
        self.add_inode(ADD_INODE, &found)?;
        Ok(true)
    }

    /// Takes an entry from those snapshots that have no inode for it, and none can be made.
    fn hide(&mut self, entry: &Entry) -> Result<()> {
        let Entry {
            parent,
            name,
            born,
            died,
            ino,
        } = entry;
        let mut seeing = self.all(SEEING, &[born, died, ino], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        })?;
        let cookie: i64 = self.one(COOKIE, &[parent, name, born])?;
        for (epoch, is_there) in seeing.iter_mut().filter(|(_, is_there)| !is_there) {
            *is_there = self.make_past(*ino, *epoch, (*parent, cookie))?;
        }
        let shown = String::from_utf8_lossy(name);
        if seeing.iter().all(|(_, is_there)| *is_there) {
            let what = format!(
                "the attributes of {shown:?}, inode {ino}, were lost in snapshots: it ends with its last data there"
            );
            self.note(*parent, what);
            return Ok(());
        }
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
        let what = format!(
            "the name {shown:?} led to inode {ino}, which is lost, in snapshots: it is removed from them"
        );
        self.note(*parent, what);
        Ok(())
    }
}
