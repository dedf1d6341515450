//! What changed between two states, found through the rows that died and the numbers that were given out.

use std::collections::BTreeSet;

use rusqlite::params;

use crate::meta::tables::copying::still_to_write;
use crate::meta::{Error, Result, Session, Snapshot, View};
use crate::types::{Epoch, Ino, Name, NameBuf};

// There at `?1` and changed by `?2`; made after `?1`, so with a number from `?3` on, and there at `?2`; come
// back in between.
macro_rules! inodes {
    ($union:literal) => {
        concat!(
            "SELECT ino FROM inode_past WHERE died > ?1 AND died <= ?2 AND born <= ?1 ",
            $union,
            " SELECT ino FROM inode WHERE ino >= ?3 AND born <= ?2 ",
            $union,
            " SELECT ino FROM inode_past WHERE ino >= ?3 AND born <= ?2 AND died > ?2 ",
            $union,
            " SELECT ino FROM revived WHERE epoch > ?1 AND epoch <= ?2"
        )
    };
}
const INODES: &str = concat!(inodes!("UNION"), " ORDER BY 1");
// Without sorting, so that the first one ends it.
const ANY_INODE: &str = concat!("SELECT EXISTS (", inodes!("UNION ALL"), ")");
const IS_REVIVED: &str = "
    SELECT EXISTS (SELECT 1 FROM revived WHERE ino = ?3 AND epoch > ?1 AND epoch <= ?2)";
// A directory that came back may hold entries of any age: all of them are looked at.
const COME_TO_REVIVED: &str = "
    SELECT name, ino FROM dentry WHERE parent = ?4 AND born > ?1 AND born <= ?2
    UNION ALL SELECT name, ino FROM dentry_past
        WHERE parent = ?4 AND born > ?1 AND born <= ?2 AND died > ?2";
const GONE: &str = "
    SELECT name, ino FROM dentry_past
    WHERE parent = ?4 AND died > ?1 AND died <= ?2 AND born <= ?1";
const COME: &str = "
    SELECT name, ino FROM dentry WHERE parent = ?4 AND cookie >= ?3 AND born <= ?2
    UNION ALL SELECT name, ino FROM dentry_past
        WHERE parent = ?4 AND cookie >= ?3 AND born <= ?2 AND died > ?2
    -- Entries that kept their place and came to name another inode have a predecessor.
    UNION ALL SELECT d.name, d.ino FROM dentry_past p JOIN dentry d ON d.parent = p.parent
        AND d.name = p.name AND d.cookie = p.cookie
        WHERE p.parent = ?4 AND p.died > ?1 AND p.died <= ?2 AND p.born <= ?1
        AND d.cookie < ?3 AND d.born <= ?2
    UNION ALL SELECT d.name, d.ino FROM dentry_past p JOIN dentry_past d ON d.parent = p.parent
        AND d.name = p.name AND d.cookie = p.cookie
        WHERE p.parent = ?4 AND p.died > ?1 AND p.died <= ?2 AND p.born <= ?1
        AND d.cookie < ?3 AND d.born <= ?2 AND d.died > ?2";
