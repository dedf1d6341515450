//! Defragmenting: the data of a file that has been quiet for a while is put together again.
//!
//! Random writes and small appends leave a file in many small extents. Here each run of them within one chunk's
//! length becomes one chunk, that is found by its hash: reads are sequential again, the table is small, and equal
//! files share their chunks. Data that snapshots or other files share is left as it is: it would be there twice.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use crate::chunks::{NewChunk, Stream};
use crate::meta::{Copies, ExtentRow, Sharing, StoredExtent, WriteTx};
use crate::types::{ChunkId, Ino, Location, MAX_FILE_BYTES};
use crate::volume::core::Core;
use crate::volume::data::extents::chunk_row;
use crate::volume::data::read::{Wait, read_stored};
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;
use crate::volume::space::dedup::share_equal;
use crate::volume::space::quiet::REST_MAX;
use crate::volume::space::quiet::{Defragmented, Disturb, is_busy, is_quiet};
use crate::volume::wanted::go_on;

/// A file in fewer extents is left alone.
const EXTENTS_MIN: u64 = 4;
/// Files that are looked at, and extents of one, at a time.
const FILES: usize = 512;
const EXTENTS: usize = 1024;
/// Runs that one transaction puts together.
const RUNS: usize = 8;

/// Extents that lie side by side within one chunk's length.
struct Run {
    extents: Vec<ExtentRow>,
}

/// A run, where its bytes were, and they themselves.
struct ReadRun<'r> {
    run: &'r Run,
    places: Vec<StoredExtent>,
    bytes: Vec<u8>,
}

impl Run {
    fn range(&self) -> Range<u64> {
        let start = self.extents.first().map_or(0, |extent| extent.off);
        start..self.extents.last().map_or(0, ExtentRow::end)
    }
}

/// As [`crate::volume::Volume::defragment`].
pub(super) fn defragment_all(core: &Core) -> Result<Defragmented> {
    defragment(core, Disturb::All)
}

/// Looks at every file; ends early when the volume closes or writers need the collector.
pub(in crate::volume) fn defragment(core: &Core, disturb: Disturb) -> Result<Defragmented> {
    // Two at once would put the same runs together, each for itself.
    let _alone = core.gc().begin_defragmenting();
    let mut done = Defragmented::default();
    defragment_files(core, disturb, &mut done)?;
    // What is put together is indexed by then.
    share_equal(core, disturb, &mut done)?;
    Ok(done)
}

fn defragment_files(core: &Core, disturb: Disturb, done: &mut Defragmented) -> Result<()> {
    let mut after = Ino::from_raw(0);
    loop {
        let tx = core.database().read_long()?;
        let found = tx.fragmented(after, FILES, core.chunk_bytes(), EXTENTS_MIN)?;
        // Before anything is written (invariant 5).
        drop(tx);
        let Some((files, last)) = found else {
            return Ok(());
        };
        after = last;
        for file in files {
            if core.gc().is_closing() || is_busy(core, disturb) {
                return Ok(());
            }
            go_on()?;
            if disturb == Disturb::Quiet && !is_quiet(core, file)? {
                done.restless += 1;
                continue;
            }
            let extents = defragment_file(core, file, disturb)?;
            done.extents += extents;
            done.files += u64::from(extents > 0);
        }
    }
}

/// Returns how many extents the file has less.
fn defragment_file(core: &Core, ino: Ino, disturb: Disturb) -> Result<u64> {
    let (mut from, mut fewer) = (0, 0);
    loop {
        let range = from..MAX_FILE_BYTES;
        let tx = core.database().read_beside()?;
        let extents = tx.extents(ino, &range, EXTENTS)?;
        drop(tx);
        let whole = extents.len() < EXTENTS;
        let (runs, next) = runs(&extents, u64::from(core.chunk_bytes().get()), whole);
        for runs in runs.chunks(RUNS) {
            if core.gc().is_closing() {
                return Ok(fewer);
            }
            go_on()?;
            let began = Instant::now();
            fewer += put_together(core, ino, runs)?;
            if disturb == Disturb::Quiet {
                core.gc().pause(began.elapsed().min(REST_MAX));
            }
        }
        match next {
            Some(next) if next > from => from = next,
            _ => return Ok(fewer),
        }
    }
}

