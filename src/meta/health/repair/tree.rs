//! Names: each leads to an inode, each inode has one, and every directory is below the root.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::nonsense_name;
use super::workpiece::Workpiece;
use crate::meta::schema::text::sql;
use crate::meta::tables::inode::bind_inode;
use crate::meta::{Home, Inode, Result};
use crate::types::{Attr, Epoch, FileKind, Ino, Timestamp};

pub(super) const ROOT: i64 = 1;
const DIRECTORY: i64 = 0o040_000;
const LOST_AND_FOUND: &str = "lost+found";

const KIND: &str = "SELECT coalesce((SELECT kind FROM inode WHERE ino = ?1), 0)";
const OWNER: &str = "SELECT uid, gid FROM inode WHERE ino = 1";
const INSERT: &str =
    sql!("INSERT OR REPLACE INTO inode ({inode -target}) VALUES ({inode -target params 1})");
const LOST_DIRECTORIES: &str = "
    SELECT DISTINCT parent FROM dentry WHERE parent > 0 AND parent NOT IN (SELECT ino FROM inode)";
// Of damaged numbers the sum can be past 2^63, of which SQLite makes a real.
const LOST_FILES: &str = "
    SELECT ino, max(off + len) FROM extent WHERE ino > 1 AND ino NOT IN (SELECT ino FROM inode)
    GROUP BY ino HAVING typeof(max(off + len)) = 'integer'";
const BROKEN_NAMES: [(&str, &str); 4] = [
    (
        "is in what is no directory",
        "SELECT parent, name, ino FROM dentry
         WHERE parent NOT IN (SELECT ino FROM inode WHERE kind = 16384)",
    ),
    (
        "led to an inode that is lost",
        "SELECT parent, name, ino FROM dentry WHERE ino NOT IN (SELECT ino FROM inode)",
    ),
    (
        "led to the root",
        "SELECT parent, name, ino FROM dentry WHERE ino = 1",
    ),
    (
        "is none that a file can have",
        concat!(
            "SELECT parent, name, ino FROM dentry WHERE ",
            nonsense_name!()
        ),
    ),
];
const NAMES_OF_DIRECTORIES: &str = "
    SELECT d.parent, d.name, d.ino, i.parent = d.parent AND i.place = d.cookie
    FROM dentry d JOIN inode i ON i.ino = d.ino WHERE i.kind = 16384
        AND d.ino IN (SELECT ino FROM dentry GROUP BY ino HAVING count(*) > 1)
    ORDER BY d.ino, 4 DESC";
const WRONG_HOMES: &str = "
    SELECT d.ino, d.parent, d.cookie FROM dentry d JOIN inode i ON i.ino = d.ino
    WHERE i.kind = 16384 AND (i.parent <> d.parent OR i.place <> d.cookie)";
const KEEP_NAME: &str = sql!(
    "INSERT OR IGNORE INTO dentry_past ({dentry}, died) SELECT {dentry}, ?3 FROM dentry
     WHERE parent = ?1 AND name = ?2 AND born <= ?4"
);
const DROP_NAME: &str = "DELETE FROM dentry WHERE parent = ?1 AND name = ?2";
const IS_NAMED: &str =
    "SELECT coalesce((SELECT ino FROM dentry WHERE parent = ?1 AND name = ?2), 0)";
const ADD_NAME: &str = sql!("INSERT INTO dentry ({dentry}) VALUES ({dentry params 1})");
const KEEP_INODE: &str = sql!(
    "INSERT OR IGNORE INTO inode_past ({inode}, died) SELECT {inode}, ?2 FROM inode
     WHERE ino = ?1 AND born <= ?3"
);
const BEAR_INODE: &str = "UPDATE inode SET born = ?2 WHERE ino = ?1 AND born <= ?3";
const SET_HOME: &str = "UPDATE inode SET parent = ?2, place = ?3 WHERE ino = ?1";
const SET_LINKS: &str = "UPDATE inode SET nlink = ?2 WHERE ino = ?1";
const FORGET_ORPHANS: &str = "
    DELETE FROM orphan WHERE ino NOT IN (SELECT ino FROM inode)
        OR ino IN (SELECT ino FROM dentry) OR ino IN (SELECT parent FROM dentry)
        OR ino IN (SELECT ino FROM inode WHERE nlink > 0 AND kind <> 16384) RETURNING ino";
const ADD_ORPHANS: &str = sql!(
    "INSERT OR IGNORE INTO orphan ({orphan}) SELECT ino FROM inode WHERE nlink = 0 AND ino > 1
     AND ino NOT IN (SELECT ino FROM dentry) AND ino NOT IN (SELECT parent FROM dentry) RETURNING ino"
);
const NAMELESS: &str = "
    SELECT ino FROM inode WHERE ino > 1 AND ino NOT IN (SELECT ino FROM dentry)
        AND ino NOT IN (SELECT ino FROM orphan)";
