//! Rows as cells of blocks, and back. What is gone has its key, and nothing else.

use super::row::{PlacedRow, Row, RunRow, Table};
use crate::remote::block::Cells;
use crate::remote::object::ObjectId;
use crate::remote::place::{Packing, Place};
use crate::types::{EntryRow, InodeRow, XattrRow};

impl RunRow {
    pub(super) fn inode_cells(&self) -> Option<Cells<16, 1>> {
        match self {
            Self::Put(row) => row.inode_cells(),
            Self::Gone(_, (ino, _)) => {
                let mut numbers = [0; 16];
                numbers[0] = *ino;
                Some(Cells {
                    numbers,
                    texts: [Vec::new()],
                })
            }
        }
    }

    pub(super) fn entry_cells(&self) -> Option<Cells<3, 1>> {
        match self {
            Self::Put(row) => row.entry_cells(),
            Self::Gone(_, (parent, name)) => Some(Cells {
                numbers: [*parent, 0, 0],
                texts: [name.clone()],
            }),
        }
    }

    pub(super) fn xattr_cells(&self) -> Option<Cells<1, 2>> {
        match self {
            Self::Put(row) => row.xattr_cells(),
            Self::Gone(_, (ino, name)) => Some(Cells {
                numbers: [*ino],
                texts: [name.clone(), Vec::new()],
            }),
        }
    }

    /// Of an extent, whose pack has this number.
    pub(super) fn extent_cells(
        &self,
        mut pack: impl FnMut(ObjectId) -> u64,
    ) -> Option<Cells<10, 0>> {
        let mut numbers = [0; 10];
        match self {
            Self::Put(Row::Extent(row)) => {
                let place = &row.place;
                numbers = [
                    row.ino,
                    row.off,
                    row.len,
                    row.chunk_off,
                    pack(place.pack),
                    place.piece.into(),
                    place.offset.into(),
                    place.stored_len.into(),
                    place.len.into(),
                    place.packing.to_raw().into(),
                ];
            }
            Self::Put(_) => return None,
            Self::Gone(_, (ino, off)) => {
                numbers[0] = *ino;
                numbers[1] = u64::from_be_bytes(off.as_slice().try_into().ok()?);
            }
        }
        Some(Cells { numbers, texts: [] })
    }
}

/// The key of what is gone, by its cells.
pub(super) fn gone<const N: usize, const T: usize>(
    table: Table,
    cells: Cells<N, T>,
) -> Option<RunRow> {
    let number = *cells.numbers.first()?;
    let rest = match table {
        Table::Inode => Vec::new(),
        Table::Extent => cells.numbers.get(1)?.to_be_bytes().to_vec(),
        Table::Entry | Table::Xattr => cells.texts.into_iter().next()?,
    };
    Some(RunRow::Gone(table, (number, rest)))
}

impl Row {
    pub(super) fn inode_cells(&self) -> Option<Cells<16, 1>> {
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

    pub(super) fn entry_cells(&self) -> Option<Cells<3, 1>> {
        let Self::Entry(row) = self else {
            return None;
        };
        Some(Cells {
            numbers: [row.parent, row.ino, row.cookie],
            texts: [row.name.clone()],
        })
    }

    pub(super) fn xattr_cells(&self) -> Option<Cells<1, 2>> {
        let Self::Xattr(row) = self else {
            return None;
        };
        Some(Cells {
            numbers: [row.ino],
            texts: [row.name.clone(), row.value.clone()],
        })
    }
}

pub(super) fn inode_of(cells: Cells<16, 1>) -> Option<Row> {
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

pub(super) fn entry_of(cells: Cells<3, 1>) -> Option<Row> {
    let [parent, ino, cookie] = cells.numbers;
    let [name] = cells.texts;
    Some(Row::Entry(EntryRow {
        parent,
        name,
        ino,
        cookie,
    }))
}

pub(super) fn xattr_of(cells: Cells<1, 2>) -> Option<Row> {
    let [ino] = cells.numbers;
    let [name, value] = cells.texts;
    Some(Row::Xattr(XattrRow { ino, name, value }))
}

pub(super) fn extent_of(cells: &Cells<10, 0>, packs: &[ObjectId]) -> Option<Row> {
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