// What copies have still to write is in the head only.
const EXTENTS: &str = concat!(
    "SELECT e.off, e.len, e.chunk_off, c.hash FROM (
        SELECT off, len, chunk_off, chunk FROM extent WHERE ino = ?2 AND born <= ?1
        UNION ALL SELECT off, len, chunk_off, chunk FROM extent_past
            WHERE ino = ?2 AND born <= ?1 AND died > ?1
        UNION ALL SELECT off, len, chunk_off, chunk FROM (",
    still_to_write!(),
    ") WHERE ino = ?2 AND ?1 >= (SELECT value FROM setting WHERE key = 'epoch')) e
    JOIN chunk c ON c.id = e.chunk ORDER BY e.off"
);
const PLACE: &str = "
    SELECT name, ino FROM dentry WHERE parent = ?2 AND cookie = ?3 AND born <= ?1
    UNION ALL SELECT name, ino FROM dentry_past
        WHERE parent = ?2 AND cookie = ?3 AND born <= ?1 AND died > ?1";
const PLACES: &str = "
    SELECT name, parent, ino FROM dentry WHERE born <= ?1
    UNION ALL SELECT name, parent, ino FROM dentry_past WHERE born <= ?1 AND died > ?1";

/// A name in a known directory, and the inode at its other end.
pub type NamedInode = (NameBuf, Ino);

/// What a file's bytes are made of: offset, length, offset in the chunk, the chunk's hash.
pub type Layout = Vec<(i64, i64, i64, Vec<u8>)>;

impl Session {
    /// The inodes that differ between `from` and the state at `to`, sorted.
    pub fn changed_inodes(&self, from: &Snapshot, to: Epoch) -> Result<Vec<Ino>> {
        let mut stmt = self.conn().prepare_cached(INODES)?;
        let values = params![from.epoch.0, to.0, from.numbers.cast_signed()];
        let inos = stmt.query_map(values, |row| row.get::<_, i64>(0))?;
        inos.map(|ino| Ok(Ino::from_raw(ino?.cast_unsigned())))
            .collect()
    }

    /// Whether anything differs between `from` and the head.
    pub fn has_changes(&self, from: &Snapshot) -> Result<bool> {
        let mut stmt = self.conn().prepare_cached(ANY_INODE)?;
        let values = params![from.epoch.0, self.head()?.0, from.numbers.cast_signed()];
        Ok(stmt.query_row(values, |row| row.get(0))?)
    }

    /// The entries of `dir` that were there at `from` and are not at `to`, and those that came. An entry
    /// that names another inode by then is among both.
    pub fn changed_entries(
        &self,
        dir: Ino,
        from: &Snapshot,
        to: Epoch,
    ) -> Result<(Vec<NamedInode>, Vec<NamedInode>)> {
        let dir = dir.raw().cast_signed();
        let values = [from.epoch.0, to.0, from.numbers.cast_signed(), dir];
        let mut stmt = self.conn().prepare_cached(IS_REVIVED)?;
        let revived = stmt.query_row(params![from.epoch.0, to.0, dir], |row| row.get(0))?;
        let come = if revived { COME_TO_REVIVED } else { COME };
        Ok((self.named(GONE, &values)?, self.named(come, &values)?))
    }

    fn named(&self, query: &str, values: &[i64]) -> Result<Vec<NamedInode>> {
        let mut stmt = self.conn().prepare_cached(query)?;
        // SQLite counts up to the highest number in the text, also where some below it do not occur.
        let used = stmt.parameter_count();
        for (i, value) in values.iter().take(used).enumerate() {
            stmt.raw_bind_parameter(i + 1, value)?;
        }
        let mut rows = stmt.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob().map_err(Error::row)?;
            let name = Name::parse(bytes).map_err(Error::row)?.to_owned();
            found.push((name, Ino::from_raw(row.get::<_, i64>(1)?.cast_unsigned())));
        }
        Ok(found)
    }

    /// The epoch that rows are born in now: the head is the state at it.
    pub fn head(&self) -> Result<Epoch> {
        Ok(Epoch(
            self.setting(crate::meta::tables::setting::Setting::Epoch)?,
        ))
    }
}

impl View<'_> {
    /// What a file's bytes are made of.
    pub fn layout(&self, ino: Ino) -> Result<Layout> {
        let mut stmt = self.session().conn().prepare_cached(EXTENTS)?;
        let rows = stmt.query_map(params![self.epoch().0, ino.raw().cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.map(|row| Ok(row?)).collect()
    }

    /// The entry at this place: its name, and what it names.
    pub fn entry_at(&self, dir: Ino, cookie: u64) -> Result<Option<NamedInode>> {
        let values = [
            self.epoch().0,
            dir.raw().cast_signed(),
            cookie.cast_signed(),
        ];
        Ok(self.session().named(PLACE, &values)?.pop())
    }

    /// The names of these inodes, each with its directory. Looks at every entry of the volume.
    pub fn places_of(&self, inos: &BTreeSet<Ino>) -> Result<Vec<(Ino, (Ino, NameBuf))>> {
        let mut stmt = self.session().conn().prepare_cached(PLACES)?;
        let mut rows = stmt.query([self.epoch().0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            let ino = Ino::from_raw(number(2)?);
            if inos.contains(&ino) {
                let bytes = row.get_ref(0)?.as_blob().map_err(Error::row)?;
                let name = Name::parse(bytes).map_err(Error::row)?.to_owned();
                found.push((ino, (Ino::from_raw(number(1)?), name)));
            }
        }
        Ok(found)
    }
}
