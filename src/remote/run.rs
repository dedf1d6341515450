//! Runs: sorted rows of a volume's metadata, in blocks that can be fetched one by one.
//!
//! An extent names a place in a pack, not a hash: who reads a volume needs no index.

mod hashed;

pub use hashed::{HashedRow, StreamRow};
pub(super) use hashed::{decode_rows, encode_rows};

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::block::{self, Cells};
use super::hex;
use super::object::{HEADER_BYTES, Header, Kind, ObjectBuilder, ObjectId, ObjectOpener};
use super::place::{Packing, Place};
use super::seal::{MasterKey, TAG_BYTES};
use super::shelf::{Key, Shelf};
use super::{Error, Result};
use crate::types::{EntryRow, InodeRow, XattrRow};

/// Rows in a block.
const BLOCK_ROWS: usize = 1024;
/// Bytes from which a block is full, whatever rows it has.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes from which a run is full: what is made of it is held in memory.
const RUN_BYTES: usize = 32 * 1024 * 1024;

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

/// A run's trailer, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Trailer {
    /// The packs that extents name by their place in this list.
    packs: Vec<ObjectId>,
    pub(super) blocks: Vec<BlockPlace>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BlockPlace {
    pub(super) table: Table,
    rows: usize,
    pub(super) offset: usize,
    pub(super) bytes: usize,
    /// The key of its first row: the number, and in hexadecimal what follows it.
    first: (u64, String),
}

impl BlockPlace {
    /// The key of its first row; `None` when it is none.
    pub(super) fn first(&self) -> Option<RowKey> {
        Some((self.first.0, hex::decode(&self.first.1)?))
    }
}

/// A run that is being written, in the order of its keys.
#[derive(Debug)]
pub struct RunWriter {
    object: ObjectBuilder,
    trailer: Trailer,
    packs: HashMap<ObjectId, u64>,
    pending: Vec<Row>,
    pending_bytes: usize,
}

