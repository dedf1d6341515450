//! Which rows of a snapshot are others than they were at an earlier one, at the cost of what changed: by the rows that
//! died, and the numbers that were given out.
//!
//! Only where the history went on from the one to the other. Where a state came back in between, or rows were repaired
//! (`revived`), nothing is said.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Params, params};

use super::rows::{STORED_COLUMNS, read_stored_row};
use crate::meta::schema::text::sql;
use crate::meta::tables::inode::{INODE_COLUMNS, read_inode};
use crate::meta::{Result, Session, Snapshot, View};
use crate::types::{EntryRow, Epoch, Ino, InodeRow, RowChange, RowCursor, StateRow, XattrRow};

const IS_STRAIGHT: &str = "
    SELECT NOT EXISTS (SELECT 1 FROM revived WHERE epoch > ?1 AND epoch <= ?2)";
// Seen at `?1` and no more at `?2`. Whatever is said of an inode besides, it changed.
const OWNERS: &str = "
    SELECT ino FROM extent_past WHERE died > ?1 AND died <= ?2 AND born <= ?1
    UNION SELECT ino FROM xattr_past WHERE died > ?1 AND died <= ?2 AND born <= ?1
    UNION SELECT parent FROM dentry_past WHERE died > ?1 AND died <= ?2 AND born <= ?1";
const ENTRIES: &str = "
    SELECT parent, name FROM dentry_past WHERE died > ?1 AND died <= ?2 AND born <= ?1";
const EXTENTS: &str = "
    SELECT ino, off FROM extent_past WHERE died > ?1 AND died <= ?2 AND born <= ?1";
const XATTRS: &str = "
    SELECT ino, name FROM xattr_past WHERE died > ?1 AND died <= ?2 AND born <= ?1";
// Of inode `?3`, and seen at `?2`: made after `?1`. An entry has a number from `?4` on then, which an index finds; one that
// came to name another inode has a predecessor.
const ENTRIES_OF: &str = "
    SELECT parent, name FROM dentry WHERE parent = ?3 AND cookie >= ?4 AND born > ?1 AND born <= ?2
    UNION ALL SELECT parent, name FROM dentry_past
        WHERE parent = ?3 AND cookie >= ?4 AND born > ?1 AND born <= ?2 AND died > ?2";
const EXTENTS_OF: &str = "
    SELECT ino, off FROM extent WHERE ino = ?3 AND born > ?1 AND born <= ?2
    UNION ALL SELECT ino, off FROM extent_past WHERE ino = ?3 AND born > ?1 AND born <= ?2 AND died > ?2";
const XATTRS_OF: &str = "
    SELECT ino, name FROM xattr WHERE ino = ?3 AND born > ?1 AND born <= ?2
    UNION ALL SELECT ino, name FROM xattr_past WHERE ino = ?3 AND born > ?1 AND born <= ?2 AND died > ?2";

const INODE: &str = sql!(
    "SELECT {inode -target}, target FROM inode WHERE ino = ?2 AND born <= ?1 UNION ALL
     SELECT {inode -target}, target FROM inode_past WHERE ino = ?2 AND born <= ?1 AND died > ?1"
);
const ENTRY: &str = "
    SELECT ino, cookie, born FROM dentry WHERE parent = ?2 AND name = ?3 AND born <= ?1
    UNION ALL SELECT ino, cookie, born FROM dentry_past
        WHERE parent = ?2 AND name = ?3 AND born <= ?1 AND died > ?1";
const EXTENT: &str = sql!(
    "SELECT e.ino, e.off, e.len, e.chunk_off, c.hash, {c.chunk segment..sums}, e.born
    FROM extent e LEFT JOIN chunk c ON c.id = e.chunk WHERE e.ino = ?2 AND e.off = ?3 AND e.born <= ?1
    UNION ALL SELECT e.ino, e.off, e.len, e.chunk_off, c.hash, {c.chunk segment..sums}, e.born
    FROM extent_past e LEFT JOIN chunk c ON c.id = e.chunk
        WHERE e.ino = ?2 AND e.off = ?3 AND e.born <= ?1 AND e.died > ?1"
);
const XATTR: &str = "
    SELECT value, born FROM xattr WHERE ino = ?2 AND name = ?3 AND born <= ?1
    UNION ALL SELECT value, born FROM xattr_past
        WHERE ino = ?2 AND name = ?3 AND born <= ?1 AND died > ?1";

