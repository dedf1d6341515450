//! Runs that are read.

use serde::{Deserialize, Serialize};

use super::cells::{entry_of, extent_of, gone, inode_of, xattr_of};
use super::row::{Row, RowKey, RunRow, Table};
use crate::remote::block::{self, Cells};
use crate::remote::hex;
use crate::remote::object::{Format, HEADER_BYTES, Header, Kind, ObjectId, ObjectOpener};
use crate::remote::seal::MasterKey;
use crate::remote::shelf::{Key, Shelf};
use crate::remote::{Error, Result};

/// A run's trailer, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::remote) struct Trailer {
    /// The packs that extents name by their place in this list.
    pub(super) packs: Vec<ObjectId>,
    pub(in crate::remote) blocks: Vec<BlockPlace>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::remote) struct BlockPlace {
    pub(in crate::remote) table: Table,
    pub(super) rows: usize,
    pub(in crate::remote) offset: usize,
    pub(in crate::remote) bytes: usize,
    /// The key of its first row: the number, and in hexadecimal what follows it.
    pub(super) first: (u64, String),
}

impl BlockPlace {
    /// The key of its first row; `None` when it is none.
    pub(in crate::remote) fn first(&self) -> Option<RowKey> {
        Some((self.first.0, hex::decode(&self.first.1)?))
    }
}

/// A run that is being read.
#[derive(Debug)]
pub struct RunReader {
    bytes: Vec<u8>,
    format: Format,
    opener: ObjectOpener,
    trailer: Trailer,
    key: Key,
}

impl RunReader {
    /// Fetches a run.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Newer`]; see [`Shelf`].
    pub fn open(shelf: &dyn Shelf, master: &MasterKey, id: &ObjectId) -> Result<Self> {
        let key = run_key(id);
        let (bytes, _) = shelf.get(&key)?;
        let header = Header::decode(&bytes, Kind::Run, &key)?;
        if header.id != *id {
            return Err(Error::damaged(&key, "it is another run"));
        }
        let at = bytes.len().checked_sub(header.trailer_bytes as usize);
        let at = at
            .filter(|at| *at >= HEADER_BYTES)
            .ok_or_else(|| Error::damaged(&key, "it is too short"))?;
        let opener = ObjectOpener::new(master, &header, &key)?;
        let trailer = opener.trailer(&bytes[at..])?;
        let trailer = serde_json::from_slice(&trailer).map_err(|e| Error::damaged(&key, e))?;
        Ok(Self {
            bytes,
            format: header.format,
            opener,
            trailer,
            key,
        })
    }

    /// How many blocks it has.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.trailer.blocks.len()
    }

    /// The packs that its extents are in.
    #[must_use]
    pub fn packs(&self) -> &[ObjectId] {
        &self.trailer.packs
    }

    /// Which table a block is of; `None` where there is no such block.
    #[must_use]
    pub fn table(&self, number: usize) -> Option<Table> {
        self.trailer.blocks.get(number).map(|block| block.table)
    }

    /// The rows of a block that it has.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn block(&self, number: usize) -> Result<Vec<Row>> {
        let rows = self.told(number)?.into_iter();
        let put = rows.filter_map(|row| match row {
            RunRow::Put(row) => Some(row),
            RunRow::Gone(..) => None,
        });
        Ok(put.collect())
    }

    /// All that a block tells of rows.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn told(&self, number: usize) -> Result<Vec<RunRow>> {
        let damaged = || Error::damaged(&self.key, format!("block {number} cannot be read"));
        let at = self.trailer.blocks.get(number).ok_or_else(damaged)?;
        let end = at.offset.checked_add(at.bytes).ok_or_else(damaged)?;
        let sealed = self.bytes.get(at.offset..end).ok_or_else(damaged)?;
        let block = self.opener.piece(number as u64, sealed)?;
        let rows = self.trailer.rows(self.format, at, &block);
        rows.ok_or_else(damaged)
    }
}

impl Trailer {
    /// What a block of a run of this format tells; `None` when it is none of these.
    pub(in crate::remote) fn rows(
        &self,
        format: Format,
        at: &BlockPlace,
        block: &[u8],
    ) -> Option<Vec<RunRow>> {
        let told = (format, at, block);
        match at.table {
            Table::Inode => each(told, inode_of),
            Table::Entry => each(told, entry_of),
            Table::Xattr => each(told, xattr_of),
            Table::Extent => each(told, |cells| extent_of(&cells, &self.packs)),
        }
    }
}

fn each<const N: usize, const T: usize>(
    (format, at, block): (Format, &BlockPlace, &[u8]),
    row: impl Fn(Cells<N, T>) -> Option<Row>,
) -> Option<Vec<RunRow>> {
    if format == Format::Whole {
        let cells = block::decode(block, at.rows)?.into_iter();
        return cells.map(|cells| row(cells).map(RunRow::Put)).collect();
    }
    let (marks, cells) = block::decode_marked(block, at.rows)?;
    let told = marks
        .into_iter()
        .zip(cells)
        .map(|(mark, cells)| match mark {
            0 => row(cells).map(RunRow::Put),
            1 => gone(at.table, cells),
            _ => None,
        });
    told.collect()
}

/// The name of a run in the store.
pub(in crate::remote) fn run_key(id: &ObjectId) -> Key {
    id.key_below("run")
}
