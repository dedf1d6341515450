//! All rows of a state that a name leads to, one by one, in the order of their keys.

use std::collections::HashSet;

use crate::remote::{HashedRow, StreamRow};
use crate::transfer::{Error, Result, State};
use crate::types::{EntryRow, InodeRow, RowCursor, RowPage, StoredRow, XattrRow};

/// How often extents are looked up again when their chunks were moved meanwhile.
const ATTEMPTS: usize = 8;

/// A row.
pub(super) enum Met {
    Inode(InodeRow),
    Entry(EntryRow),
    Extent(StoredRow),
    Xattr(XattrRow),
}

/// What whoever walks says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To the next.
    Done,
    /// The chunk of this extent is not there any more: look where it is now.
    Moved,
}

impl Met {
    pub(super) fn to_row(&self) -> StreamRow {
        match self {
            Self::Inode(row) => StreamRow::Inode(row.clone()),
            Self::Entry(row) => StreamRow::Entry(row.clone()),
            Self::Xattr(row) => StreamRow::Xattr(row.clone()),
            Self::Extent(row) => StreamRow::Extent(HashedRow {
                ino: row.ino,
                off: row.off,
                len: row.len,
                chunk_off: row.chunk_off,
                hash: row.chunk.hash(),
            }),
        }
    }

    fn ino(&self) -> u64 {
        match self {
            Self::Inode(row) => row.ino,
            Self::Entry(row) => row.ino,
            Self::Extent(row) => row.ino,
            Self::Xattr(row) => row.ino,
        }
    }

    fn cursor(&self) -> RowCursor {
        match self {
            Self::Inode(row) => RowCursor::Inodes(row.ino),
            Self::Entry(row) => RowCursor::Entries(row.parent, row.name.clone()),
            Self::Extent(row) => RowCursor::Extents(row.ino, row.off),
            Self::Xattr(row) => RowCursor::Xattrs(row.ino, row.name.clone()),
        }
    }
}

/// Calls `meet` for each row.
pub(super) fn walk(state: &dyn State, meet: &mut dyn FnMut(&Met) -> Result<Step>) -> Result<()> {
    let tables = [
        RowCursor::Inodes(0),
        RowCursor::Entries(0, Vec::new()),
        RowCursor::Extents(0, 0),
        RowCursor::Xattrs(0, Vec::new()),
    ];
    // Nobody can reach them in the new place.
    let mut unnamed = HashSet::new();
    for first in tables {
        let (mut after, mut attempt) = (first, 0);
        loop {
            let rows = rows_of(state.rows(&after).map_err(Error::State)?);
            if rows.is_empty() {
                break;
            }
            let reached = walk_page(rows, &mut unnamed, meet)?;
            attempt = if reached.is_none() { attempt + 1 } else { 0 };
            if attempt >= ATTEMPTS {
                return Err(Error::Bug("a chunk is moved again and again"));
            }
            after = reached.unwrap_or(after);
        }
    }
    Ok(())
}

/// Up to a row whose chunk was moved; the last that was done.
fn walk_page(
    rows: Vec<Met>,
    unnamed: &mut HashSet<u64>,
    meet: &mut dyn FnMut(&Met) -> Result<Step>,
) -> Result<Option<RowCursor>> {
    let mut reached = None;
    for row in rows {
        if matches!(&row, Met::Extent(extent) if extent.chunk.far().is_some()) {
            return Err(Error::Lacking);
        }
        if matches!(&row, Met::Inode(inode) if inode.nlink == 0) {
            unnamed.insert(row.ino());
        }
        if !unnamed.contains(&row.ino()) && meet(&row)? == Step::Moved {
            return Ok(reached);
        }
        reached = Some(row.cursor());
    }
    Ok(reached)
}

fn rows_of(page: RowPage) -> Vec<Met> {
    match page {
        RowPage::Inodes(rows) => rows.into_iter().map(Met::Inode).collect(),
        RowPage::Entries(rows) => rows.into_iter().map(Met::Entry).collect(),
        RowPage::Extents(rows) => rows.into_iter().map(Met::Extent).collect(),
        RowPage::Xattrs(rows) => rows.into_iter().map(Met::Xattr).collect(),
    }
}
