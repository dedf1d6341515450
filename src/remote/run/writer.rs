//! Runs that are written.

use std::collections::HashMap;

use super::reader::{BlockPlace, Trailer};
use super::row::{Row, RunRow, Table};
use crate::remote::block::{self, Cells};
use crate::remote::hex;
use crate::remote::object::{Format, Kind, ObjectBuilder, ObjectId};
use crate::remote::seal::{MasterKey, TAG_BYTES};
use crate::remote::{Error, Result};

/// Rows in a block.
const BLOCK_ROWS: usize = 1024;
/// Bytes from which a block is full, whatever rows it has.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes from which a run is full: what is made of it is held in memory.
const RUN_BYTES: usize = 32 * 1024 * 1024;

/// A run that is being written, in the order of its keys.
#[derive(Debug)]
pub struct RunWriter {
    object: ObjectBuilder,
    format: Format,
    trailer: Trailer,
    packs: HashMap<ObjectId, u64>,
    pending: Vec<RunRow>,
    pending_bytes: usize,
}

impl RunWriter {
    /// Begins one.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn begin(master: &MasterKey) -> Result<Self> {
        Self::begin_as(master, Format::Whole)
    }

    /// Begins one of a delta.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn begin_delta(master: &MasterKey) -> Result<Self> {
        Self::begin_as(master, Format::Delta)
    }

    fn begin_as(master: &MasterKey, format: Format) -> Result<Self> {
        Ok(Self {
            object: ObjectBuilder::begin_as(master, Kind::Run, format)?,
            format,
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
        self.tell(RunRow::Put(row))
    }

    /// Adds what a delta tells of a row.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn tell(&mut self, row: RunRow) -> Result<()> {
        let other = |one: &RunRow| one.table() != row.table();
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

    /// Whether nothing was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.trailer.blocks.is_empty()
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
            Table::Inode => self.encode(&rows, |_, row| row.inode_cells()),
            Table::Entry => self.encode(&rows, |_, row| row.entry_cells()),
            Table::Xattr => self.encode(&rows, |_, row| row.xattr_cells()),
            Table::Extent => self.encode(&rows, |run, row| {
                row.extent_cells(|pack| run.pack_number(pack))
            }),
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

    /// Only a delta tells of rows that are gone.
    fn encode<const N: usize, const T: usize>(
        &mut self,
        rows: &[RunRow],
        cells: impl Fn(&mut Self, &RunRow) -> Option<Cells<N, T>>,
    ) -> Option<Vec<u8>> {
        let all: Vec<_> = rows
            .iter()
            .map(|row| cells(self, row))
            .collect::<Option<_>>()?;
        let is_gone = |row: &RunRow| matches!(row, RunRow::Gone(..));
        if self.format == Format::Delta {
            let marks: Vec<u64> = rows.iter().map(|row| is_gone(row).into()).collect();
            return block::encode_marked(&marks, &all);
        }
        debug_assert!(!rows.iter().any(is_gone), "there is nothing below it");
        block::encode(&all)
    }

    fn pack_number(&mut self, pack: ObjectId) -> u64 {
        let packs = &mut self.trailer.packs;
        *self.packs.entry(pack).or_insert_with(|| {
            packs.push(pack);
            packs.len() as u64 - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::run::reader::{RunReader, run_key};
    use crate::remote::run::row::PlacedRow;
    use crate::remote::{Memory, Packing, Place, Shelf as _};
    use crate::types::{EntryRow, InodeRow, XattrRow};

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

    #[test]
    fn what_is_gone_comes_back_as_that() {
        let master = MasterKey::random().unwrap();
        let told: Vec<_> = rows()
            .into_iter()
            .enumerate()
            .map(|(at, row)| match at % 3 {
                0 => RunRow::Gone(row.table(), row.key()),
                _ => RunRow::Put(row),
            })
            .collect();
        let mut writer = RunWriter::begin_delta(&master).unwrap();
        assert!(writer.is_empty());
        told.iter()
            .for_each(|row| writer.tell(row.clone()).unwrap());
        assert!(!writer.is_empty());
        let (id, bytes) = writer.finish().unwrap();
        let shelf = Memory::default();
        shelf.put(&run_key(&id), bytes.into()).unwrap();
        let run = RunReader::open(&shelf, &master, &id).unwrap();
        let blocks = (0..run.blocks()).map(|number| run.told(number).unwrap());
        assert_eq!(blocks.flatten().collect::<Vec<_>>(), told);
        let blocks = (0..run.blocks()).map(|number| run.block(number).unwrap());
        let is_put = |at: &usize| !at.is_multiple_of(3);
        assert_eq!(
            blocks.flatten().count(),
            (0..told.len()).filter(is_put).count()
        );
    }
}
