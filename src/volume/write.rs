//! Writing data: cut, hashed and appended first, then one transaction that maps it.

use std::cell::RefCell;

use super::core::{Core, Space, inode};
use super::packing::Packing;
use super::privilege::clear_for_anyone;
use super::setattr::clear;
use super::{Error, Result, Volume};
use crate::chunks::{NewChunk, Piece, Placed, Stream, cut};
use crate::meta::{ChunkRow, Copies, ExtentRow, Inode, Sharing, WriteTx};
use crate::types::{Caller, ChunkId, FileKind, Ino, Location, MAX_FILE_BYTES, Timestamp};

/// Chunks below this are not looked up by their hash: most of them are overwritten soon, and the index
/// costs a random page each (design: 61 us against 39 us a random 4 KiB overwrite).
pub(super) const SHARED_BYTES_MIN: usize = 16 * 1024;

/// Where a write comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrigin {
    /// From the kernel's page cache, which also owns the file's times.
    PageCache,
    /// From a caller directly: the file's times change now.
    Caller,
}

/// What becomes of set-user-ID, set-group-ID and file capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetIdBits {
    /// They stay.
    Keep,
    /// They are cleared, as a write by this caller without CAP_FSETID does (inode(7)).
    Clear(Caller),
}

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

impl Volume {
    /// Writes `data` at `offset`, extending the file if needed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::FileTooLarge`], [`Error::NoSpace`], I/O
    /// errors. Nothing of the write is seen then.
    pub fn write(
        &self,
        ino: Ino,
        offset: u64,
        data: &[u8],
        origin: WriteOrigin,
        bits: SetIdBits,
    ) -> Result<()> {
        let _under_way = self.core.arrivals.begin();
        self.core.headroom.spend(data.len() as u64);
        let _order = self.core.refused.order(ino);
        let done = self.core.write(ino, offset, data, origin, bits);
        match origin {
            WriteOrigin::PageCache => self.core.note_outcome(ino, offset, data, &done),
            WriteOrigin::Caller if done.is_ok() => {
                self.core
                    .settle_refused(ino, &(offset..offset + data.len() as u64));
            }
            // Whoever wrote hears of it.
            WriteOrigin::Caller => {}
        }
        done
    }
}

impl Core {
    /// As [`Volume::write`]; what the kernel would be told of is not noted.
    pub(super) fn write(
        &self,
        ino: Ino,
        offset: u64,
        data: &[u8],
        origin: WriteOrigin,
        bits: SetIdBits,
    ) -> Result<()> {
        let end = offset
            .checked_add(data.len() as u64)
            .filter(|&end| end <= MAX_FILE_BYTES);
        let end = end.ok_or(Error::FileTooLarge)?;
        if data.is_empty() {
            return Ok(());
        }
        let in_the_way = [Copies::From(ino), Copies::Into(ino)];
        self.finish_copies(&in_the_way)?;
        self.check_space()?;
        let prepared = self.prepare(offset, data)?;
        let caller = match bits {
            SetIdBits::Clear(caller) => caller,
            SetIdBits::Keep => Caller::root(),
        };
        self.change_for(&caller, Space::Needs, |tx, privileges| {
            let mut inode = file(tx, ino)?;
            let before = inode;
            for ready in &prepared.pieces {
                self.map(tx, &mut inode, ready, &prepared)?;
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
}

/// The regular file `ino`.
pub(super) fn file(tx: &WriteTx<'_>, ino: Ino) -> Result<Inode> {
    let inode = inode(tx, ino)?;
    match inode.attr.kind {
        FileKind::File => Ok(inode),
        FileKind::Directory => Err(Error::IsDirectory),
        _ => Err(Error::Invalid),
    }
}

impl Core {
    /// Hashes the pieces of a write and appends those that are not stored yet, outside any transaction.
    fn prepare<'a>(&self, offset: u64, data: &'a [u8]) -> Result<Prepared<'a>> {
        let mut ready: Vec<_> = cut(offset, data, self.chunk_bytes)
            .map(|piece| Ready {
                piece,
                content: content_of(piece.data),
            })
            .collect();
        let known = self.find_known(&ready)?;
        for (ready, _) in ready.iter_mut().zip(&known).filter(|(_, known)| !**known) {
            ready.pack(&self.packing);
        }
        let unknown = ready.iter().zip(known).filter(|(_, known)| !known);
        let fresh: Vec<_> = unknown.filter_map(|(ready, _)| ready.chunk()).collect();
        let hashes: Vec<_> = fresh.iter().map(|chunk| chunk.hash).collect();
        self.collector
            .admit(fresh.iter().map(|chunk| chunk.data.len() as u64).sum());
        let appended = self.store.append(Stream::Fresh, &fresh)?;
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
    fn find_known(&self, ready: &[Ready<'_>]) -> Result<Vec<bool>> {
        if !ready
            .iter()
            .any(|ready| sharing_of(ready) == Sharing::Indexed)
        {
            return Ok(vec![false; ready.len()]);
        }
        let tx = self.database.read()?;
        let known = |ready: &Ready<'_>| match &ready.content {
            Content::Chunk(chunk, _) if sharing_of(ready) == Sharing::Indexed => {
                Ok(tx.find_chunk(&chunk.hash)?.is_some())
            }
            _ => Ok(false),
        };
        ready.iter().map(known).collect()
    }

    fn append_one(&self, chunk: &NewChunk<'_>, prepared: &Prepared<'_>) -> Result<Location> {
        let placed = self.store.append(Stream::Fresh, &[chunk])?;
        let place = placed.places.first().copied();
        prepared.appended.borrow_mut().push(placed);
        place.ok_or_else(|| Error::bug("a chunk was not placed"))
    }

    /// Maps one piece in place of what is there.
    fn map(
        &self,
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
            None => self.append_one(chunk, prepared),
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
}

/// The row of a chunk, with one reference more; `place` says where it is, unless an equal one is there.
pub(super) fn chunk_row(
    tx: &mut WriteTx<'_>,
    chunk: &NewChunk<'_>,
    place: impl FnOnce() -> Result<Location>,
    sharing: Sharing,
) -> Result<ChunkId> {
    if sharing == Sharing::Indexed
        && let Some(id) = tx.find_chunk(&chunk.hash)?
    {
        tx.add_ref(id)?;
        return Ok(id);
    }
    Ok(tx.insert_chunk(&ChunkRow {
        hash: &chunk.hash,
        at: place()?,
        sums: &chunk.sums,
        sharing,
    })?)
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
