//! Keeping what has come: it is stored like what is written, and its rows tell where; or it is put in the cache.

use std::sync::Arc;

use super::fetcher::{Fetcher, Window};
use crate::chunks::{NewChunk, Stream};
use crate::meta::BroughtChunk;
use crate::volume::core::Core;
use crate::volume::data::sharing_of;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;

/// Rows that are changed with the writer held.
const NAMED_AT_ONCE: usize = 64;

/// Whether chunks are kept. Where there is no room for them they can be read for a while, and are fetched again then.
pub(super) fn keep(core: &Core, window: &Window, plain: &[Arc<[u8]>]) -> bool {
    if let Some(cached) = core.fetcher().and_then(Fetcher::cached) {
        let places = window.iter().map(|(place, _)| place);
        cached.put(core.compression(), places.zip(plain));
        return true;
    }
    match store(core, window, plain) {
        Ok(()) => true,
        Err(Error::NoSpace | Error::OverLimit | Error::ReadOnly) => {
            log::debug!("there is no room to keep what was fetched");
            false
        }
        Err(error) => {
            log::error!("what was fetched cannot be kept: {error}");
            false
        }
    }
}

fn store(core: &Core, window: &Window, plain: &[Arc<[u8]>]) -> Result<()> {
    core.metadata().check_open(Space::Needs)?;
    let fresh: Vec<_> = plain
        .iter()
        .map(|plain| {
            let mut chunk = NewChunk::of(plain);
            core.compression().pack(&mut chunk);
            chunk
        })
        .collect();
    let placed = core
        .chunks()
        .append(Stream::Fresh, &fresh.iter().collect::<Vec<_>>())?;
    debug_assert!(
        core.chunks().has_whole(&placed),
        "invariant 1: a row would name bytes that are not in their segment"
    );
    let rows = window.iter().zip(&fresh).zip(&placed.places);
    let rows: Vec<_> = rows
        .map(|(((from, id), chunk), at)| BroughtChunk {
            id: *id,
            from: *from,
            hash: &chunk.hash,
            at: *at,
            sums: &chunk.sums,
            sharing: sharing_of(chunk.data.len()),
        })
        .collect();
    for some in rows.chunks(NAMED_AT_ONCE) {
        core.metadata().change(Space::Needs, |tx| {
            some.iter()
                .try_for_each(|one| tx.bring_chunk(one).map_err(Error::from))
        })?;
    }
    Ok(())
}
