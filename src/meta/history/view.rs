//! The state at a snapshot: live rows that are old enough, and past rows that it saw.

use std::ops::Range;

use rusqlite::{OptionalExtension, params};

use crate::meta::schema::text::sql;
use crate::meta::tables::extent::read_stored;
use crate::meta::tables::inode::read_inode;
use crate::meta::{Error, Inode, ListedEntry, Result, Session, StoredExtent};
use crate::types::{Epoch, Ino, Name};

// A live row is visible at `?1` if born <= ?1, a past row if born <= ?1 < died: never both.
const INODE: &str = sql!(
    "SELECT {inode -target} FROM inode WHERE ino = ?2 AND born <= ?1 UNION ALL
     SELECT {inode -target} FROM inode_past WHERE ino = ?2 AND born <= ?1 AND died > ?1"
);
const TARGET: &str = "
    SELECT target FROM inode WHERE ino = ?2 AND born <= ?1 UNION ALL
    SELECT target FROM inode_past WHERE ino = ?2 AND born <= ?1 AND died > ?1";
const LOOKUP: &str = "
    SELECT ino FROM dentry WHERE parent = ?2 AND name = ?3 AND born <= ?1 UNION ALL
    SELECT ino FROM dentry_past WHERE parent = ?2 AND name = ?3 AND born <= ?1 AND died > ?1";
const LIST: &str = "
    SELECT cookie, name, ino FROM dentry
        WHERE parent = ?2 AND cookie < ?3 AND born <= ?1
    UNION ALL SELECT cookie, name, ino FROM dentry_past
        WHERE parent = ?2 AND cookie < ?3 AND born <= ?1 AND died > ?1
    ORDER BY cookie DESC LIMIT ?4";
// No extent is longer than a chunk (1 MiB): what reaches into the range begins at most that far before.
const EXTENTS: &str = sql!(
    "SELECT {c.chunk segment..sums}, e.off, e.len, e.chunk_off, e.chunk
    FROM extent e LEFT JOIN chunk c ON c.id = e.chunk
        WHERE e.ino = ?2 AND e.off > ?3 - 1048577 AND e.off < ?4 AND e.born <= ?1
    UNION ALL
    SELECT {c.chunk segment..sums}, e.off, e.len, e.chunk_off, e.chunk
    FROM extent_past e LEFT JOIN chunk c ON c.id = e.chunk
        WHERE e.ino = ?2 AND e.off > ?3 - 1048577 AND e.off < ?4 AND e.born <= ?1 AND e.died > ?1
    ORDER BY 7"
);
const XATTR: &str = "
    SELECT value FROM xattr WHERE ino = ?2 AND name = ?3 AND born <= ?1 UNION ALL
    SELECT value FROM xattr_past WHERE ino = ?2 AND name = ?3 AND born <= ?1 AND died > ?1";
const XATTR_NAMES: &str = "
    SELECT name FROM xattr WHERE ino = ?2 AND born <= ?1 UNION ALL
    SELECT name FROM xattr_past WHERE ino = ?2 AND born <= ?1 AND died > ?1
    ORDER BY 1";

/// One consistent state as it was at a snapshot.
#[derive(Debug, Clone, Copy)]
pub struct View<'s> {
    session: &'s Session,
    at: Epoch,
}

impl Session {
    /// The state at the snapshot of this epoch.
    #[must_use]
    pub const fn view(&self, at: Epoch) -> View<'_> {
        View { session: self, at }
    }
}

impl<'s> View<'s> {
    pub(super) const fn session(&self) -> &'s Session {
        self.session
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.at
    }
}

impl View<'_> {
    /// The inode of this number.
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>> {
        let mut stmt = self.session.conn().prepare_cached(INODE)?;
        let mut rows = stmt.query(params![self.at.0, ino.raw().cast_signed()])?;
        rows.next()?.map(|row| read_inode(row, 0)).transpose()
    }

    /// The target of a symbolic link.
    pub fn link_target(&self, ino: Ino) -> Result<Option<Vec<u8>>> {
        let mut stmt = self.session.conn().prepare_cached(TARGET)?;
        let values = params![self.at.0, ino.raw().cast_signed()];
        Ok(stmt
            .query_row(values, |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// The inode that this name leads to.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the entry names an inode that is not there.
    pub fn lookup(&self, parent: Ino, name: &Name) -> Result<Option<Inode>> {
        let mut stmt = self.session.conn().prepare_cached(LOOKUP)?;
        let values = params![self.at.0, parent.raw().cast_signed(), name.as_bytes()];
        let found: Option<i64> = stmt.query_row(values, |row| row.get(0)).optional()?;
        found.map(|ino| self.named(ino)).transpose()
    }

    /// At most `limit` entries of `parent`, those below place `below`, the highest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an entry names an inode that is not there.
    pub fn list(&self, parent: Ino, below: u64, limit: usize) -> Result<Vec<ListedEntry>> {
        let mut stmt = self.session.conn().prepare_cached(LIST)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parent = parent.raw().cast_signed();
        let mut rows = stmt.query(params![self.at.0, parent, below.cast_signed(), limit])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(1)?.as_blob().map_err(Error::row)?;
            entries.push(ListedEntry {
                cookie: row.get::<_, i64>(0)?.cast_unsigned(),
                name: Name::parse(bytes).map_err(Error::row)?.to_owned(),
                inode: self.named(row.get(2)?)?,
            });
        }
        Ok(entries)
    }

    fn named(&self, ino: i64) -> Result<Inode> {
        let found = self.inode(Ino::from_raw(ino.cast_unsigned()))?;
        found.ok_or_else(|| {
            Error::row(format!(
                "an entry at epoch {} names inode {ino}, which is not there",
                self.at.0
            ))
        })
    }

    /// The extents that have bytes in `range`, whole, by offset, with the places of their bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an extent names a chunk that is not there.
    pub fn stored_extents(&self, ino: Ino, range: &Range<u64>) -> Result<Vec<StoredExtent>> {
        let mut stmt = self.session.conn().prepare_cached(EXTENTS)?;
        let (start, end) = (range.start.cast_signed(), range.end.cast_signed());
        let rows = stmt.query(params![self.at.0, ino.raw().cast_signed(), start, end])?;
        read_stored(rows, ino, range.start)
    }

    /// The value of an attribute.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut stmt = self.session.conn().prepare_cached(XATTR)?;
        let values = params![self.at.0, ino.raw().cast_signed(), name];
        Ok(stmt.query_row(values, |row| row.get(0)).optional()?)
    }

    /// The names of an inode's attributes, sorted.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        let mut stmt = self.session.conn().prepare_cached(XATTR_NAMES)?;
        let names = stmt.query_map(params![self.at.0, ino.raw().cast_signed()], |row| {
            row.get(0)
        })?;
        names.map(|name| Ok(name?)).collect()
    }
}
