//! `xattr` and `xattr_past`.

use rusqlite::{OptionalExtension, params};

use crate::meta::schema::text::sql;
use crate::meta::{Result, Session, WriteTx};
use crate::types::{Epoch, Ino};

const GET: &str = "SELECT value FROM xattr WHERE ino = ?1 AND name = ?2";
const NAMES: &str = "SELECT name FROM xattr WHERE ino = ?1 ORDER BY name";
const TOTAL: &str = "
    SELECT coalesce(sum(length(name) + 1 + length(value)), 0) FROM xattr WHERE ino = ?1 AND name <> ?2";
const BORN: &str = "SELECT born FROM xattr WHERE ino = ?1 AND name = ?2";
const SET: &str = sql!(
    "INSERT INTO xattr ({xattr}) VALUES ({xattr params 1})
     ON CONFLICT (ino, name) DO UPDATE SET born = excluded.born, value = excluded.value"
);
const DELETE: &str = "DELETE FROM xattr WHERE ino = ?1 AND name = ?2";
const KEEP: &str = sql!(
    "INSERT INTO xattr_past ({xattr}, died) SELECT {xattr}, ?3 FROM xattr
     WHERE ino = ?1 AND name = ?2"
);

impl Session {
    /// The value of an attribute.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut stmt = self.conn().prepare_cached(GET)?;
        let value = stmt.query_row(params![ino.raw().cast_signed(), name], |row| row.get(0));
        Ok(value.optional()?)
    }

    /// The names of an inode's attributes, sorted.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<Vec<u8>>> {
        let mut stmt = self.conn().prepare_cached(NAMES)?;
        let names = stmt.query_map([ino.raw().cast_signed()], |row| row.get(0))?;
        names.map(|name| Ok(name?)).collect()
    }

    /// Bytes of all names, each with a NUL, and values of an inode's attributes but `except`.
    pub fn xattr_bytes(&self, ino: Ino, except: &[u8]) -> Result<u64> {
        let mut stmt = self.conn().prepare_cached(TOTAL)?;
        let bytes: i64 = stmt.query_row(params![ino.raw().cast_signed(), except], |r| r.get(0))?;
        Ok(bytes.cast_unsigned())
    }
}

impl WriteTx<'_> {
    /// Sets an attribute, new or not.
    pub fn set_xattr(&mut self, ino: Ino, name: &[u8], value: &[u8]) -> Result<()> {
        self.keep_xattr(ino, name)?;
        let born = self.epochs().current.0;
        let values = params![ino.raw().cast_signed(), name, born, value];
        self.conn().prepare_cached(SET)?.execute(values)?;
        Ok(())
    }

    /// Removes an attribute; whether it was there.
    pub fn delete_xattr(&mut self, ino: Ino, name: &[u8]) -> Result<bool> {
        if !self.keep_xattr(ino, name)? {
            return Ok(false);
        }
        let key = params![ino.raw().cast_signed(), name];
        self.conn().prepare_cached(DELETE)?.execute(key)?;
        Ok(true)
    }

    /// Whether the attribute is there: if some snapshot sees it, it has a copy in `xattr_past` now.
    fn keep_xattr(&self, ino: Ino, name: &[u8]) -> Result<bool> {
        let key = params![ino.raw().cast_signed(), name];
        let mut stmt = self.conn().prepare_cached(BORN)?;
        let born: Option<i64> = stmt.query_row(key, |row| row.get(0)).optional()?;
        let Some(born) = born else { return Ok(false) };
        if self.epochs().is_kept(Epoch(born)) {
            let values = params![ino.raw().cast_signed(), name, self.epochs().current.0];
            self.conn().prepare_cached(KEEP)?.execute(values)?;
        }
        Ok(true)
    }
}
