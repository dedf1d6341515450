//! What is told of rows that changed between two snapshots makes of the rows of the one those of the other.

use std::collections::BTreeMap;

use cask::types::{ChunkHash, RowCursor, RowPage, StateRow};
use cask::volume::{Frozen, Snapshot, Volume};

/// A row, whose chunk may be anywhere.
#[derive(Debug, PartialEq)]
enum Row {
    Plain(StateRow),
    Extent(u64, u64, ChunkHash),
}

type Rows = BTreeMap<RowCursor, Row>;

fn row_of(row: StateRow) -> Row {
    match row {
        StateRow::Extent(row) => Row::Extent(row.len, row.chunk_off, row.chunk.hash()),
        plain => Row::Plain(plain),
    }
}

/// All rows that a name leads to.
fn rows_of(frozen: Frozen<'_>) -> Rows {
    let mut found = Rows::new();
    let mut unnamed = Vec::new();
    for first in [
        RowCursor::Inodes(0),
        RowCursor::Entries(0, Vec::new()),
        RowCursor::Extents(0, 0),
        RowCursor::Xattrs(0, Vec::new()),
    ] {
        let mut after = first;
        loop {
            let page = frozen.rows(&after).unwrap();
            let Some(end) = page.end() else { break };
            after = end;
            match page {
                RowPage::Inodes(rows) => rows.into_iter().for_each(|row| {
                    if row.nlink == 0 {
                        unnamed.push(row.ino);
                    } else {
                        found.insert(RowCursor::Inodes(row.ino), row_of(StateRow::Inode(row)));
                    }
                }),
                RowPage::Entries(rows) => found.extend(rows.into_iter().map(|row| {
                    let key = RowCursor::Entries(row.parent, row.name.clone());
                    (key, row_of(StateRow::Entry(row)))
                })),
                RowPage::Extents(rows) => found.extend(rows.into_iter().map(|row| {
                    let key = RowCursor::Extents(row.ino, row.off);
                    (key, row_of(StateRow::Extent(row)))
                })),
                RowPage::Xattrs(rows) => found.extend(rows.into_iter().map(|row| {
                    let key = RowCursor::Xattrs(row.ino, row.name.clone());
                    (key, row_of(StateRow::Xattr(row)))
                })),
            }
        }
    }
    found.retain(|key, _| match key {
        RowCursor::Extents(ino, _) | RowCursor::Xattrs(ino, _) => !unnamed.contains(ino),
        _ => true,
    });
    found
}

/// Whether it is told at all: not across a rollback.
pub(crate) fn assert_rows(volume: &Volume, from: &Snapshot, to: &Snapshot) -> bool {
    let new = volume.frozen(to.epoch);
    let Some(changed) = new.changed_since(from.epoch).unwrap() else {
        return false;
    };
    let mut rows = rows_of(volume.frozen(from.epoch));
    let mut after = RowCursor::Inodes(0);
    loop {
        let page = new.changes(&changed, &after).unwrap().unwrap();
        let Some(last) = page.last() else { break };
        let next = last.key.clone();
        assert!(next > after, "they come in order");
        after = next;
        for change in page {
            let before = rows.remove(&change.key);
            if let RowCursor::Inodes(_) = change.key {
                let allocated = match before {
                    Some(Row::Plain(StateRow::Inode(row))) => Some(row.allocated),
                    _ => None,
                };
                assert_eq!(change.before, allocated, "{:?}", change.key);
            }
            if let Some(row) = change.row {
                rows.insert(change.key, row_of(row));
            }
        }
    }
    assert_eq!(rows, rows_of(new));
    true
}
