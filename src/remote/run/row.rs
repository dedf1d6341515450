//! Rows of runs, and what they are sorted by.

use serde::{Deserialize, Serialize};

use crate::remote::place::Place;
use crate::types::{EntryRow, InodeRow, XattrRow};

/// An extent and the place of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedRow {
    /// The file.
    pub ino: u64,
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
    /// The chunk.
    pub place: Place,
}

/// A row of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// An inode.
    Inode(InodeRow),
    /// A directory entry.
    Entry(EntryRow),
    /// An extent.
    Extent(PlacedRow),
    /// An extended attribute.
    Xattr(XattrRow),
}

/// What rows of a table are sorted by.
pub type RowKey = (u64, Vec<u8>);

/// What a run tells of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRow {
    /// It is this.
    Put(Row),
    /// It is gone: a tombstone.
    Gone(Table, RowKey),
}

/// What a row tells of; runs have them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Inodes.
    Inode,
    /// Entries of directories.
    Entry,
    /// Extents of files.
    Extent,
    /// Extended attributes.
    Xattr,
}

impl RunRow {
    /// The key of the row.
    #[must_use]
    pub fn key(&self) -> RowKey {
        match self {
            Self::Put(row) => row.key(),
            Self::Gone(_, key) => key.clone(),
        }
    }

    /// The table of the row.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Self::Put(row) => row.table(),
            Self::Gone(table, _) => *table,
        }
    }

    /// About how much memory it takes.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Put(row) => row.bytes(),
            Self::Gone(_, (_, name)) => 128 + name.len(),
        }
    }
}

impl Row {
    /// What rows of its table are sorted by: a number, and bytes.
    #[must_use]
    pub fn key(&self) -> RowKey {
        match self {
            Self::Inode(row) => (row.ino, Vec::new()),
            Self::Entry(row) => (row.parent, row.name.clone()),
            Self::Extent(row) => (row.ino, row.off.to_be_bytes().to_vec()),
            Self::Xattr(row) => (row.ino, row.name.clone()),
        }
    }

    /// Its table.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Self::Inode(_) => Table::Inode,
            Self::Entry(_) => Table::Entry,
            Self::Extent(_) => Table::Extent,
            Self::Xattr(_) => Table::Xattr,
        }
    }

    /// About how much memory it takes.
    pub(super) const fn bytes(&self) -> usize {
        128 + match self {
            Self::Inode(row) => row.target.len(),
            Self::Entry(row) => row.name.len(),
            Self::Extent(_) => 0,
            Self::Xattr(row) => row.name.len() + row.value.len(),
        }
    }
}