impl RunWriter {
    /// Begins one.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn begin(master: &MasterKey) -> Result<Self> {
        Ok(Self {
            object: ObjectBuilder::begin(master, Kind::Run)?,
            trailer: Trailer::default(),
            packs: HashMap::new(),
            pending: Vec::new(),
            pending_bytes: 0,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn push(&mut self, row: Row) -> Result<()> {
        let other = |one: &Row| one.table() != row.table();
        if self.pending.first().is_some_and(other) {
            self.end_block()?;
        }
        self.pending_bytes += row.bytes();
        self.pending.push(row);
        if self.pending.len() >= BLOCK_ROWS || self.pending_bytes >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    /// Whether it is time to begin another.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.object.len() >= RUN_BYTES
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn finish(mut self) -> Result<(ObjectId, Vec<u8>)> {
        self.end_block()?;
        let trailer = serde_json::to_vec(&self.trailer);
        let trailer = trailer.map_err(|e| Error::Bug(e.to_string()))?;
        self.object.finish(trailer)
    }

    fn end_block(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let Some((table, first)) = rows.first().map(|row| (row.table(), row.key())) else {
            return Ok(());
        };
        let block = match table {
            Table::Inode => block::encode(&collect(&rows, Row::inode_cells)),
            Table::Entry => block::encode(&collect(&rows, Row::entry_cells)),
            Table::Xattr => block::encode(&collect(&rows, Row::xattr_cells)),
            Table::Extent => {
                let extents = rows.iter().filter_map(|row| match row {
                    Row::Extent(extent) => Some(extent),
                    _ => None,
                });
                let cells: Vec<_> = extents.map(|extent| self.extent_cells(extent)).collect();
                block::encode(&cells)
            }
        };
        let block = block.ok_or_else(|| Error::Bug("a block cannot be packed".to_owned()))?;
        let bytes = block.len() + TAG_BYTES;
        let offset = self.object.push(block)?;
        self.trailer.blocks.push(BlockPlace {
            table,
            rows: rows.len(),
            offset,
            bytes,
            first: (first.0, hex::encode(&first.1)),
        });
        Ok(())
    }

    fn extent_cells(&mut self, row: &PlacedRow) -> Cells<10, 0> {
        let place = &row.place;
        let packs = &mut self.trailer.packs;
        let pack = *self.packs.entry(place.pack).or_insert_with(|| {
            packs.push(place.pack);
            packs.len() as u64 - 1
        });
        Cells {
            numbers: [
                row.ino,
                row.off,
                row.len,
                row.chunk_off,
                pack,
                place.piece.into(),
                place.offset.into(),
                place.stored_len.into(),
                place.len.into(),
                place.packing.to_raw().into(),
            ],
            texts: [],
        }
    }
}

fn collect<T>(rows: &[Row], cells: impl Fn(&Row) -> Option<T>) -> Vec<T> {
    rows.iter().filter_map(cells).collect()
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

    pub(super) const fn table(&self) -> Table {
        match self {
            Self::Inode(_) => Table::Inode,
            Self::Entry(_) => Table::Entry,
            Self::Extent(_) => Table::Extent,
            Self::Xattr(_) => Table::Xattr,
        }
    }

    /// About how much memory it takes.
    const fn bytes(&self) -> usize {
        128 + match self {
            Self::Inode(row) => row.target.len(),
            Self::Entry(row) => row.name.len(),
            Self::Extent(_) => 0,
            Self::Xattr(row) => row.name.len() + row.value.len(),
        }
    }

    fn inode_cells(&self) -> Option<Cells<16, 1>> {
        let Self::Inode(row) = self else {
            return None;
        };
        let secs = |time: (i64, u32)| time.0.cast_unsigned();
        let nanos = |time: (i64, u32)| u64::from(time.1);
        Some(Cells {
            numbers: [
                row.ino,
                row.mode.into(),
                row.uid.into(),
                row.gid.into(),
                row.nlink.into(),
                row.size,
                row.allocated,
                row.rdev.into(),
                row.parent,
                row.cookie,
                secs(row.atime),
                nanos(row.atime),
                secs(row.mtime),
                nanos(row.mtime),
                secs(row.ctime),
                nanos(row.ctime),
            ],
            texts: [row.target.clone()],
        })
    }

    fn entry_cells(&self) -> Option<Cells<3, 1>> {
        let Self::Entry(row) = self else {
            return None;
        };
        Some(Cells {
            numbers: [row.parent, row.ino, row.cookie],
            texts: [row.name.clone()],
        })
    }

    fn xattr_cells(&self) -> Option<Cells<1, 2>> {
        let Self::Xattr(row) = self else {
            return None;
        };
        Some(Cells {
            numbers: [row.ino],
            texts: [row.name.clone(), row.value.clone()],
        })
    }
}

fn inode_of(cells: Cells<16, 1>) -> Option<Row> {
    let Cells { numbers, texts } = cells;
    let [
        ino,
        mode,
        uid,
        gid,
        nlink,
        size,
        allocated,
        rdev,
        parent,
        cookie,
        times @ ..,
    ] = numbers;
    let [target] = texts;
    let time = |at: usize| Some((times[at].cast_signed(), u32::try_from(times[at + 1]).ok()?));
    Some(Row::Inode(InodeRow {
        ino,
        mode: u32::try_from(mode).ok()?,
        uid: u32::try_from(uid).ok()?,
        gid: u32::try_from(gid).ok()?,
        nlink: u32::try_from(nlink).ok()?,
        size,
        allocated,
        rdev: u32::try_from(rdev).ok()?,
        parent,
        cookie,
        atime: time(0)?,
        mtime: time(2)?,
        ctime: time(4)?,
        target,
    }))
}

fn entry_of(cells: Cells<3, 1>) -> Option<Row> {
    let [parent, ino, cookie] = cells.numbers;
    let [name] = cells.texts;
    Some(Row::Entry(EntryRow {
        parent,
        name,
        ino,
        cookie,
    }))
}

fn xattr_of(cells: Cells<1, 2>) -> Option<Row> {
    let [ino] = cells.numbers;
    let [name, value] = cells.texts;
    Some(Row::Xattr(XattrRow { ino, name, value }))
}

fn extent_of(cells: &Cells<10, 0>, packs: &[ObjectId]) -> Option<Row> {
    let [
        ino,
        off,
        len,
        chunk_off,
        pack,
        piece,
        offset,
        stored_len,
        plain,
        packing,
    ] = cells.numbers;
    let place = Place {
        pack: *packs.get(usize::try_from(pack).ok()?)?,
        piece: u32::try_from(piece).ok()?,
        offset: u32::try_from(offset).ok()?,
        stored_len: u32::try_from(stored_len).ok()?,
        len: u32::try_from(plain).ok()?,
        packing: Packing::from_raw(u8::try_from(packing).ok()?)?,
    };
    let is_within = chunk_off.checked_add(len)? <= place.len.into() && len > 0;
    (is_within && place.is_possible()).then_some(Row::Extent(PlacedRow {
        ino,
        off,
        len,
        chunk_off,
        place,
    }))
}

/// A run that is being read.
#[derive(Debug)]
pub struct RunReader {
    bytes: Vec<u8>,
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

    /// The extents of a block; none of one of another table, which is not looked at.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn extents(&self, number: usize) -> Result<Vec<Row>> {
        let block = self.trailer.blocks.get(number);
        if block.is_some_and(|block| block.table != Table::Extent) {
            return Ok(Vec::new());
        }
        self.block(number)
    }

    /// The rows of a block.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn block(&self, number: usize) -> Result<Vec<Row>> {
        let damaged = || Error::damaged(&self.key, format!("block {number} cannot be read"));
        let at = self.trailer.blocks.get(number).ok_or_else(damaged)?;
        let end = at.offset.checked_add(at.bytes).ok_or_else(damaged)?;
        let sealed = self.bytes.get(at.offset..end).ok_or_else(damaged)?;
        let block = self.opener.piece(number as u64, sealed)?;
        self.trailer.rows(at, &block).ok_or_else(damaged)
    }
}

impl Trailer {
    /// The rows of a block; `None` when it is none of these.
    pub(super) fn rows(&self, at: &BlockPlace, block: &[u8]) -> Option<Vec<Row>> {
        match at.table {
            Table::Inode => each(block::decode(block, at.rows)?, inode_of),
            Table::Entry => each(block::decode(block, at.rows)?, entry_of),
            Table::Xattr => each(block::decode(block, at.rows)?, xattr_of),
            Table::Extent => each(block::decode(block, at.rows)?, |cells| {
                extent_of(&cells, &self.packs)
            }),
        }
    }
}

fn each<T>(cells: Vec<T>, row: impl Fn(T) -> Option<Row>) -> Option<Vec<Row>> {
    cells.into_iter().map(row).collect()
}

/// The name of a run in the store.
pub(super) fn run_key(id: &ObjectId) -> Key {
    id.key_below("run")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Memory;

    fn place(number: u32) -> Place {
        Place {
            pack: ObjectId::from_bytes([u8::try_from(number / 100).unwrap(); 32]),
            piece: number,
            offset: 64 + 4112 * number,
            stored_len: 4096,
            len: 4096,
            packing: Packing::Plain,
        }
    }

    fn rows() -> Vec<Row> {
        let inode = |ino| {
            Row::Inode(InodeRow {
                ino,
                mode: 0o100_644,
                uid: 1000,
                gid: u32::MAX,
                nlink: 1,
                size: i64::MAX.cast_unsigned(),
                allocated: ino * 7,
                rdev: 0,
                parent: 1,
                cookie: ino + 1,
                atime: (-1, 999_999_999),
                mtime: (1 << 40, 0),
                ctime: (0, 1),
                target: b"t".repeat(usize::try_from(ino % 3).unwrap()),
            })
        };
        let entry = |ino: u64| {
            Row::Entry(EntryRow {
                parent: 1,
                name: format!("\u{0}ÿ{ino}").into_bytes(),
                ino,
                cookie: ino + 1,
            })
        };
        let extent = |ino| {
            Row::Extent(PlacedRow {
                ino,
                off: 8192,
                len: 4095,
                chunk_off: 1,
                place: place(u32::try_from(ino).unwrap()),
            })
        };
        let xattr = |ino| {
            Row::Xattr(XattrRow {
                ino,
                name: b"user.a".to_vec(),
                value: vec![0xff; 40_000],
            })
        };
        (1..3000)
            .map(inode)
            .chain((1..3000).map(entry))
            .chain((1..3000).map(extent))
            .chain((1..60).map(xattr))
            .collect()
    }

    #[test]
    fn rows_come_back_and_damage_is_found() {
        let master = MasterKey::random().unwrap();
        let mut writer = RunWriter::begin(&master).unwrap();
        for row in rows() {
            writer.push(row).unwrap();
        }
        let (id, bytes) = writer.finish().unwrap();
        let shelf = Memory::default();
        shelf.put(&run_key(&id), bytes.clone().into()).unwrap();
        let run = RunReader::open(&shelf, &master, &id).unwrap();
        let blocks = (0..run.blocks()).map(|number| run.block(number).unwrap());
        assert_eq!(blocks.flatten().collect::<Vec<_>>(), rows());
        for at in (0..bytes.len()).step_by(97) {
            shelf.damage(&run_key(&id), |bytes| bytes[at] ^= 1);
            let read = RunReader::open(&shelf, &master, &id)
                .and_then(|run| (0..run.blocks()).try_for_each(|n| run.block(n).map(drop)));
            assert!(read.is_err(), "byte {at}");
            shelf.damage(&run_key(&id), |bytes| bytes[at] ^= 1);
        }
    }
}
