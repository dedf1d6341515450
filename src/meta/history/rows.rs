//! All rows of a state, in the order of their keys, some at a time: how a state leaves the volume.

use rusqlite::{Row, params};

use crate::meta::schema::text::sql;
use crate::meta::tables::chunk::read_place;
use crate::meta::tables::inode::{INODE_COLUMNS, read_inode};
use crate::meta::{Error, Result, View};
use crate::types::{
    ChunkHash, ChunkPlace, EntryRow, FarPlace, InodeRow, RowCursor, RowPage, StoredRow, XattrRow,
};

// Each is two walks along a key that SQLite merges; what a row value is greater than, an index finds
// (sqlite.org/rowvalue.html, section 3).
const INODES: &str = sql!(
    "SELECT {inode -target}, target FROM inode WHERE ino > ?2 AND born <= ?1 UNION ALL
     SELECT {inode -target}, target FROM inode_past WHERE ino > ?2 AND born <= ?1 AND died > ?1
     ORDER BY 1 LIMIT ?3"
);
const ENTRIES: &str = "
    SELECT parent, name, ino, cookie FROM dentry
        WHERE (parent, name) > (?2, ?3) AND born <= ?1
    UNION ALL SELECT parent, name, ino, cookie FROM dentry_past
        WHERE (parent, name) > (?2, ?3) AND born <= ?1 AND died > ?1
    ORDER BY 1, 2 LIMIT ?4";
const EXTENTS: &str = sql!(
    "SELECT e.ino, e.off, e.len, e.chunk_off, c.hash, {c.chunk segment..sums}
    FROM extent e LEFT JOIN chunk c ON c.id = e.chunk
        WHERE (e.ino, e.off) > (?2, ?3) AND e.born <= ?1
    UNION ALL SELECT e.ino, e.off, e.len, e.chunk_off, c.hash, {c.chunk segment..sums}
    FROM extent_past e LEFT JOIN chunk c ON c.id = e.chunk
        WHERE (e.ino, e.off) > (?2, ?3) AND e.born <= ?1 AND e.died > ?1
    ORDER BY 1, 2 LIMIT ?4"
);
const XATTRS: &str = "
    SELECT ino, name, value FROM xattr WHERE (ino, name) > (?2, ?3) AND born <= ?1
    UNION ALL SELECT ino, name, value FROM xattr_past
        WHERE (ino, name) > (?2, ?3) AND born <= ?1 AND died > ?1
    ORDER BY 1, 2 LIMIT ?4";
/// Rows at a time; attributes can be 64 KiB each.
const ROWS: i64 = 2000;
const XATTR_ROWS: i64 = 64;

impl View<'_> {
    /// The next rows of a table.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a row makes no sense, or an extent names a chunk that is not there.
    pub fn rows(&self, after: &RowCursor) -> Result<RowPage> {
        match after {
            RowCursor::Inodes(ino) => self.inode_rows(*ino).map(RowPage::Inodes),
            RowCursor::Entries(dir, name) => self.entry_rows(*dir, name).map(RowPage::Entries),
            RowCursor::Extents(ino, off) => self.extent_rows(*ino, *off).map(RowPage::Extents),
            RowCursor::Xattrs(ino, name) => self.xattr_rows(*ino, name).map(RowPage::Xattrs),
        }
    }

    fn inode_rows(&self, after: u64) -> Result<Vec<InodeRow>> {
        let mut stmt = self.session().conn().prepare_cached(INODES)?;
        let mut rows = stmt.query(params![self.epoch().0, after.cast_signed(), ROWS])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let inode = read_inode(row, 0)?;
            let target: Option<Vec<u8>> = row.get(INODE_COLUMNS)?;
            let home = (inode.home.parent, inode.home.cookie);
            found.push(InodeRow::of(&inode.attr, home, target.unwrap_or_default()));
        }
        Ok(found)
    }

    fn entry_rows(&self, dir: u64, name: &[u8]) -> Result<Vec<EntryRow>> {
        let mut stmt = self.session().conn().prepare_cached(ENTRIES)?;
        let mut rows = stmt.query(params![self.epoch().0, dir.cast_signed(), name, ROWS])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(EntryRow {
                parent: uint(row, 0)?,
                name: row.get(1)?,
                ino: uint(row, 2)?,
                cookie: uint(row, 3)?,
            });
        }
        Ok(found)
    }

    fn extent_rows(&self, ino: u64, off: u64) -> Result<Vec<StoredRow>> {
        let mut stmt = self.session().conn().prepare_cached(EXTENTS)?;
        let after = params![self.epoch().0, ino.cast_signed(), off.cast_signed(), ROWS];
        let mut rows = stmt.query(after)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read_stored_row(row)?);
        }
        Ok(found)
    }

    fn xattr_rows(&self, ino: u64, name: &[u8]) -> Result<Vec<XattrRow>> {
        let mut stmt = self.session().conn().prepare_cached(XATTRS)?;
        let mut rows = stmt.query(params![self.epoch().0, ino.cast_signed(), name, XATTR_ROWS])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(XattrRow {
                ino: uint(row, 0)?,
                name: row.get(1)?,
                value: row.get(2)?,
            });
        }
        Ok(found)
    }
}

/// Columns that [`read_stored_row`] reads, from the first on: the extent's, and the place of its chunk.
pub(super) const STORED_COLUMNS: usize = 11;

pub(super) fn read_stored_row(row: &Row<'_>) -> Result<StoredRow> {
    let (ino, off) = (uint(row, 0)?, uint(row, 1)?);
    let hash: Option<[u8; ChunkHash::LEN]> = row.get(4)?;
    let hash = hash.ok_or_else(|| {
        Error::row(format!(
            "byte {off} of inode {ino} names a chunk that is not there"
        ))
    })?;
    let (at, sums) = read_place(row, 5)?;
    let chunk = match FarPlace::of(&at, &sums) {
        Some(far) => ChunkPlace::elsewhere(&far, &at),
        None => ChunkPlace::new(&ChunkHash::from_bytes(hash), &at),
    };
    Ok(StoredRow {
        ino,
        off,
        len: uint(row, 2)?,
        chunk_off: uint(row, 3)?,
        chunk,
    })
}

fn uint(row: &Row<'_>, at: usize) -> Result<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}