// UNION keeps each number once: with UNION ALL a circle of directories would never end.
const UNREACHABLE: &str = "
    WITH RECURSIVE reached (ino) AS (
        SELECT 1 UNION SELECT d.ino FROM reached r JOIN dentry d ON d.parent = r.ino
            JOIN inode i ON i.ino = d.ino AND i.kind = 16384)
    SELECT ino, parent FROM inode WHERE kind = 16384 AND ino NOT IN (SELECT ino FROM reached)
        AND ino NOT IN (SELECT ino FROM orphan) ORDER BY ino";
const NAMES_OF: &str = "SELECT parent, name FROM dentry WHERE ino = ?1";
const WRONG_LINKS: &str = "
    SELECT i.ino, i.nlink, coalesce(n.names, 0) AS names FROM inode i
        LEFT JOIN (SELECT ino, count(*) AS names FROM dentry GROUP BY ino) n ON n.ino = i.ino
        WHERE i.kind <> 16384 AND i.nlink <> coalesce(n.names, 0)
    UNION ALL SELECT i.ino, i.nlink,
        CASE WHEN i.ino IN (SELECT ino FROM orphan) THEN 0 ELSE 2 + coalesce(c.below, 0) END AS links
        FROM inode i LEFT JOIN (SELECT d.parent, count(*) AS below FROM dentry d
            JOIN inode s ON s.ino = d.ino AND s.kind = 16384 GROUP BY d.parent) c ON c.parent = i.ino
        WHERE i.kind = 16384 AND i.nlink <> links";

type Named = (i64, Vec<u8>, i64);

/// An inode in place of one whose attributes are lost. It has no home yet, and no data.
pub(super) fn found_inode(ino: i64, kind: FileKind, (uid, gid): (u32, u32), size: i64) -> Inode {
    let (mode, nlink) = match kind {
        // For its owner only: who else could use it is lost, and must not be guessed.
        FileKind::Directory => (0o700, 2),
        _ => (0o600, 1),
    };
    let now = Timestamp::new(Timestamp::now().secs(), 0);
    Inode {
        attr: Attr {
            ino: Ino::from_raw(ino.cast_unsigned()),
            kind,
            mode,
            uid,
            gid,
            nlink,
            size: size.cast_unsigned(),
            allocated: 0,
            rdev: 0,
            atime: now,
            mtime: now,
            ctime: now,
        },
        born: Epoch(0),
        home: Home::ROOT,
        request: None,
    }
}

impl Workpiece {
    pub(super) fn mend_tree(&mut self) -> Result<()> {
        // In this order: a name is judged by the inodes at both its ends, a home by the names, and links are counted
        // when all else is right.
        self.make_root()?;
        self.make_lost_inodes()?;
        self.drop_broken_names()?;
        self.drop_second_names()?;
        self.correct_homes()?;
        self.correct_orphans()?;
        for ino in self.inos(NAMELESS)? {
            self.adopt(ino, "had no name")?;
        }
        self.cut_circles()?;
        self.count_links()
    }

    fn make_root(&mut self) -> Result<()> {
        if self.one::<i64>(KIND, &[&ROOT])? == DIRECTORY {
            return Ok(());
        }
        self.make_inode(ROOT, FileKind::Directory, (0, 0), 0)?;
        self.note(
            ROOT,
            "the root directory was lost: it is made anew, with mode 0700",
        );
        Ok(())
    }

    fn make_inode(&self, ino: i64, kind: FileKind, owner: (u32, u32), size: i64) -> Result<()> {
        let mut found = found_inode(ino, kind, owner, size);
        found.born = Epoch(self.now);
        self.add_inode(INSERT, &found)
    }

    /// Runs a statement whose parameters are the columns of an inode.
    pub(super) fn add_inode(&self, sql: &'static str, inode: &Inode) -> Result<()> {
        let mut stmt = self.session.conn().prepare_cached(sql)?;
        bind_inode(&mut stmt, inode)?;
        stmt.raw_execute()?;
        Ok(())
    }