/// Keys of rows that may be others at a snapshot than at an earlier one, in their order.
#[derive(Debug)]
pub struct ChangedKeys {
    from: Epoch,
    keys: Vec<RowCursor>,
}

impl ChangedKeys {
    /// Those behind `after`.
    fn behind(&self, after: &RowCursor) -> &[RowCursor] {
        &self.keys[self.keys.partition_point(|key| key <= after)..]
    }
}

/// Keys as they are found.
struct Finding<'s> {
    session: &'s Session,
    span: Span,
    limit: usize,
    keys: BTreeSet<RowCursor>,
}

/// From one snapshot to another.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Epoch,
    to: Epoch,
    /// Numbers from here on were given out in between.
    numbers: i64,
}

impl Session {
    /// Which rows may be others at `to` than at the snapshot `from`; `None` when they are more than `limit`, or when it
    /// cannot be told, for states came back in between.
    pub fn changed_keys(
        &self,
        from: &Snapshot,
        to: Epoch,
        limit: usize,
    ) -> Result<Option<ChangedKeys>> {
        let span = Span {
            from: from.epoch,
            to,
            numbers: from.numbers.cast_signed(),
        };
        let mut stmt = self.conn().prepare_cached(IS_STRAIGHT)?;
        let is_straight: bool = stmt.query_row([from.epoch.0, to.0], |row| row.get(0))?;
        if from.epoch >= to || !is_straight {
            return Ok(None);
        }
        let mut finding = Finding {
            session: self,
            span,
            limit,
            keys: BTreeSet::new(),
        };
        if !finding.find(from)? {
            return Ok(None);
        }
        let found = ChangedKeys {
            from: from.epoch,
            keys: finding.keys.into_iter().collect(),
        };
        debug_assert_eq!(
            self.missed(&found, &span)?,
            Vec::new(),
            "what changes an inode's rows changes the inode"
        );
        Ok(Some(found))
    }
}

