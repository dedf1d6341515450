//! `dentry` and `dentry_past`.

use rusqlite::{OptionalExtension, params};

use crate::meta::schema::text::sql;
use crate::meta::tables::inode::{INODE_COLUMNS, read_inode};
use crate::meta::{Error, Home, Inode, Result, Session, WriteTx};
use crate::types::{Epoch, Ino, Name, NameBuf};

const GET: &str = "SELECT born, ino, cookie FROM dentry WHERE parent = ?1 AND name = ?2";
const LOOKUP: &str = sql!(
    "SELECT {i.inode -target}, d.ino FROM dentry d LEFT JOIN inode i ON i.ino = d.ino
     WHERE d.parent = ?1 AND d.name = ?2"
);
const LIST: &str = sql!(
    "SELECT {i.inode -target}, d.cookie, d.name, d.ino
     FROM dentry d LEFT JOIN inode i ON i.ino = d.ino
     WHERE d.parent = ?1 AND d.cookie < ?2 ORDER BY d.cookie DESC LIMIT ?3"
);
const HAS_ENTRIES: &str = "SELECT EXISTS (SELECT 1 FROM dentry WHERE parent = ?1)";
const INSERT: &str = sql!("INSERT INTO dentry ({dentry}) VALUES ({dentry params 1})");
const POINT: &str = "UPDATE dentry SET ino = ?3, born = ?4 WHERE parent = ?1 AND name = ?2";
const DELETE: &str = "DELETE FROM dentry WHERE parent = ?1 AND name = ?2";
const KEEP: &str = sql!(
    "INSERT INTO dentry_past ({dentry}, died) SELECT {dentry}, ?3 FROM dentry
     WHERE parent = ?1 AND name = ?2"
);

/// A live directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dentry {
    /// What it names.
    pub ino: Ino,
    /// Its place in the directory: greater than that of every entry made before it.
    pub cookie: u64,
    /// The epoch that it changed in.
    pub born: Epoch,
}

/// An entry as a directory is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// Its place.
    pub cookie: u64,
    /// Its name.
    pub name: NameBuf,
    /// What it names.
    pub inode: Inode,
}

impl Session {
    /// The entry of this name.
    pub fn dentry(&self, parent: Ino, name: &Name) -> Result<Option<Dentry>> {
        let mut stmt = self.conn().prepare_cached(GET)?;
        let found = stmt.query_row(
            params![parent.raw().cast_signed(), name.as_bytes()],
            |row| {
                Ok(Dentry {
                    born: Epoch(row.get(0)?),
                    ino: Ino::from_raw(row.get::<_, i64>(1)?.cast_unsigned()),
                    cookie: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            },
        );
        Ok(found.optional()?)
    }

    /// The inode that this name leads to.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the entry names an inode that is not there.
    pub fn lookup(&self, parent: Ino, name: &Name) -> Result<Option<Inode>> {
        let mut stmt = self.conn().prepare_cached(LOOKUP)?;
        let mut rows = stmt.query(params![parent.raw().cast_signed(), name.as_bytes()])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        if row.get::<_, Option<i64>>(0)?.is_none() {
            return Err(dangling(parent, name, row.get(INODE_COLUMNS)?));
        }
        read_inode(row, 0).map(Some)
    }

    /// At most `limit` entries of `parent`, those below place `below`, the highest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an entry names an inode that is not there.
    pub fn list(&self, parent: Ino, below: u64, limit: usize) -> Result<Vec<ListedEntry>> {
        let mut stmt = self.conn().prepare_cached(LIST)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = stmt.query(params![
            parent.raw().cast_signed(),
            below.cast_signed(),
            limit
        ])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes = row
                .get_ref(INODE_COLUMNS + 1)?
                .as_blob()
                .map_err(Error::row)?;
            let name = Name::parse(bytes).map_err(Error::row)?;
            if row.get::<_, Option<i64>>(0)?.is_none() {
                return Err(dangling(parent, name, row.get(INODE_COLUMNS + 2)?));
            }
            entries.push(ListedEntry {
                cookie: row.get::<_, i64>(INODE_COLUMNS)?.cast_unsigned(),
                name: name.to_owned(),
                inode: read_inode(row, 0)?,
            });
        }
        Ok(entries)
    }

    /// Whether `dir` holds an entry.
    pub fn has_entries(&self, dir: Ino) -> Result<bool> {
        let mut stmt = self.conn().prepare_cached(HAS_ENTRIES)?;
        Ok(stmt.query_row([dir.raw().cast_signed()], |row| row.get(0))?)
    }
}

fn dangling(parent: Ino, name: &Name, ino: i64) -> Error {
    Error::row(format!(
        "entry {name:?} of {parent} names inode {ino}, which is not there"
    ))
}

impl WriteTx<'_> {
    /// Adds an entry at a place behind all others, and returns that.
    pub fn insert_dentry(&mut self, parent: Ino, name: &Name, ino: Ino) -> Result<Home> {
        let cookie = self.fresh_number()?;
        let born = self.epochs().current.0;
        let ino = ino.raw().cast_signed();
        let values = params![
            parent.raw().cast_signed(),
            name.as_bytes(),
            born,
            ino,
            cookie.cast_signed()
        ];
        self.conn().prepare_cached(INSERT)?.execute(values)?;
        Ok(Home { parent, cookie })
    }

    /// Makes `entry` name another inode. It stays at its place.
    pub fn point_dentry(
        &mut self,
        parent: Ino,
        name: &Name,
        entry: &Dentry,
        ino: Ino,
    ) -> Result<()> {
        let kept = self.keep_dentry(parent, name, entry)?;
        let born = if kept {
            self.epochs().current
        } else {
            entry.born
        };
        let ino = ino.raw().cast_signed();
        let values = params![parent.raw().cast_signed(), name.as_bytes(), ino, born.0];
        self.conn().prepare_cached(POINT)?.execute(values)?;
        Ok(())
    }

    /// Removes `entry`.
    pub fn delete_dentry(&mut self, parent: Ino, name: &Name, entry: &Dentry) -> Result<()> {
        self.keep_dentry(parent, name, entry)?;
        let key = params![parent.raw().cast_signed(), name.as_bytes()];
        self.conn().prepare_cached(DELETE)?.execute(key)?;
        Ok(())
    }

    /// Whether some snapshot sees the row: it then has a copy in `dentry_past` now.
    fn keep_dentry(&self, parent: Ino, name: &Name, entry: &Dentry) -> Result<bool> {
        let kept = self.epochs().is_kept(entry.born);
        if kept {
            let died = self.epochs().current.0;
            let values = params![parent.raw().cast_signed(), name.as_bytes(), died];
            self.conn().prepare_cached(KEEP)?.execute(values)?;
        }
        Ok(kept)
    }
}
