//! Collecting: what is alive is moved out of segments that are mostly dead, and those are unlinked.
//!
//! Safe against an end at any point: the copies are durable before a row names them, the rows are in the
//! database before the old segment goes, and what nothing names is found dead by the next look.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::collector::{Candidate, Haste, Look};
use super::core::{Core, Space};
use super::settle::Disturb;
use super::{Error, Result, Seal, Volume};
use crate::chunks::{self, Placed, SealedSegment, Stream};
use crate::meta::{InSegment, StoredChunk, Tally};
use crate::types::{ChunkHash, ChunkId, Collected, SegmentId};

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

impl Volume {
    /// Settles files that are in small extents, and gives back the space of all that nothing names any more, as far as that is worth it: afterwards at most
    /// a twentieth of a segment is dead, but for segments that clones share.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] for a sealed volume, [`Error::NoSpace`], I/O errors; what was collected so far stays
    /// so.
    pub fn collect(&self) -> Result<Collected> {
        if self.core.seal == Seal::Sealed {
            return Err(Error::ReadOnly);
        }
        self.reap_what_ends()?;
        self.core.purge()?;
        match self.core.settle(Disturb::All) {
            // There may be after what is dead is gone.
            Ok(_) | Err(Error::NoSpace) => {}
            Err(error) => return Err(error),
        }
        self.core.store.seal();
        self.core.sync()?;
        self.core.collect(Haste::Asked)
    }
}

impl Volume {
    /// Frees files without a name, and waits a moment for those of which the kernel has still to say that nobody has
    /// them open: it says so a little after they were removed.
    fn reap_what_ends(&self) -> Result<()> {
        let until = Instant::now() + FORGET_MAX;
        loop {
            self.reap()?;
            if Instant::now() >= until || !self.core.database.read_once()?.has_orphans()? {
                return Ok(());
            }
            self.core.collector.pause(Duration::from_millis(5));
        }
    }
}

impl Core {
    /// Collects as long as that is due.
    pub(super) fn collect(&self, haste: Haste) -> Result<Collected> {
        let _alone = self.collector.begin_round();
        let mut all = Collected::default();
        if self.collector.is_eager() {
            self.store.seal();
        }
        while !self.collector.is_closing() {
            let mut look = self.look()?;
            if look.has_dead(haste) {
                // A full segment is no victim before it was synced, and writers that never sync fill many.
                self.sync_chunks()?;
                look = self.look()?;
            }
            let haste = haste.max(self.urgency());
            let done = self.round(&look, haste)?;
            all.add(done);
            if done.segments == 0 {
                break;
            }
        }
        // Those who waited see what there is now.
        self.look()?;
        Ok(all)
    }

    /// Writers that wait need the collector at once, and so does a disk that is full.
    fn urgency(&self) -> Haste {
        if self.collector.is_pressed() || !self.reserve.is_whole() {
            Haste::Pressed
        } else {
            Haste::Idle
        }
    }

    fn look(&self) -> Result<Look> {
        let appended = self.collector.appended();
        // Before the counts: see `Look::new`.
        let survey = self.store.survey()?;
        let live = self.database.with_tally(Tally::record_bytes)?;
        let mut held = Vec::with_capacity(survey.sealed.len());
        // Some at a time: writers wait for it.
        for some in survey.sealed.chunks(COUNTED_AT_ONCE) {
            held.extend(self.database.with_tally(|tally| in_segments(tally, some))?);
        }
        let look = Look::new(survey, live, held, &self.collector);
        self.collector.looked(&look, appended);
        Ok(look)
    }

    /// Removes what is dead, and moves what is alive out of the best victims and removes those.
    fn round(&self, look: &Look, haste: Haste) -> Result<Collected> {
        let mut gone = look.empty();
        // Copies need space, which the reserve is not for.
        let victims = if self.reserve.is_whole() {
            self.with_room(look.victims(haste))
        } else {
            Vec::new()
        };
        if gone.is_empty() && victims.is_empty() {
            return Ok(Collected::default());
        }
        let moved_bytes = match self.move_out_of(&victims, haste) {
            Ok(bytes) => {
                gone.extend(victims);
                bytes
            }
            // What nothing names makes room for copies.
            Err(Error::NoSpace) if !gone.is_empty() => 0,
            Err(error) => return Err(error),
        };
        let (segments, removed_bytes) = self.remove(&gone)?;
        log::debug!("collected {segments} segments of {removed_bytes} bytes, {moved_bytes} moved");
        Ok(Collected {
            segments,
            removed_bytes,
            moved_bytes,
        })
    }

    /// The best of these for whose copies there is room: a copy that ends half way gives nothing back.
    fn with_room(&self, mut victims: Vec<Candidate>) -> Vec<Candidate> {
        loop {
            let live: u64 = victims.iter().map(|victim| victim.live).sum();
            if victims.is_empty() || self.reserve.can_have(live + COPYING_BYTES) {
                return victims;
            }
            victims.pop();
        }
    }

