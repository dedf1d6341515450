//! Collecting: what is alive is moved out of segments that are mostly dead, and those are unlinked.
//!
//! Safe against an end at any point: the copies are durable before a row names them, the rows are in the
//! database before the old segment goes, and what nothing names is found dead by the next look.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::chunks::{self, Placed, SealedSegment, Stream};
use crate::meta::{InSegment, StoredChunk, Tally};
use crate::types::{ChunkHash, ChunkId, Collected, SegmentId};
use crate::volume::config::Seal;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::history::snapshot::purge;
use crate::volume::metadata::Space;
use crate::volume::space::defragment::{defragment, packed};
use crate::volume::space::gc_policy::{Candidate, Haste, Look};
use crate::volume::space::quiet::Disturb;
use crate::volume::space::reaper::free_ended;
use crate::volume::wanted::go_on;
use crate::volume::watch::Watch;

/// Rows of the chunk table that are looked through at a time.
const SCAN_ROWS: usize = 8192;
/// What moving takes besides the copies: rows, and segments that are not full.
const COPYING_BYTES: u64 = 1024 * 1024;
/// Segments whose counts are read at once.
const COUNTED_AT_ONCE: usize = 512;
/// Chunks, and bytes of them, that are moved at a time.
const STEP_CHUNKS: usize = 128;
const STEP_BYTES: u64 = 128 * 1024;
/// Rows that are changed with the writer held.
const NAMED_AT_ONCE: usize = 8;
/// How long a collection that was asked for waits for files that were removed and may still be open.
const FORGET_MAX: Duration = Duration::from_millis(200);
/// After a step the collector rests as long as it worked, but no longer than this.
const REST_MAX: Duration = Duration::from_millis(50);

/// As [`crate::volume::Volume::collect`].
pub(super) fn collect(core: &Core, watch: Watch<'_>) -> Result<Collected> {
    if core.metadata().seal() == Seal::Sealed {
        return Err(Error::ReadOnly);
    }
    reap_what_ends(core)?;
    purge(core)?;
    go_on()?;
    match defragment(core, Disturb::All) {
        // There may be after what is dead is gone.
        Ok(_) | Err(Error::NoSpace) => {}
        Err(error) => return Err(error),
    }
    core.chunks().seal();
    // What was sealed becomes a candidate with this: a segment with bytes that no sync has covered is none.
    core.disk().sync()?;
    collect_rounds(core, Haste::Asked, watch)
}

/// Frees files without a name, and waits a moment for those of which the kernel has still to say that nobody has
/// them open: it says so a little after they were removed.
fn reap_what_ends(core: &Core) -> Result<()> {
    let until = Instant::now() + FORGET_MAX;
    loop {
        free_ended(core)?;
        if Instant::now() >= until || !core.database().read_once()?.has_orphans()? {
            return Ok(());
        }
        core.gc().pause(Duration::from_millis(5));
    }
}

/// Collects as long as that is due.
pub(in crate::volume) fn collect_rounds(
    core: &Core,
    haste: Haste,
    watch: Watch<'_>,
) -> Result<Collected> {
    let _alone = core.gc().begin_round();
    let mut all = Collected::default();
    if core.gc().is_sealing_due() {
        core.chunks().seal();
    }
    while !core.gc().is_closing() {
        go_on()?;
        let mut seen = look(core)?;
        if seen.has_dead(haste) {
            // A full segment is no victim before it was synced, and writers that never sync fill many.
            core.disk().sync_chunks()?;
            seen = look(core)?;
        }
        let haste = haste.max(urgency(core));
        let done = round(core, &seen, haste, watch)?;
        watch(done.removed_bytes);
        core.gc().note_collected(done);
        all.add(done);
        if done.segments == 0 {
            break;
        }
    }
    // Those who waited see what there is now.
    look(core)?;
    Ok(all)
}

/// Writers that wait need the collector at once, and so does a disk that is full.
fn urgency(core: &Core) -> Haste {
    if core.gc().is_pressed() || !core.metadata().reserve().is_whole() {
        Haste::Pressed
    } else {
        Haste::Idle
    }
}