impl Finding<'_> {
    /// Whether they are not too many.
    fn find(&mut self, from: &Snapshot) -> Result<bool> {
        let Span { from: at, to, .. } = self.span;
        let both = [at.0, to.0];
        self.take(ENTRIES, both, RowCursor::Entries)?;
        self.take(XATTRS, both, RowCursor::Xattrs)?;
        self.take_extents(EXTENTS, both)?;
        if self.is_full() {
            return Ok(false);
        }
        let changed = self.session.changed_inodes(from, to)?.into_iter();
        let mut owners: BTreeSet<u64> = changed.map(Ino::raw).collect();
        let mut stmt = self.session.conn().prepare_cached(OWNERS)?;
        let mut rows = stmt.query(both)?;
        while let Some(row) = rows.next()? {
            owners.insert(row.get::<_, i64>(0)?.cast_unsigned());
        }
        for ino in owners {
            self.find_of(ino)?;
            if self.is_full() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there are more than are wanted: what is found of them need not be all.
    fn is_full(&self) -> bool {
        self.keys.len() > self.limit
    }

    /// Keys of what an inode has.
    fn find_of(&mut self, ino: u64) -> Result<()> {
        let Span { from, to, numbers } = self.span;
        self.keys.insert(RowCursor::Inodes(ino));
        let own = ino.cast_signed();
        self.take(ENTRIES_OF, [from.0, to.0, own, numbers], RowCursor::Entries)?;
        // One that lost its last name leaves the state with all that it has, and one that got a name comes with it.
        let is_named = |at: Epoch| self.session.view(at).is_named(ino);
        let since = match (is_named(from)?, is_named(to)?) {
            (true, false) => [i64::MIN, from.0, own],
            (false, true) => [i64::MIN, to.0, own],
            _ => [from.0, to.0, own],
        };
        self.take_extents(EXTENTS_OF, since)?;
        self.take(XATTRS_OF, since, RowCursor::Xattrs)
    }

    fn take(
        &mut self,
        query: &str,
        values: impl Params,
        key: impl Fn(u64, Vec<u8>) -> RowCursor,
    ) -> Result<()> {
        let mut stmt = self.session.conn().prepare_cached(query)?;
        let mut rows = stmt.query(values)?;
        while let Some(row) = rows.next()? {
            let number = row.get::<_, i64>(0)?.cast_unsigned();
            self.keys.insert(key(number, row.get(1)?));
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn take_extents(&mut self, query: &str, values: impl Params) -> Result<()> {
        let mut stmt = self.session.conn().prepare_cached(query)?;
        let mut rows = stmt.query(values)?;
        while let Some(row) = rows.next()? {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            self.keys.insert(RowCursor::Extents(number(0)?, number(1)?));
        }
        Ok(())
    }
}

// Every row that was made in between, by looking at all.
const ALL_MADE: [&str; 4] = [
    "SELECT ino, x'' FROM inode WHERE born > ?1 AND born <= ?2",
    "SELECT parent, name FROM dentry WHERE born > ?1 AND born <= ?2",
    "SELECT ino, off FROM extent WHERE born > ?1 AND born <= ?2",
    "SELECT ino, name FROM xattr WHERE born > ?1 AND born <= ?2",
];

impl Session {
    /// Rows that were missed, at the cost of all rows.
    fn missed(&self, found: &ChangedKeys, span: &Span) -> Result<Vec<RowCursor>> {
        let [inodes, entries, extents, xattrs] = ALL_MADE;
        let mut all = Finding {
            session: self,
            span: *span,
            limit: usize::MAX,
            keys: BTreeSet::new(),
        };
        let both = [span.from.0, span.to.0];
        all.take(inodes, both, |ino, _| RowCursor::Inodes(ino))?;
        all.take(entries, both, RowCursor::Entries)?;
        all.take(xattrs, both, RowCursor::Xattrs)?;
        all.take_extents(extents, both)?;
        let mut missed = Vec::new();
        for key in all.keys {
            // What an inode without a name has is in no state.
            let is_there = match &key {
                RowCursor::Extents(ino, _) | RowCursor::Xattrs(ino, _) => {
                    self.view(span.to).is_named(*ino)?
                }
                RowCursor::Inodes(_) | RowCursor::Entries(..) => true,
            };
            if is_there && found.keys.binary_search(&key).is_err() {
                missed.push(key);
            }
        }
        Ok(missed)
    }
}

impl View<'_> {
    /// The next rows that are others here than in the earlier state that `changed` is of, behind `after`: `limit` at most,
    /// and none at the end only.
    ///
    /// # Errors
    /// [`crate::meta::Error::Corrupt`] when a row makes no sense, or an extent names a chunk that is not there.
    pub fn changes(
        &self,
        changed: &ChangedKeys,
        after: &RowCursor,
        limit: usize,
    ) -> Result<Vec<RowChange>> {
        let mut comparing = Comparing {
            old: self.session().view(changed.from),
            new: *self,
            named: None,
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        for key in changed.behind(after) {
            let change = comparing.change(key)?;
            bytes += change.as_ref().map_or(0, value_bytes);
            found.extend(change);
            if found.len() >= limit || bytes >= BYTES_MAX {
                break;
            }
        }
        Ok(found)
    }

    fn inode_row(&self, ino: u64) -> Result<Option<InodeRow>> {
        let mut stmt = self.session().conn().prepare_cached(INODE)?;
        let mut rows = stmt.query(params![self.epoch().0, ino.cast_signed()])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let inode = read_inode(row, 0)?;
        let target: Option<Vec<u8>> = row.get(INODE_COLUMNS)?;
        let home = (inode.home.parent, inode.home.cookie);
        let row = InodeRow::of(&inode.attr, home, target.unwrap_or_default());
        Ok((row.nlink > 0).then_some(row))
    }

    fn is_named(&self, ino: u64) -> Result<bool> {
        let inode = self.inode(Ino::from_raw(ino))?;
        Ok(inode.is_some_and(|inode| inode.attr.nlink > 0))
    }

    /// A row, and since when it is so.
    fn row(&self, key: &RowCursor) -> Result<Option<(StateRow, Epoch)>> {
        let (at, conn) = (self.epoch().0, self.session().conn());
        match key {
            RowCursor::Inodes(_) => Ok(None),
            RowCursor::Entries(parent, name) => {
                let mut stmt = conn.prepare_cached(ENTRY)?;
                let found = stmt.query_row(params![at, parent.cast_signed(), name], |row| {
                    let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
                    let (ino, cookie) = (number(0)?, number(1)?);
                    let entry = EntryRow {
                        parent: *parent,
                        name: name.clone(),
                        ino,
                        cookie,
                    };
                    Ok((StateRow::Entry(entry), Epoch(row.get(2)?)))
                });
                Ok(found.optional()?)
            }
            RowCursor::Extents(ino, off) => {
                let mut stmt = conn.prepare_cached(EXTENT)?;
                let mut rows = stmt.query([at, ino.cast_signed(), off.cast_signed()])?;
                let Some(row) = rows.next()? else {
                    return Ok(None);
                };
                let born = Epoch(row.get(STORED_COLUMNS)?);
                Ok(Some((StateRow::Extent(read_stored_row(row)?), born)))
            }
            RowCursor::Xattrs(ino, name) => {
                let mut stmt = conn.prepare_cached(XATTR)?;
                let found = stmt.query_row(params![at, ino.cast_signed(), name], |row| {
                    let xattr = XattrRow {
                        ino: *ino,
                        name: name.clone(),
                        value: row.get(0)?,
                    };
                    Ok((StateRow::Xattr(xattr), Epoch(row.get(1)?)))
                });
                Ok(found.optional()?)
            }
        }
    }
}

/// Bytes of attributes' values, from which on no more rows come at a time.
const BYTES_MAX: usize = 4 << 20;

fn value_bytes(change: &RowChange) -> usize {
    match &change.row {
        Some(StateRow::Xattr(row)) => row.value.len(),
        _ => 0,
    }
}

/// Two states of which rows are compared.
struct Comparing<'s> {
    old: View<'s>,
    new: View<'s>,
    /// Of the inode that was looked at last, whether it has a name in each.
    named: Option<(u64, (bool, bool))>,
}

impl Comparing<'_> {
    fn change(&mut self, key: &RowCursor) -> Result<Option<RowChange>> {
        let (was_there, is_there) = match key {
            RowCursor::Inodes(ino) => return self.inode_change(*ino),
            RowCursor::Entries(..) => (true, true),
            RowCursor::Extents(ino, _) | RowCursor::Xattrs(ino, _) => self.names(*ino)?,
        };
        let row = if is_there { self.new.row(key)? } else { None };
        let is_other = match &row {
            // What was there before and lives has not changed: a change makes a new row of it.
            Some((_, born)) => !was_there || *born > self.old.epoch(),
            None => was_there && self.old.row(key)?.is_some(),
        };
        Ok(is_other.then(|| RowChange {
            key: key.clone(),
            row: row.map(|(row, _)| row),
            before: None,
        }))
    }

    fn inode_change(&self, ino: u64) -> Result<Option<RowChange>> {
        let (old, new) = (self.old.inode_row(ino)?, self.new.inode_row(ino)?);
        Ok((old != new).then(|| RowChange {
            key: RowCursor::Inodes(ino),
            row: new.map(StateRow::Inode),
            before: old.map(|row| row.allocated),
        }))
    }

    /// Whether an inode has a name in each of the two.
    fn names(&mut self, ino: u64) -> Result<(bool, bool)> {
        if let Some((known, names)) = self.named
            && known == ino
        {
            return Ok(names);
        }
        let names = (self.old.is_named(ino)?, self.new.is_named(ino)?);
        self.named = Some((ino, names));
        Ok(names)
    }
}