/// Reads each run, appends it as one chunk, makes that durable and names it in place of the run.
fn put_together(core: &Core, ino: Ino, runs: &[Run]) -> Result<u64> {
    let mut read = Vec::with_capacity(runs.len());
    for run in runs {
        match read_run(core, ino, run) {
            Ok(content) => read.extend(content),
            // It is damaged, or gone: whoever reads it is told.
            Err(Error::Corrupt(_) | Error::NotFound) => {}
            // It comes in the background, or nobody needs it.
            Err(Error::Elsewhere) => {}
            Err(error) => return Err(error),
        }
    }
    let chunks: Vec<_> = read.iter().map(|run| packed(core, &run.bytes)).collect();
    let placed = core
        .chunks()
        .append(Stream::Moved, &chunks.iter().collect::<Vec<_>>())?;
    core.disk().sync_stream(Stream::Moved)?;
    debug_assert!(
        core.chunks().has_whole(&placed),
        "invariant 1: a row would name bytes that are not in their segment"
    );
    core.metadata().change(Space::Frees, |tx| {
        let mut fewer = 0;
        for ((run, chunk), at) in read.iter().zip(&chunks).zip(&placed.places) {
            fewer += replace(tx, ino, run, chunk, *at)?;
        }
        Ok(fewer)
    })
}

/// The bytes of a run; `None` if it changed meanwhile.
fn read_run<'r>(core: &Core, ino: Ino, run: &'r Run) -> Result<Option<ReadRun<'r>>> {
    let range = run.range();
    let len = range.end - range.start;
    // Before the bytes: what is written between the two is noticed.
    let places = core.database().read()?.stored_extents(ino, &range)?;
    // It may be here in a cache, and be read: the volume is not to keep it for that.
    if places.iter().any(|one| one.at.is_elsewhere()) {
        return Err(Error::Elsewhere);
    }
    let wanted = usize::try_from(len).unwrap_or(0);
    let bytes = read_stored(core, ino, range.start, wanted, Wait::Never)?;
    let whole = bytes.len() as u64 == len;
    Ok(whole.then_some(ReadRun { run, places, bytes }))
}

/// The chunk of these bytes, as it is to be stored.
pub(super) fn packed<'a>(core: &Core, bytes: &'a [u8]) -> NewChunk<'a> {
    let mut chunk = NewChunk::of(bytes);
    core.compression().pack(&mut chunk);
    chunk
}

/// Maps the run to the chunk, if the run is still what was read and nobody shares it.
fn replace(
    tx: &mut WriteTx<'_>,
    ino: Ino,
    ReadRun { run, places, .. }: &ReadRun<'_>,
    chunk: &NewChunk<'_>,
    at: Location,
) -> Result<u64> {
    let range = run.range();
    // A copy that is under way will share them.
    if tx.has_copies(Copies::From(ino))? {
        return Ok(0);
    }
    let found = tx.extents(ino, &range, run.extents.len() + 1)?;
    if found != run.extents || is_shared(tx, &found)? {
        return Ok(0);
    }
    // Rows that look the same are not enough: the number of a chunk that is gone is given to the next.
    if tx.stored_extents(ino, &range)? != *places {
        return Ok(0);
    }
    let cleared = tx.clear_range(ino, &range, usize::MAX)?;
    let id = chunk_row(tx, chunk, || Ok(at), Sharing::Indexed)?;
    let born = tx.epoch();
    tx.put_extent(
        ino,
        &ExtentRow {
            off: range.start,
            len: range.end - range.start,
            born,
            chunk: id,
            chunk_off: 0,
        },
    )?;
    Ok((cleared.rows as u64).saturating_sub(1))
}

/// Whether a snapshot or another file, or another part of this one, names a chunk of these.
fn is_shared(tx: &WriteTx<'_>, extents: &[ExtentRow]) -> Result<bool> {
    let mut named: HashMap<ChunkId, u64> = HashMap::new();
    for extent in extents {
        *named.entry(extent.chunk).or_default() += 1;
    }
    for (chunk, here) in named {
        if tx.chunk_refs(chunk)? > here {
            return Ok(true);
        }
    }
    Ok(extents.iter().any(|extent| tx.is_seen_by_snapshot(extent)))
}

/// The runs of two extents and more, and where to go on; extents that may have a neighbour behind the last are
/// left for then.
fn runs(extents: &[ExtentRow], chunk: u64, whole: bool) -> (Vec<Run>, Option<u64>) {
    let mut runs: Vec<Run> = Vec::new();
    for extent in extents {
        let joins = runs.last().is_some_and(|run| {
            let range = run.range();
            range.end == extent.off && range.start / chunk == (extent.end() - 1) / chunk
        });
        match runs.last_mut() {
            Some(run) if joins => run.extents.push(*extent),
            _ => runs.push(Run {
                extents: vec![*extent],
            }),
        }
    }
    let next = match (whole, runs.len()) {
        (true, _) => None,
        // More than is looked at in one go: the rest is for another time.
        (false, 1) => runs.last().map(|run| run.range().end),
        (false, _) => runs.pop().map(|run| run.range().start),
    };
    runs.retain(|run| run.extents.len() > 1);
    (runs, next)
}
