//! Equal small chunks: what is too small to be looked up by its hash while it is written is, once it is quiet.
//!
//! A chunk without an equal one gets its place in the hash index, and nothing is rewritten; an extent whose chunk has
//! one names that instead. Each chunk is looked at once.

use std::time::Instant;

use crate::meta::{Candidates, UnindexedExtent, WriteTx};
use crate::types::Ino;
use crate::volume::core::Core;
use crate::volume::data::write::SHARED_BYTES_MIN;
use crate::volume::error::Result;
use crate::volume::metadata::Space;
use crate::volume::space::quiet::{Defragmented, Disturb, REST_MAX, is_busy, is_quiet};
use crate::volume::wanted::go_on;

/// Extents that are looked at in one read, and with the writer held.
const SCAN_EXTENTS: usize = 8192;
const NAMED_AT_ONCE: usize = 64;

/// What became of an extent's chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Indexed,
    Shared,
    /// It changed meanwhile, was dealt with already, or a snapshot sees the extent.
    Left,
}

/// Looks at every small chunk that is not found by its hash; ends early when the volume closes or writers need
/// the collector.
pub(super) fn share_equal(core: &Core, disturb: Disturb, done: &mut Defragmented) -> Result<()> {
    let lone = match disturb {
        Disturb::Quiet => Candidates::New,
        Disturb::All => Candidates::All,
    };
    let mut after = (Ino::from_raw(0), 0);
    loop {
        let tx = core.database().read_long()?;
        let found = tx.unindexed_extents(after, SCAN_EXTENTS, SHARED_BYTES_MIN, lone)?;
        // Before anything is written (invariant 5).
        drop(tx);
        let Some((found, last)) = found else {
            return Ok(());
        };
        after = last;
        let mut found = quiet_ones(core, found, disturb, done)?;
        // Neighbours in the index share its pages.
        found.sort_by(|a, b| a.hash.as_bytes().cmp(b.hash.as_bytes()));
        for some in found.chunks(NAMED_AT_ONCE) {
            if core.gc().is_closing() || is_busy(core, disturb) {
                return Ok(());
            }
            go_on()?;
            let began = Instant::now();
            unite_all(core, some, done)?;
            if disturb == Disturb::Quiet {
                core.gc().pause(began.elapsed().min(REST_MAX));
            }
        }
    }
}

/// Without those of files that changed a moment ago.
fn quiet_ones(
    core: &Core,
    mut found: Vec<UnindexedExtent>,
    disturb: Disturb,
    done: &mut Defragmented,
) -> Result<Vec<UnindexedExtent>> {
    if disturb == Disturb::All {
        return Ok(found);
    }
    let (mut looked_at, mut quiet, mut failed) = (None, false, None);
    found.retain(|lone| {
        if looked_at != Some(lone.ino) {
            looked_at = Some(lone.ino);
            quiet = is_quiet(core, lone.ino).unwrap_or_else(|error| {
                failed = Some(error);
                false
            });
            done.restless += u64::from(!quiet);
        }
        quiet
    });
    failed.map_or(Ok(found), Err)
}

fn unite_all(core: &Core, some: &[UnindexedExtent], done: &mut Defragmented) -> Result<()> {
    let outcomes = core.metadata().change(Space::Frees, |tx| {
        let outcomes = some.iter().map(|lone| unite(tx, lone));
        outcomes.collect::<Result<Vec<_>>>()
    })?;
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count() as u64;
    done.indexed += count(Outcome::Indexed);
    done.shared += count(Outcome::Shared);
    Ok(())
}

fn unite(tx: &mut WriteTx<'_>, lone: &UnindexedExtent) -> Result<Outcome> {
    let UnindexedExtent { ino, extent, hash } = lone;
    let found = tx.extents(*ino, &(extent.off..extent.end()), 2)?;
    // The number of a chunk that is gone may be another's by now, in a row that looks the same.
    if found != [*extent] || tx.chunk_hash(extent.chunk)? != Some(*hash) {
        return Ok(Outcome::Left);
    }
    match tx.find_chunk(hash)? {
        None => {
            tx.index_chunk(extent.chunk)?;
            Ok(Outcome::Indexed)
        }
        Some(equal) if equal == extent.chunk => Ok(Outcome::Left),
        // The snapshot's row would name the old chunk still.
        Some(_) if tx.is_seen_by_snapshot(extent) => {
            tx.leave_apart(extent.chunk)?;
            Ok(Outcome::Left)
        }
        Some(equal) => {
            tx.rename_chunk(*ino, extent, equal)?;
            Ok(Outcome::Shared)
        }
    }
}