    pub(super) fn owner(&self) -> Result<(u32, u32)> {
        let conn = self.session.conn();
        Ok(conn.query_row(OWNER, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Inodes that are lost, but not what they held: entries, or data.
    fn make_lost_inodes(&mut self) -> Result<()> {
        let owner = self.owner()?;
        for ino in self.inos(LOST_DIRECTORIES)? {
            self.make_inode(ino, FileKind::Directory, owner, 0)?;
            self.note(
                ino,
                "the directory's attributes were lost: it has mode 0700 now",
            );
        }
        let files = self.all(LOST_FILES, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (ino, size) in files {
            self.make_inode(ino, FileKind::File, owner, size)?;
            let what = format!(
                "the file's attributes were lost: it has mode 0600 now, and ends with its last data, at byte {size}"
            );
            self.note(ino, what);
        }
        Ok(())
    }

    fn drop_broken_names(&mut self) -> Result<()> {
        for (why, query) in BROKEN_NAMES {
            for found in self.named(query)? {
                self.drop_name(&found, why)?;
            }
        }
        Ok(())
    }

    fn named(&self, query: &str) -> Result<Vec<Named>> {
        self.all(query, &[], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
    }

    fn drop_name(&mut self, (parent, name, ino): &Named, why: &str) -> Result<()> {
        self.run(KEEP_NAME, &[parent, name, &self.now, &self.newest])?;
        self.run(DROP_NAME, &[parent, name])?;
        let shown = String::from_utf8_lossy(name);
        self.note(
            *parent,
            format!("the name {shown:?} of inode {ino} {why}: it is removed"),
        );
        Ok(())
    }

    /// Of the names of a directory that has several, the one stays that it believes in itself.
    fn drop_second_names(&mut self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for found in self.named(NAMES_OF_DIRECTORIES)? {
            if !seen.insert(found.2) {
                self.drop_name(&found, "is a second one of a directory")?;
            }
        }
        Ok(())
    }

    fn correct_homes(&mut self) -> Result<()> {
        let wrong = self.all(WRONG_HOMES, &[], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        for (ino, parent, cookie) in wrong {
            self.move_home(ino, parent, cookie)?;
            self.note(
                ino,
                format!("inode {ino} is told again in which directory it is"),
            );
        }
        Ok(())
    }

    fn move_home(&self, ino: i64, parent: i64, cookie: i64) -> Result<()> {
        self.keep_inode(ino)?;
        self.run(SET_HOME, &[&ino, &parent, &cookie]).map(drop)
    }

    /// What snapshots see of an inode that is about to change stays.
    pub(super) fn keep_inode(&self, ino: i64) -> Result<()> {
        self.run(KEEP_INODE, &[&ino, &self.now, &self.newest])?;
        self.run(BEAR_INODE, &[&ino, &self.now, &self.newest])
            .map(drop)
    }

    fn correct_orphans(&mut self) -> Result<()> {
        for ino in self.inos(FORGET_ORPHANS)? {
            self.note(
                ino,
                format!("inode {ino} was noted as removed, and is not any more"),
            );
        }
        for ino in self.inos(ADD_ORPHANS)? {
            self.note(
                None,
                format!("inode {ino}, which was removed, is noted as such"),
            );
        }
        Ok(())
    }

    /// Gives an inode a name in `lost+found`.
    fn adopt(&mut self, ino: i64, why: &str) -> Result<()> {
        let dir = self.lost_and_found()?;
        let name = self.free_name(dir, &format!("#{ino}"))?;
        let cookie = self.fresh_number();
        self.run(ADD_NAME, &[&dir, &name, &self.now, &ino, &cookie])?;
        self.move_home(ino, dir, cookie)?;
        self.note(ino, format!("inode {ino} {why}: it is here now"));
        Ok(())
    }

    fn lost_and_found(&mut self) -> Result<i64> {
        let found: i64 = self.one(IS_NAMED, &[&ROOT, &LOST_AND_FOUND.as_bytes()])?;
        if found != 0 && self.one::<i64>(KIND, &[&found])? == DIRECTORY {
            return Ok(found);
        }
        let name = self.free_name(ROOT, LOST_AND_FOUND)?;
        let (ino, cookie, owner) = (self.fresh_number(), self.fresh_number(), self.owner()?);
        self.make_inode(ino, FileKind::Directory, owner, 0)?;
        self.run(ADD_NAME, &[&ROOT, &name, &self.now, &ino, &cookie])?;
        self.move_home(ino, ROOT, cookie)?;
        self.note(ino, "made for what has no name");
        Ok(ino)
    }

    fn free_name(&self, dir: i64, wanted: &str) -> Result<Vec<u8>> {
        let mut name = wanted.as_bytes().to_vec();
        for i in 1.. {
            if self.one::<i64>(IS_NAMED, &[&dir, &name])? == 0 {
                break;
            }
            name = format!("{wanted}.{i}").into_bytes();
        }
        Ok(name)
    }

    /// Directories that lead up to each other, and never to the root, are parted at one of them.
    fn cut_circles(&mut self) -> Result<()> {
        loop {
            let found = self.all(UNREACHABLE, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let Some(&(first, _)) = found.first() else {
                return Ok(());
            };
            let parents: BTreeMap<i64, i64> = found.into_iter().collect();
            let (mut at, mut seen) = (first, BTreeSet::new());
            // Upwards until one comes twice: that one is in the circle, and not only below it.
            while seen.insert(at) {
                at = parents.get(&at).copied().unwrap_or(at);
            }
            let names = self.all(NAMES_OF, &[&at], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for (parent, name) in names {
                self.drop_name(&(parent, name, at), "closed a circle of directories")?;
            }
            self.adopt(at, "was in a circle of directories")?;
        }
    }

    fn count_links(&mut self) -> Result<()> {
        let wrong = self.all(WRONG_LINKS, &[], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?))
        })?;
        for (ino, was, links) in wrong {
            let links: i64 = links;
            self.keep_inode(ino)?;
            self.run(SET_LINKS, &[&ino, &links])?;
            self.note(ino, format!("its link count is {links}, not {was}"));
        }
        Ok(())
    }
}
