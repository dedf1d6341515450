//! Writing data: cut, hashed and appended first, then one transaction that maps it.

use std::cell::RefCell;

use crate::chunks::{NewChunk, Piece, Placed, Stream, cut};
use crate::meta::{Copies, ExtentRow, Inode, Sharing, WriteTx};
use crate::types::{Attr, Caller, Location, MAX_FILE_BYTES, Timestamp};
use crate::volume::change::{FreeingWait, change_for_within};
use crate::volume::core::Core;
use crate::volume::data::extents::{chunk_row, clear, file};
use crate::volume::data::incoming::{SetIdBits, Write, WriteOrigin};
use crate::volume::durability::copying::finish_copies;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;
use crate::volume::ops::privilege::{Privileges, clear_for_anyone};
use crate::volume::space::compression::Packing;

/// Chunks below this are not looked up by their hash: most of them are overwritten soon, and the index
/// costs a random page each (design: 61 us against 39 us a random 4 KiB overwrite).
pub(in crate::volume) const SHARED_BYTES_MIN: usize = 16 * 1024;

/// Whether a chunk of so many bytes is looked up by its hash.
pub(in crate::volume) const fn sharing_of(bytes: usize) -> Sharing {
    if bytes >= SHARED_BYTES_MIN {
        Sharing::Indexed
    } else {
        Sharing::Unindexed
    }
}

/// Writes that are ready to be mapped.
struct Prepared<'a> {
    writes: Vec<Chunked<'a>>,
    /// The segments of what was appended stay until the rows that name it are committed.
    appended: RefCell<Vec<Placed>>,
}

/// A write, in the pieces that are chunks of their own.
struct Chunked<'a> {
    write: &'a Write<'a>,
    pieces: Vec<Ready<'a>>,
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

/// Stores what is written: chunks first, then the one transaction that maps them (invariant 1). Several writes are stored
/// all or none: they come from the page cache, and leave set-id bits. A full volume is waited for as long as `wait` has
/// left. Who is to be told of a refusal is not the matter here.
pub(in crate::volume) fn store_data(
    core: &Core,
    writes: &[Write<'_>],
    wait: &FreeingWait,
) -> Result<()> {
    debug_assert!(
        writes.len() < 2 || writes.iter().all(Write::is_plain),
        "what differs by caller is stored alone"
    );
    for write in writes {
        if write.range().end > MAX_FILE_BYTES {
            return Err(Error::FileTooLarge);
        }
        // What a copy still reads does not change under it, and what it still writes is not older than this (invariant
        // 13).
        finish_copies(core, &[Copies::From(write.ino), Copies::Into(write.ino)])?;
    }
    if writes.iter().all(|write| write.data.is_empty()) {
        return Ok(());
    }
    // Before anything is appended: what is refused shall leave no dead bytes on a disk that is full.
    core.metadata().check_space()?;
    let prepared = prepare(core, writes)?;
    let caller = match writes.first().map(|write| write.bits) {
        Some(SetIdBits::Clear(caller)) => caller,
        Some(SetIdBits::Keep) | None => Caller::root(),
    };
    change_for_within(core, &caller, Space::Needs, wait, |tx, privileges| {
        let files = prepared.writes.chunk_by(|a, b| a.write.ino == b.write.ino);
        files
            .into_iter()
            .try_for_each(|writes| map_file(core, tx, privileges, writes, &prepared))
    })
}

/// Maps what was written to one file.
fn map_file(
    core: &Core,
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    writes: &[Chunked<'_>],
    prepared: &Prepared<'_>,
) -> Result<()> {
    let Some(first) = writes.first() else {
        return Ok(());
    };
    let mut inode = file(tx, first.write.ino)?;
    let before = inode;
    for Chunked { write, pieces } in writes {
        if write.data.is_empty() {
            continue;
        }
        for ready in pieces {
            map(core, tx, &mut inode, ready, prepared)?;
        }
        inode.attr.size = inode.attr.size.max(write.range().end);
        touch_file(&mut inode.attr, write.origin);
        if let SetIdBits::Clear(_) = write.bits {
            clear_for_anyone(tx, privileges, &mut inode)?;
        }
    }
    if inode != before || tx.is_kept(&inode) {
        tx.update_inode(&mut inode)?;
    }
    Ok(())
}

/// The times of a file that was written.
fn touch_file(attr: &mut Attr, origin: WriteOrigin) {
    let now = match origin {
        WriteOrigin::PageCache => return,
        WriteOrigin::Caller | WriteOrigin::Archive { .. } => Timestamp::now(),
    };
    attr.ctime = now;
    attr.mtime = now;
    if let WriteOrigin::Archive { atime, mtime } = origin {
        (attr.atime, attr.mtime) = (atime, mtime);
    }
}

/// Hashes the pieces of writes and appends those that are not stored yet, outside any transaction. Writes of one file
/// stand together then.
fn prepare<'a>(core: &Core, writes: &'a [Write<'a>]) -> Result<Prepared<'a>> {
    let mut chunked: Vec<_> = writes.iter().map(|write| in_pieces(core, write)).collect();
    chunked.sort_by_key(|chunked| chunked.write.ino);
    let mut ready: Vec<_> = chunked
        .iter_mut()
        .flat_map(|chunked| &mut chunked.pieces)
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
    debug_assert!(
        core.chunks().has_whole(&appended),
        "invariant 1: what is mapped was appended"
    );
    let mut placed = hashes.into_iter().zip(&appended.places).peekable();
    for ready in ready {
        if let Content::Chunk(chunk, at) = &mut ready.content {
            *at = placed
                .next_if(|(hash, _)| *hash == chunk.hash)
                .map(|(_, at)| *at);
        }
    }
    drop(placed);
    Ok(Prepared {
        writes: chunked,
        appended: RefCell::new(vec![appended]),
    })
}

fn in_pieces<'a>(core: &Core, write: &'a Write<'a>) -> Chunked<'a> {
    let pieces = cut(write.offset, write.data, core.chunk_bytes())
        .map(|piece| Ready {
            piece,
            content: content_of(piece.data),
        })
        .collect();
    Chunked { write, pieces }
}

/// For each piece whether a chunk with its content is stored already.
fn find_known(core: &Core, ready: &[&mut Ready<'_>]) -> Result<Vec<bool>> {
    if !ready
        .iter()
        .any(|ready| ready.sharing() == Sharing::Indexed)
    {
        return Ok(vec![false; ready.len()]);
    }
    let tx = core.database().read()?;
    let known = |ready: &Ready<'_>| match &ready.content {
        Content::Chunk(chunk, _) if ready.sharing() == Sharing::Indexed => {
            Ok(tx.find_chunk(&chunk.hash)?.is_some())
        }
        _ => Ok(false),
    };
    ready.iter().map(|ready| known(ready)).collect()
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
    let id = chunk_row(tx, chunk, place, ready.sharing())?;
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

    fn sharing(&self) -> Sharing {
        sharing_of(self.piece.data.len())
    }

    fn chunk(&self) -> Option<&NewChunk<'a>> {
        match &self.content {
            Content::Zeros => None,
            Content::Chunk(chunk, _) => Some(chunk),
        }
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
