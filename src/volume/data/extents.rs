//! Extents and chunk rows of a file, as several operations change them within a transaction.

use std::ops::Range;

use crate::chunks::NewChunk;
use crate::meta::{ChunkRow, Inode, Sharing, WriteTx};
use crate::types::{ChunkId, FileKind, Ino, Location};
use crate::volume::error::{Error, Result};
use crate::volume::metadata::inode;

/// The regular file `ino`.
pub(in crate::volume) fn file(tx: &WriteTx<'_>, ino: Ino) -> Result<Inode> {
    let inode = inode(tx, ino)?;
    match inode.attr.kind {
        FileKind::File => Ok(inode),
        FileKind::Directory => Err(Error::IsDirectory),
        _ => Err(Error::Invalid),
    }
}

/// Unmaps a range of a file and counts what is no longer allocated.
pub(in crate::volume) fn clear(
    tx: &mut WriteTx<'_>,
    inode: &mut Inode,
    range: &Range<u64>,
) -> Result<()> {
    let cleared = tx.clear_range(inode.attr.ino, range, usize::MAX)?;
    // A count that is damaged is for a repair, and keeps nobody from removing.
    inode.attr.allocated = inode.attr.allocated.saturating_sub(cleared.bytes);
    Ok(())
}

/// The row of a chunk, with one reference more; `place` says where it is, unless an equal one is there.
pub(in crate::volume) fn chunk_row(
    tx: &mut WriteTx<'_>,
    chunk: &NewChunk<'_>,
    place: impl FnOnce() -> Result<Location>,
    sharing: Sharing,
) -> Result<ChunkId> {
    // Looked up with the writer held: up to here an equal chunk could come, and go, at any time.
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

/// The part of `run` that lies in a file of `size` bytes, if any.
pub(in crate::volume) fn within(run: Option<Range<u64>>, size: u64) -> Option<Range<u64>> {
    let run = run?;
    (run.start < size).then(|| run.start..run.end.min(size))
}
