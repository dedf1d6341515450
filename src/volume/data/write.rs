//! Writing data: cut, hashed and appended first, then one transaction that maps it.

use std::cell::RefCell;

use crate::chunks::{NewChunk, Piece, Placed, Stream, cut};
use crate::meta::{Copies, ExtentRow, Inode, Sharing, WriteTx};
use crate::types::{Caller, Location, MAX_FILE_BYTES, Timestamp};
use crate::volume::change::change_for;
use crate::volume::core::Core;
use crate::volume::data::extents::{chunk_row, clear, file};
use crate::volume::data::incoming::{SetIdBits, Write, WriteOrigin};
use crate::volume::durability::copying::finish_copies;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;
use crate::volume::ops::privilege::clear_for_anyone;
use crate::volume::space::compression::Packing;

/// Chunks below this are not looked up by their hash: most of them are overwritten soon, and the index
/// costs a random page each (design: 61 us against 39 us a random 4 KiB overwrite).
pub(in crate::volume) const SHARED_BYTES_MIN: usize = 16 * 1024;

/// A write that is ready to be mapped.
struct Prepared<'a> {
    pieces: Vec<Ready<'a>>,
    /// The segments of what was appended stay until the rows that name it are committed.
    appended: RefCell<Vec<Placed>>,
}

/// A piece of a write that is ready to be mapped.
struct Ready<'a> {
    piece: Piece<'a>,
    content: Content<'a>,
}

enum Content<'a> {
    /// All zeros: a hole says the same.
    Zeros,
    /// A chunk; where it was appended, unless an equal one was there.
    Chunk(NewChunk<'a>, Option<Location>),
}

/// Stores what is written: chunks first, then the one transaction that maps them (invariant 1). Who is to be told of a
/// refusal is not the matter here.
pub(in crate::volume) fn store_data(core: &Core, write: &Write<'_>) -> Result<()> {
    let Write {
        ino,
        offset,
        data,
        origin,
        bits,
    } = *write;
    let end = offset
        .checked_add(data.len() as u64)
        .filter(|&end| end <= MAX_FILE_BYTES);
    let end = end.ok_or(Error::FileTooLarge)?;
    if data.is_empty() {
        return Ok(());
    }
    // What a copy still reads does not change under it, and what it still writes is not older than this (invariant 13).
    let in_the_way = [Copies::From(ino), Copies::Into(ino)];
    finish_copies(core, &in_the_way)?;
    // Before anything is appended: what is refused shall leave no dead bytes on a disk that is full.
    core.metadata().check_space()?;
    let prepared = prepare(core, offset, data)?;
    let caller = match bits {
        SetIdBits::Clear(caller) => caller,
        SetIdBits::Keep => Caller::root(),
    };
    change_for(core, &caller, Space::Needs, |tx, privileges| {
        let mut inode = file(tx, ino)?;
        let before = inode;
        for ready in &prepared.pieces {
            map(core, tx, &mut inode, ready, &prepared)?;
        }
        inode.attr.size = inode.attr.size.max(end);
        if origin == WriteOrigin::Caller {
            inode.attr.mtime = Timestamp::now();
            inode.attr.ctime = inode.attr.mtime;
        }
        if let SetIdBits::Clear(_) = bits {
            clear_for_anyone(tx, privileges, &mut inode)?;
        }
        if inode != before || tx.is_kept(&inode) {
            tx.update_inode(&mut inode)?;
        }
        Ok(())
    })
}

/// Hashes the pieces of a write and appends those that are not stored yet, outside any transaction.
fn prepare<'a>(core: &Core, offset: u64, data: &'a [u8]) -> Result<Prepared<'a>> {
    let mut ready: Vec<_> = cut(offset, data, core.chunk_bytes())
        .map(|piece| Ready {
            piece,
            content: content_of(piece.data),
        })
        .collect();
    // Only a guess: a chunk that is found here may be gone when its row is named, which `map` sees.
    let known = find_known(core, &ready)?;
    for (ready, _) in ready.iter_mut().zip(&known).filter(|(_, known)| !**known) {
        ready.pack(core.compression());
    }
    let unknown = ready.iter().zip(known).filter(|(_, known)| !known);
    let fresh: Vec<_> = unknown.filter_map(|(ready, _)| ready.chunk()).collect();
    let hashes: Vec<_> = fresh.iter().map(|chunk| chunk.hash).collect();
    core.gc()
        .admit(fresh.iter().map(|chunk| chunk.data.len() as u64).sum());
    let appended = core.chunks().append(Stream::Fresh, &fresh)?;
    let mut placed = hashes.into_iter().zip(&appended.places).peekable();
    for ready in &mut ready {
        if let Content::Chunk(chunk, at) = &mut ready.content {
            *at = placed
                .next_if(|(hash, _)| *hash == chunk.hash)
                .map(|(_, at)| *at);
        }
    }
    drop(placed);
    Ok(Prepared {
        pieces: ready,
        appended: RefCell::new(vec![appended]),
    })
}