    fn move_out_of(&self, victims: &[Candidate], haste: Haste) -> Result<u64> {
        let mut moved = 0;
        if victims.is_empty() {
            return Ok(0);
        }
        let segments = ids(victims);
        let mut after = ChunkId(i64::MIN);
        while let Some((mut found, last)) = self.next_in(&segments, after)? {
            after = last;
            found.sort_by_key(|chunk| (chunk.at.segment, chunk.at.offset));
            for step in steps(&found) {
                if self.collector.is_closing() {
                    return Ok(moved);
                }
                let (began, seen) = (Instant::now(), self.collector.appended());
                moved += self.move_step(step)?;
                self.rest(haste, seen, began.elapsed());
            }
        }
        Ok(moved)
    }

    /// Leaves the disk and the processor to others for as long as the last step had them, and longer while they write, unless writers wait for the
    /// collector. A user who asks waits for it, too, but not at the cost of those who write.
    fn rest(&self, haste: Haste, seen: u64, worked: Duration) {
        let others = self.collector.appended() != seen;
        let hurried = match haste {
            Haste::Idle | Haste::Busy => false,
            Haste::Asked => !others,
            Haste::Pressed => true,
        };
        if !hurried && self.urgency() < Haste::Pressed {
            let share = if others { 6 } else { 1 };
            self.collector.pause((worked * share).min(REST_MAX));
        }
    }

    fn next_in(
        &self,
        segments: &BTreeSet<SegmentId>,
        after: ChunkId,
    ) -> Result<Option<(Vec<StoredChunk>, ChunkId)>> {
        let tx = self.database.read_beside()?;
        Ok(tx.chunks_in(segments, after, SCAN_ROWS)?)
    }

    /// Moves some chunks: copies them, makes the copies durable, and then has the table name those.
    fn move_step(&self, step: &[StoredChunk]) -> Result<u64> {
        let mut plain = Vec::with_capacity(step.len());
        for chunk in step {
            match self.read_whole(chunk) {
                Ok(bytes) => plain.push((chunk, bytes)),
                Err(Unreadable::Damaged(error)) => {
                    log::error!("{} is left as it is: {error}", chunk.at.segment);
                    self.collector.spare(chunk.at.segment);
                }
                Err(Unreadable::Failed(error)) => return Err(error),
            }
        }
        let fresh: Vec<_> = plain.iter().map(|(_, bytes)| self.packed(bytes)).collect();
        let placed = self
            .store
            .append(Stream::Moved, &fresh.iter().collect::<Vec<_>>())?;
        self.sync_stream(Stream::Moved)?;
        let moved: Vec<_> = plain.iter().map(|(chunk, _)| *chunk).collect();
        self.name_copies(&moved, &placed)?;
        Ok(placed
            .places
            .iter()
            .map(|at| u64::from(at.stored_len))
            .sum())
    }

    fn name_copies(&self, chunks: &[&StoredChunk], placed: &Placed) -> Result<()> {
        let moves: Vec<_> = chunks.iter().zip(&placed.places).collect();
        for moves in moves.chunks(NAMED_AT_ONCE) {
            self.change(Space::Frees, |tx| {
                for (chunk, to) in moves {
                    // One that died meanwhile leaves its copy dead, too.
                    tx.move_chunk(chunk.id, &chunk.at, to)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn read_whole(&self, chunk: &StoredChunk) -> std::result::Result<Vec<u8>, Unreadable> {
        let mut bytes = vec![0; chunk.at.plain_bytes()];
        match self.store.read(&chunk.at, &chunk.sums, 0, &mut bytes) {
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
    fn remove(&self, candidates: &[Candidate]) -> Result<(u64, u64)> {
        if self.collector.is_closing() {
            return Ok((0, 0));
        }
        let named = self.named_of(&ids(candidates))?;
        // What is in the log only could be lost with the host's power, and name them again.
        self.checkpoint()?;
        let (mut segments, mut bytes, mut failed) = (0, 0, Ok(()));
        self.collector.unlink(|| {
            for candidate in candidates {
                if named.contains(&candidate.segment.id) {
                    continue;
                }
                match self.store.remove(candidate.segment.id) {
                    Ok(()) => {
                        segments += 1;
                        bytes += candidate.segment.bytes;
                    }
                    Err(error) => failed = Err(error.into()),
                }
            }
        });
        failed.map(|()| (segments, bytes))
    }

    /// Which of these segments the chunk table names: the counts are not taken at their word.
    fn named_of(&self, segments: &BTreeSet<SegmentId>) -> Result<BTreeSet<SegmentId>> {
        let mut named = BTreeSet::new();
        let mut after = ChunkId(i64::MIN);
        while let Some((found, last)) = self.next_in(segments, after)? {
            after = last;
            named.extend(found.iter().map(|chunk| chunk.at.segment));
        }
        Ok(named)
    }
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
