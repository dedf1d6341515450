//! Chunks that are not where the table says: found again by their names, here or where there are copies, or saved page
//! by page, or lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::chunks::{ChunkStore, NewChunk, ScannedChunk, Stream, sift};
use crate::meta::{Saved, StoredChunk, Workpiece};
use crate::types::{ChunkHash, ChunkId, SegmentId};
use crate::volume::chunk_source::ChunkSource;
use crate::volume::error::Result;
use crate::volume::health::repair::sources::{self, Missing};
use crate::volume::health::stored::verify;
use crate::volume::watch::Watch;

/// Rows of the chunk table that are looked through at a time.
pub(super) const ROWS: usize = 1024;

/// Reads every chunk, and mends the table; a sentence for each kind of change, but for what is lost.
pub(super) fn mend(
    piece: &mut Workpiece,
    store: &ChunkStore,
    segments: &Path,
    (sources, watch): (&[&dyn ChunkSource], Watch<'_>),
) -> Result<Vec<String>> {
    let mut sick = examine(piece, store, watch)?;
    let mut told = Vec::new();
    if !sick.unread.is_empty() {
        let found = find(&sick.unread, store, segments)?;
        let (mut missing, healed) = heal(piece, store, &mut sick, &found)?;
        told.extend(healed);
        told.extend(sources::fetch(piece, store, &mut missing, sources)?);
        lose(piece, store, missing.values().flatten())?;
    }
    told.extend(describe_anew(piece, store, &sick.undescribed)?);
    Ok(told)
}

#[derive(Default)]
struct Sick {
    /// Not where the table says, or lost already.
    unread: Vec<StoredChunk>,
    /// Whole, but nobody who has but the segment could tell.
    undescribed: Vec<StoredChunk>,
    headers: BTreeMap<SegmentId, bool>,
}

fn examine(piece: &Workpiece, store: &ChunkStore, watch: Watch<'_>) -> Result<Sick> {
    let mut sick = Sick::default();
    let mut after = ChunkId(i64::MIN);
    loop {
        let found = piece.chunks_after(after, ROWS)?;
        let Some(last) = found.last() else {
            return Ok(sick);
        };
        after = last.id;
        // What is elsewhere comes when it is needed.
        for chunk in found.into_iter().filter(|one| !one.at.is_elsewhere()) {
            match verify(store, &chunk) {
                Ok(()) => {
                    watch(u64::from(chunk.at.stored_len));
                    sick.note_undescribed(store, chunk)?;
                }
                Err(error) if error.is_damage() => sick.unread.push(chunk),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Sick {
    fn note_undescribed(&mut self, store: &ChunkStore, chunk: StoredChunk) -> Result<()> {
        let id = chunk.at.segment;
        let has_header = match self.headers.get(&id) {
            Some(known) => *known,
            None => store.has_header(id)?,
        };
        self.headers.insert(id, has_header);
        if !has_header || !store.is_described(&chunk.at, &chunk.hash)? {
            self.undescribed.push(chunk);
        }
        Ok(())
    }
}

/// What the segments hold of these chunks, by name and by place.
struct Found {
    named: HashMap<ChunkHash, ScannedChunk>,
    placed: HashMap<(SegmentId, u64), ScannedChunk>,
}

fn find(wanted: &[StoredChunk], store: &ChunkStore, segments: &Path) -> Result<Found> {
    let names: HashSet<_> = wanted.iter().map(|one| one.hash).collect();
    let places: HashSet<_> = wanted
        .iter()
        .map(|one| (one.at.segment, one.at.offset))
        .collect();
    let mut found = Found {
        named: HashMap::new(),
        placed: HashMap::new(),
    };
    for segment in store.survey()?.sealed {
        let sifted = sift(segments, segment.id, |chunk| {
            let place = (chunk.at.segment, chunk.at.offset);
            if places.contains(&place) {
                found.placed.insert(place, chunk.clone());
            }
            if names.contains(&chunk.hash) {
                found.named.insert(chunk.hash, chunk);
            }
        });
        match sifted {
            Err(error) if error.is_damage() => {
                log::warn!("not all of it can be looked at: {error}");
            }
            sifted => sifted?,
        }
    }
    Ok(found)
}

/// Mends what the segments still hold; what they do not, by name, and what was done.
fn heal(
    piece: &mut Workpiece,
    store: &ChunkStore,
    sick: &mut Sick,
    found: &Found,
) -> Result<(Missing, Vec<String>)> {
    let mut missing = Missing::new();
    let (mut again, mut renamed) = (0_usize, 0_usize);
    for chunk in std::mem::take(&mut sick.unread) {
        if let Some(there) = found.named.get(&chunk.hash) {
            piece.place_chunk(chunk.id, &there.at, &there.sums)?;
            let (at, sums) = (there.at, there.sums.clone());
            let placed = StoredChunk { at, sums, ..chunk };
            sick.note_undescribed(store, placed)?;
            again += 1;
        } else if let Some(there) = same_bytes(&chunk, found) {
            piece.rename_chunk(chunk.id, &there.hash)?;
            renamed += 1;
        } else {
            missing.entry(chunk.hash).or_default().push(chunk);
        }
    }
    let told = [
        (
            again,
            "chunks were found again in the segments, by their names",
        ),
        (
            renamed,
            "chunks have their names again, which the table had wrong",
        ),
    ];
    let told = told.into_iter().filter(|(count, _)| *count > 0);
    let told = told.map(|(count, what)| format!("data: {count} {what}"));
    Ok((missing, told.collect()))
}

/// Gives chunks up, but for their whole pages.
fn lose<'c>(
    piece: &mut Workpiece,
    store: &ChunkStore,
    chunks: impl Iterator<Item = &'c StoredChunk>,
) -> Result<()> {
    for chunk in chunks.filter(|one| !one.at.is_lost()) {
        piece.lose_chunk(chunk.id, &save(store, chunk)?)?;
    }
    Ok(())
}

/// The table has the right place and checksums, and a wrong name.
fn same_bytes<'f>(chunk: &StoredChunk, found: &'f Found) -> Option<&'f ScannedChunk> {
    let there = found.placed.get(&(chunk.at.segment, chunk.at.offset))?;
    (there.at == chunk.at && there.sums == chunk.sums).then_some(there)
}

/// Stores the whole pages of a damaged chunk as chunks of their own.
fn save(store: &ChunkStore, chunk: &StoredChunk) -> Result<Vec<Saved>> {
    let mut saved = Vec::new();
    for pages in store.whole_pages(&chunk.at, &chunk.sums)? {
        let fresh = NewChunk::of(&pages.bytes);
        let placed = store.append(Stream::Moved, &[&fresh])?;
        let range = pages.range.start as u64..pages.range.end as u64;
        saved.extend(placed.places.iter().map(|at| Saved {
            range: range.clone(),
            hash: fresh.hash,
            at: *at,
            sums: fresh.sums.clone(),
        }));
    }
    Ok(saved)
}

/// Stores chunks anew whose segments do not tell any more what they are.
fn describe_anew(
    piece: &mut Workpiece,
    store: &ChunkStore,
    chunks: &[StoredChunk],
) -> Result<Vec<String>> {
    let mut counts: BTreeMap<SegmentId, usize> = BTreeMap::new();
    for chunk in chunks {
        let mut bytes = vec![0; chunk.at.plain_bytes()];
        store.read(&chunk.at, &chunk.sums, 0, &mut bytes)?;
        let fresh = NewChunk::of(&bytes);
        for at in store.append(Stream::Moved, &[&fresh])?.places {
            piece.place_chunk(chunk.id, &at, &fresh.sums)?;
        }
        *counts.entry(chunk.at.segment).or_default() += 1;
    }
    Ok(counts
        .into_iter()
        .map(|(segment, count)| {
            format!("data: {count} chunks of {segment} are stored anew: headers in it are damaged")
        })
        .collect())
}