fn look(core: &Core) -> Result<Look> {
    let appended = core.gc().appended();
    // Before the counts: see `Look::new`.
    let survey = core.chunks().survey()?;
    let live = core.database().with_tally(Tally::record_bytes)?;
    let mut held = Vec::with_capacity(survey.sealed.len());
    // Some at a time: writers wait for it.
    for some in survey.sealed.chunks(COUNTED_AT_ONCE) {
        held.extend(
            core.database()
                .with_tally(|tally| in_segments(tally, some))?,
        );
    }
    let look = Look::new(survey, live, held, core.gc());
    core.gc().looked(&look, appended);
    Ok(look)
}

/// Removes what is dead, and moves what is alive out of the best victims and removes those.
fn round(core: &Core, look: &Look, haste: Haste, watch: Watch<'_>) -> Result<Collected> {
    let mut gone = look.empty();
    // Copies need space, which the reserve is not for.
    let victims = if core.metadata().reserve().is_whole() {
        with_room(core, look.victims(haste))
    } else {
        Vec::new()
    };
    if gone.is_empty() && victims.is_empty() {
        return Ok(Collected::default());
    }
    let moved_bytes = match move_out_of(core, &victims, haste, watch) {
        Ok(bytes) => {
            gone.extend(victims);
            bytes
        }
        // What nothing names makes room for copies.
        Err(Error::NoSpace) if !gone.is_empty() => 0,
        Err(error) => return Err(error),
    };
    let (segments, removed_bytes) = remove(core, &gone)?;
    log::debug!("collected {segments} segments of {removed_bytes} bytes, {moved_bytes} moved");
    Ok(Collected {
        segments,
        removed_bytes,
        moved_bytes,
    })
}

/// The best of these for whose copies there is room: a copy that ends half way gives nothing back.
fn with_room(core: &Core, mut victims: Vec<Candidate>) -> Vec<Candidate> {
    loop {
        let live: u64 = victims.iter().map(|victim| victim.live).sum();
        if victims.is_empty() || core.metadata().reserve().can_have(live + COPYING_BYTES) {
            return victims;
        }
        victims.pop();
    }
}

fn move_out_of(core: &Core, victims: &[Candidate], haste: Haste, watch: Watch<'_>) -> Result<u64> {
    let mut moved = 0;
    if victims.is_empty() {
        return Ok(0);
    }
    let segments = ids(victims);
    let mut after = ChunkId(i64::MIN);
    while let Some((mut found, last)) = next_in(core, &segments, after)? {
        after = last;
        found.sort_by_key(|chunk| (chunk.at.segment, chunk.at.offset));
        for step in steps(&found) {
            if core.gc().is_closing() {
                return Ok(moved);
            }
            go_on()?;
            let (began, seen) = (Instant::now(), core.gc().appended());
            let bytes = move_step(core, step)?;
            moved += bytes;
            watch(bytes);
            rest(core, haste, seen, began.elapsed());
        }
    }
    Ok(moved)
}

/// Leaves the disk and the processor to others for as long as the last step had them, and longer while they write,
/// unless writers wait for space. A user who asks waits for it, too, but not at the cost of those who write.
fn rest(core: &Core, haste: Haste, seen: u64, worked: Duration) {
    let others = core.gc().appended() != seen;
    let hurried = match haste {
        Haste::Idle | Haste::Busy => false,
        Haste::Asked => !others,
        Haste::Pressed => true,
    };
    if !hurried && urgency(core) < Haste::Pressed {
        let share = if others { 6 } else { 1 };
        core.gc().pause((worked * share).min(REST_MAX));
    }
}

fn next_in(
    core: &Core,
    segments: &BTreeSet<SegmentId>,
    after: ChunkId,
) -> Result<Option<(Vec<StoredChunk>, ChunkId)>> {
    let tx = core.database().read_beside()?;
    Ok(tx.chunks_in(segments, after, SCAN_ROWS)?)
}

/// Moves some chunks: copies them, makes the copies durable, and then has the table name those.
fn move_step(core: &Core, step: &[StoredChunk]) -> Result<u64> {
    let mut plain = Vec::with_capacity(step.len());
    for chunk in step {
        match read_whole(core, chunk) {
            Ok(bytes) => plain.push((chunk, bytes)),
            Err(Unreadable::Damaged(error)) => {
                log::error!("{} is left as it is: {error}", chunk.at.segment);
                core.gc().spare(chunk.at.segment);
            }
            Err(Unreadable::Failed(error)) => return Err(error),
        }
    }
    let fresh: Vec<_> = plain.iter().map(|(_, bytes)| packed(core, bytes)).collect();
    let placed = core
        .chunks()
        .append(Stream::Moved, &fresh.iter().collect::<Vec<_>>())?;
    core.disk().sync_stream(Stream::Moved)?;
    debug_assert!(
        core.chunks().has_whole(&placed),
        "invariant 1: a row would name bytes that are not in their segment"
    );
    let moved: Vec<_> = plain.iter().map(|(chunk, _)| *chunk).collect();
    name_copies(core, &moved, &placed)?;
    Ok(placed
        .places
        .iter()
        .map(|at| u64::from(at.stored_len))
        .sum())
}

