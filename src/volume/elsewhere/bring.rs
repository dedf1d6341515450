//! Reads of chunks that are elsewhere.

use std::collections::BTreeSet;
use std::time::Instant;

use super::bounds::Bounds;
use super::fetcher::{Fetcher, Window, extends};
use super::readahead::Plan;
use crate::chunks;
use crate::meta::StoredExtent;
use crate::types::{ChunkId, FarPlace, about_to_wait};
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};

/// Rows that are looked through for what comes with a request.
const SPAN: u32 = 512;

/// Reads a part of a chunk that is elsewhere, if it has come a moment ago, or is in the cache.
///
/// # Errors
/// [`chunks::Error::Elsewhere`] when it has to be fetched.
pub(in crate::volume) fn fill(
    core: &Core,
    extent: &StoredExtent,
    start: usize,
    out: &mut [u8],
) -> chunks::Result<()> {
    let place = FarPlace::of(&extent.at, &extent.sums);
    let plain = core
        .fetcher()
        .zip(place)
        .and_then(|(fetcher, place)| fetcher.here(&place));
    let plain = plain.ok_or(chunks::Error::Elsewhere)?;
    let wanted = plain.get(start..start + out.len());
    // Rows may be damaged: what says more of a chunk than there is can never be read.
    let wanted = wanted.ok_or(chunks::Error::Corrupt {
        segment: extent.at.segment,
        offset: extent.at.offset,
        what: "it is shorter than what refers to it",
    })?;
    out.copy_from_slice(wanted);
    Ok(())
}

/// Fetches the chunks of these extents that are elsewhere. Returns when they can be read, or have to be looked up again.
///
/// # Errors
/// [`Error::Remote`], [`Error::Corrupt`] when nobody says where they are, [`Error::Storage`].
pub(in crate::volume) fn bring(
    core: &Core,
    extents: &[StoredExtent],
    bounds: &Bounds<'_>,
) -> Result<()> {
    let fetcher = core.fetcher().ok_or_else(|| {
        Error::Corrupt("a chunk is in a repository, and nothing says in which".to_owned())
    })?;
    about_to_wait();
    let far = extents
        .iter()
        .filter_map(|one| Some((FarPlace::of(&one.at, &one.sums)?, one.chunk)));
    let far: Vec<_> = far.collect();
    let wanted: BTreeSet<FarPlace> = far.iter().map(|(place, _)| *place).collect();
    // Nobody remembers that it failed before.
    fetcher.retry(&wanted);
    let missing = fetcher.wait(&wanted, bounds)?;
    for (place, chunk) in far.iter().filter(|(place, _)| missing.contains(place)) {
        // It may come with what was asked for a moment ago.
        if !fetcher.is_asked_for(place) {
            let plan = fetcher.plan(*chunk);
            let needed = vec![(*place, *chunk)];
            let windows = windows(core, vec![needed], ChunkId(chunk.0 + 1), &plan)?;
            fetcher.ask(plan.stream, windows);
        }
    }
    fetcher.wait(&wanted, bounds).map(drop)
}

/// Until when a read waits that begins now; `None`: for ever.
pub(in crate::volume) fn until(core: &Core) -> Option<Instant> {
    core.fetcher().and_then(Fetcher::until)
}

/// Somebody is about to read these: what follows may be fetched before it is needed.
pub(in crate::volume) fn reached(core: &Core, extents: &[StoredExtent]) {
    if let Some((fetcher, last)) = core.fetcher().zip(extents.last()) {
        fetcher.reached(last.chunk);
    }
}

/// Has fetched what a reader comes to, as planned, from this row on.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Storage`].
pub(super) fn look(core: &Core, fetcher: &Fetcher, from: ChunkId, plan: &Plan) -> Result<()> {
    let found = windows(core, Vec::new(), from, plan);
    // Also where it failed: the reader is not looked for any more.
    let (windows, looked) = match found {
        Ok(windows) => (windows, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    };
    fetcher.ask(plan.stream, windows);
    looked
}

/// What is `found` so far, and what is fetched with it, from this row on.
fn windows(
    core: &Core,
    mut found: Vec<Window>,
    mut from: ChunkId,
    plan: &Plan,
) -> Result<Vec<Window>> {
    let Plan {
        window_bytes,
        windows,
        ..
    } = *plan;
    // Not more than is planned for, and not for long where little of what follows is elsewhere.
    for _ in 0..windows {
        let next = core.database().read()?.far_chunks(from, SPAN)?;
        for one in next.unwrap_or_default() {
            if !extend(&mut found, one, window_bytes) {
                if found.len() == windows {
                    return Ok(found);
                }
                found.push(vec![one]);
            }
        }
        from = ChunkId(from.0 + i64::from(SPAN));
    }
    Ok(found)
}

/// Puts a chunk behind the last, if it comes with it.
fn extend(windows: &mut [Window], (place, id): (FarPlace, ChunkId), bytes: u64) -> bool {
    let Some(window) = windows.last_mut() else {
        return false;
    };
    let fits = extends(window, &place, bytes);
    if fits {
        window.push((place, id));
    }
    fits
}
