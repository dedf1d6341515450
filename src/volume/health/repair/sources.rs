//! Chunks that a volume has lost, from where there are copies. Nothing is asked where nothing is lost.

use std::collections::HashMap;

use crate::chunks::{ChunkStore, NewChunk, Stream};
use crate::meta::{StoredChunk, Workpiece};
use crate::types::{ChunkHash, ChunkId};
use crate::volume::chunk_source::ChunkSource;
use crate::volume::error::Result;

/// Rows of chunks that the segments do not hold, by name.
pub(super) type Missing = HashMap<ChunkHash, Vec<StoredChunk>>;

/// Stores chunks of which there are copies, and takes them out of `missing`; a sentence for each place that had some.
pub(super) fn fetch(
    piece: &mut Workpiece,
    store: &ChunkStore,
    missing: &mut Missing,
    sources: &[&dyn ChunkSource],
) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for place in sources {
        if missing.is_empty() {
            break;
        }
        let wanted: Vec<ChunkHash> = missing.keys().copied().collect();
        let mut count = 0_usize;
        place.find(&wanted, &mut |plain| {
            let fresh = NewChunk::of(plain);
            for chunk in missing.remove(&fresh.hash).unwrap_or_default() {
                put(piece, store, (chunk.id, &fresh))?;
                count += 1;
            }
            Ok(())
        })?;
        if count > 0 {
            let from = place.name();
            told.push(format!("data: {count} chunks were fetched from {from}"));
        }
    }
    Ok(told)
}

fn put(
    piece: &mut Workpiece,
    store: &ChunkStore,
    (id, fresh): (ChunkId, &NewChunk<'_>),
) -> Result<()> {
    for at in store.append(Stream::Moved, &[fresh])?.places {
        piece.place_chunk(id, &at, &fresh.sums)?;
    }
    Ok(())
}