/// For each piece whether a chunk with its content is stored already.
fn find_known(core: &Core, ready: &[Ready<'_>]) -> Result<Vec<bool>> {
    if !ready
        .iter()
        .any(|ready| sharing_of(ready) == Sharing::Indexed)
    {
        return Ok(vec![false; ready.len()]);
    }
    let tx = core.database().read()?;
    let known = |ready: &Ready<'_>| match &ready.content {
        Content::Chunk(chunk, _) if sharing_of(ready) == Sharing::Indexed => {
            Ok(tx.find_chunk(&chunk.hash)?.is_some())
        }
        _ => Ok(false),
    };
    ready.iter().map(known).collect()
}

fn append_one(core: &Core, chunk: &NewChunk<'_>, prepared: &Prepared<'_>) -> Result<Location> {
    let placed = core.chunks().append(Stream::Fresh, &[chunk])?;
    let place = placed.places.first().copied();
    prepared.appended.borrow_mut().push(placed);
    place.ok_or_else(|| Error::bug("a chunk was not placed"))
}

/// Maps one piece in place of what is there.
fn map(
    core: &Core,
    tx: &mut WriteTx<'_>,
    inode: &mut Inode,
    ready: &Ready<'_>,
    prepared: &Prepared<'_>,
) -> Result<()> {
    let Piece { offset, data } = ready.piece;
    let len = data.len() as u64;
    clear(tx, inode, &(offset..offset + len))?;
    let Content::Chunk(chunk, at) = &ready.content else {
        return Ok(());
    };
    let place = || match at {
        Some(at) => Ok(*at),
        // The equal chunk that was there a moment ago is gone by now.
        None => append_one(core, chunk, prepared),
    };
    let id = chunk_row(tx, chunk, place, sharing_of(ready))?;
    let born = tx.epoch();
    let extent = ExtentRow {
        off: offset,
        len,
        born,
        chunk: id,
        chunk_off: 0,
    };
    tx.put_extent(inode.attr.ino, &extent)?;
    inode.attr.allocated += len;
    Ok(())
}

impl<'a> Ready<'a> {
    fn pack(&mut self, packing: &Packing) {
        if let Content::Chunk(chunk, _) = &mut self.content {
            packing.pack(chunk);
        }
    }

    fn chunk(&self) -> Option<&NewChunk<'a>> {
        match &self.content {
            Content::Zeros => None,
            Content::Chunk(chunk, _) => Some(chunk),
        }
    }
}

fn sharing_of(ready: &Ready<'_>) -> Sharing {
    if ready.piece.data.len() >= SHARED_BYTES_MIN {
        Sharing::Indexed
    } else {
        Sharing::Unindexed
    }
}

fn content_of(data: &[u8]) -> Content<'_> {
    if is_zero(data) {
        Content::Zeros
    } else {
        Content::Chunk(NewChunk::of(data), None)
    }
}

/// Whether all bytes are zero; the first that is not ends the search.
fn is_zero(data: &[u8]) -> bool {
    let (blocks, rest) = data.as_chunks::<64>();
    blocks
        .iter()
        .all(|block| block.iter().fold(0, |any, &byte| any | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_zeros_count_as_a_hole() {
        let mut data = vec![0; 1000];
        assert!(is_zero(&data) && is_zero(&[]));
        for at in [0, 63, 64, 500, 999] {
            data[at] = 1;
            assert!(!is_zero(&data), "{at}");
            data[at] = 0;
        }
    }
}
