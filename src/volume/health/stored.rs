//! Stored chunks, as those who look for damage go through them.

use crate::chunks::{self, ChunkStore};
use crate::meta::StoredChunk;
use crate::types::{ChunkHash, ChunkId, SegmentId};
use crate::volume::core::Core;
use crate::volume::error::Result;

/// At most `limit` chunks after `after`.
pub(super) fn chunks_after(core: &Core, after: ChunkId, limit: usize) -> Result<Vec<StoredChunk>> {
    let tx = core.database().read_beside()?;
    Ok(tx.chunks_from(SegmentId::LOST, 0, after, limit)?)
}

/// Whether the chunk is elsewhere by now, or gone.
pub(super) fn has_moved(core: &Core, chunk: &StoredChunk) -> Result<bool> {
    let before = ChunkId(chunk.id.0 - 1);
    let found = chunks_after(core, before, 1)?;
    let now = found.first().filter(|found| found.id == chunk.id);
    Ok(now.is_none_or(|now| now.at != chunk.at))
}

/// Whether the chunk's bytes are those that it is named for.
pub(super) fn verify(store: &ChunkStore, chunk: &StoredChunk) -> chunks::Result<()> {
    let mut bytes = vec![0; chunk.at.plain_bytes()];
    store.read(&chunk.at, &chunk.sums, 0, &mut bytes)?;
    if ChunkHash::of(&bytes) == chunk.hash {
        return Ok(());
    }
    Err(chunks::Error::Corrupt {
        segment: chunk.at.segment,
        offset: chunk.at.offset,
        what: "the bytes do not have its hash",
    })
}