fn name_copies(core: &Core, chunks: &[&StoredChunk], placed: &Placed) -> Result<()> {
    let moves: Vec<_> = chunks.iter().zip(&placed.places).collect();
    for moves in moves.chunks(NAMED_AT_ONCE) {
        core.metadata().change(Space::Frees, |tx| {
            for (chunk, to) in moves {
                // One that died meanwhile leaves its copy dead, too.
                tx.move_chunk(chunk.id, &chunk.at, to)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn read_whole(core: &Core, chunk: &StoredChunk) -> std::result::Result<Vec<u8>, Unreadable> {
    let mut bytes = vec![0; chunk.at.plain_bytes()];
    match core.chunks().read(&chunk.at, &chunk.sums, 0, &mut bytes) {
        Ok(()) => {}
        Err(error @ (chunks::Error::Corrupt { .. } | chunks::Error::Missing { .. })) => {
            return Err(Unreadable::Damaged(error.to_string()));
        }
        Err(error) => return Err(Unreadable::Failed(error.into())),
    }
    if ChunkHash::of(&bytes) == chunk.hash {
        Ok(bytes)
    } else {
        let place = format!(
            "the bytes at {} are not those of {}",
            chunk.at.offset, chunk.hash
        );
        Err(Unreadable::Damaged(place))
    }
}

/// Removes the segments that nothing names; returns how many, and their bytes.
fn remove(core: &Core, candidates: &[Candidate]) -> Result<(u64, u64)> {
    if core.gc().is_closing() {
        return Ok((0, 0));
    }
    // For good: a row could only be pointed at a sealed segment by a chunk that is found in one by its hash.
    let named = named_of(core, &ids(candidates))?;
    // What is in the log only could be lost with the host's power, and name them again (invariant 10).
    core.disk().checkpoint()?;
    let (mut segments, mut bytes, mut failed) = (0, 0, Ok(()));
    core.gc().unlink(|| {
        for candidate in candidates {
            if named.contains(&candidate.segment.id) {
                continue;
            }
            match core.chunks().remove(candidate.segment.id) {
                Ok(()) => {
                    segments += 1;
                    bytes += candidate.segment.bytes;
                }
                // The others go all the same.
                Err(error) => failed = Err(error.into()),
            }
        }
    });
    failed.map(|()| (segments, bytes))
}

/// Which of these segments the chunk table names: the counts are not taken at their word.
fn named_of(core: &Core, segments: &BTreeSet<SegmentId>) -> Result<BTreeSet<SegmentId>> {
    let mut named = BTreeSet::new();
    let mut after = ChunkId(i64::MIN);
    while let Some((found, last)) = next_in(core, segments, after)? {
        after = last;
        named.extend(found.iter().map(|chunk| chunk.at.segment));
    }
    Ok(named)
}

/// Why a chunk was not read.
enum Unreadable {
    Damaged(String),
    Failed(Error),
}

fn ids(candidates: &[Candidate]) -> BTreeSet<SegmentId> {
    candidates.iter().map(|c| c.segment.id).collect()
}

/// Runs of chunks that are moved at a time.
fn steps(mut chunks: &[StoredChunk]) -> impl Iterator<Item = &[StoredChunk]> {
    std::iter::from_fn(move || {
        let (mut count, mut bytes) = (0, 0);
        for chunk in chunks.iter().take(STEP_CHUNKS) {
            bytes += u64::from(chunk.at.len);
            if count > 0 && bytes > STEP_BYTES {
                break;
            }
            count += 1;
        }
        let (step, rest) = chunks.split_at(count);
        chunks = rest;
        (count > 0).then_some(step)
    })
}

/// What is named in each of these segments.
fn in_segments(tally: &Tally, segments: &[SealedSegment]) -> Vec<InSegment> {
    let held = |segment: &SealedSegment| tally.segments.get(&segment.id).copied();
    segments
        .iter()
        .map(|segment| held(segment).unwrap_or_default())
        .collect()
}
