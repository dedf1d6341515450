//! Rows of a state as a stream has them: those of a run, but that an extent names its chunk by its hash. Who receives it
//! may have the chunk from elsewhere.

use super::cells::{entry_of, inode_of, xattr_of};
use super::row::{Row, Table};
use crate::remote::block::{self, Cells};
use crate::types::{ChunkHash, EntryRow, InodeRow, XattrRow};

/// An extent and the name of its chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedRow {
    /// The file.
    pub ino: u64,
    /// Where in the file it begins, in bytes.
    pub off: u64,
    /// Bytes.
    pub len: u64,
    /// Where in the chunk they begin.
    pub chunk_off: u64,
    /// The chunk.
    pub hash: ChunkHash,
}

/// A row of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamRow {
    /// An inode.
    Inode(InodeRow),
    /// A directory entry.
    Entry(EntryRow),
    /// An extent.
    Extent(HashedRow),
    /// An extended attribute.
    Xattr(XattrRow),
}

impl StreamRow {
    /// The number of its table in a stream.
    pub(in crate::remote) const fn table(&self) -> u8 {
        match self {
            Self::Inode(_) => 0,
            Self::Entry(_) => 1,
            Self::Extent(_) => 2,
            Self::Xattr(_) => 3,
        }
    }

    /// About how much memory it takes.
    pub(in crate::remote) const fn bytes(&self) -> usize {
        128 + match self {
            Self::Inode(row) => row.target.len(),
            Self::Entry(row) => row.name.len(),
            Self::Extent(_) => 0,
            Self::Xattr(row) => row.name.len() + row.value.len(),
        }
    }

    fn into_row(self) -> Option<Row> {
        match self {
            Self::Inode(row) => Some(Row::Inode(row)),
            Self::Entry(row) => Some(Row::Entry(row)),
            Self::Xattr(row) => Some(Row::Xattr(row)),
            Self::Extent(_) => None,
        }
    }

    fn of(row: Row) -> Option<Self> {
        match row {
            Row::Inode(row) => Some(Self::Inode(row)),
            Row::Entry(row) => Some(Self::Entry(row)),
            Row::Xattr(row) => Some(Self::Xattr(row)),
            Row::Extent(_) => None,
        }
    }
}

/// Packs rows of one table into a block.
pub(in crate::remote) fn encode_rows(rows: Vec<StreamRow>) -> Option<Vec<u8>> {
    let table = table_of(rows.first()?.table())?;
    if table == Table::Extent {
        let cells: Vec<_> = rows.iter().filter_map(extent_cells).collect();
        return block::encode(&cells);
    }
    let rows: Vec<Row> = rows.into_iter().filter_map(StreamRow::into_row).collect();
    match table {
        Table::Inode => block::encode(&collect(&rows, Row::inode_cells)),
        Table::Entry => block::encode(&collect(&rows, Row::entry_cells)),
        Table::Xattr => block::encode(&collect(&rows, Row::xattr_cells)),
        Table::Extent => None,
    }
}

/// Unpacks a block of so many rows; `None` when it is none.
pub(in crate::remote) fn decode_rows(
    table: u8,
    rows: usize,
    block: &[u8],
) -> Option<Vec<StreamRow>> {
    let found = match table_of(table)? {
        Table::Extent => {
            let cells = block::decode(block, rows)?;
            return cells.into_iter().map(extent_of).collect();
        }
        Table::Inode => each(block::decode(block, rows)?, inode_of)?,
        Table::Entry => each(block::decode(block, rows)?, entry_of)?,
        Table::Xattr => each(block::decode(block, rows)?, xattr_of)?,
    };
    found.into_iter().map(StreamRow::of).collect()
}

fn collect<T>(rows: &[Row], cells: impl Fn(&Row) -> Option<T>) -> Vec<T> {
    rows.iter().filter_map(cells).collect()
}

fn each<T>(cells: Vec<T>, row: impl Fn(T) -> Option<Row>) -> Option<Vec<Row>> {
    cells.into_iter().map(row).collect()
}

const fn table_of(raw: u8) -> Option<Table> {
    match raw {
        0 => Some(Table::Inode),
        1 => Some(Table::Entry),
        2 => Some(Table::Extent),
        3 => Some(Table::Xattr),
        _ => None,
    }
}

fn extent_cells(row: &StreamRow) -> Option<Cells<4, 1>> {
    let StreamRow::Extent(row) = row else {
        return None;
    };
    Some(Cells {
        numbers: [row.ino, row.off, row.len, row.chunk_off],
        texts: [row.hash.as_bytes().to_vec()],
    })
}

fn extent_of(cells: Cells<4, 1>) -> Option<StreamRow> {
    let [ino, off, len, chunk_off] = cells.numbers;
    let [hash] = cells.texts;
    let hash = <[u8; ChunkHash::LEN]>::try_from(hash).ok()?;
    Some(StreamRow::Extent(HashedRow {
        ino,
        off,
        len,
        chunk_off,
        hash: ChunkHash::from_bytes(hash),
    }))
}
