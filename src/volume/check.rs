//! Looking for damage: in the database, in what its tables say, and in the stored bytes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::core::Core;
use super::repair::Watch;
use super::{Result, Volume, path};
use crate::chunks::{self, ChunkStore};
use crate::meta::{NamedBytes, Session, Snapshot, StoredChunk};
use crate::types::{Checked, ChunkHash, ChunkId, Epoch, SegmentId};

/// Rows of the chunk table that are looked through at a time.
const ROWS: usize = 1024;

/// How far a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The database, its invariants, and whether each chunk lies within its segment.
    Metadata,
    /// Every stored byte as well.
    Data,
}

impl Volume {
    /// Looks for damage, changing nothing. Works beside writers.
    ///
    /// # Errors
    /// I/O errors of the host; damage is no error.
    pub fn check(&self, depth: Depth) -> Result<Checked> {
        self.check_watched(depth, &|_| {})
    }

    /// As [`Self::check`]; tells `watch` how many bytes were verified, as they are.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn check_watched(&self, depth: Depth, watch: Watch<'_>) -> Result<Checked> {
        let mut checked = Checked {
            problems: self.found_at_open.clone(),
            ..Checked::default()
        };
        let integrity = self.core.database.read_long()?.integrity()?;
        let is_sound = integrity.is_empty();
        let integrity = integrity
            .into_iter()
            .map(|line| format!("database: {line}"));
        checked.problems.extend(integrity);
        // Tables in a database that is damaged say nothing.
        if is_sound {
            let broken = self.core.database.audit()?;
            let broken = broken.into_iter().map(|line| format!("metadata: {line}"));
            checked.problems.extend(broken);
        }
        let found = self.look_at_chunks(depth, watch, &mut checked)?;
        if !found.damaged.is_empty() || !found.lost.is_empty() {
            let session = self.core.database.read_long()?;
            let damaged = describe(&session, &found.damaged, "cannot be read")?;
            checked.problems.extend(damaged);
            checked.lost = describe(&session, &found.lost, "are lost")?;
        }
        checked.problems.extend(found.headers.sentences());
        Ok(checked)
    }

    fn look_at_chunks(
        &self,
        depth: Depth,
        watch: Watch<'_>,
        checked: &mut Checked,
    ) -> Result<Found> {
        let mut all = Found::default();
        let mut after = ChunkId(i64::MIN);
        loop {
            let found = self.core.chunks_after(after, ROWS)?;
            let Some(last) = found.last() else {
                return Ok(all);
            };
            after = last.id;
            for chunk in &found {
                checked.chunks += 1;
                if chunk.at.is_lost() {
                    all.lost.insert(chunk.id);
                } else if self.look_at(chunk, depth, &mut all)? && depth == Depth::Data {
                    checked.bytes += u64::from(chunk.at.stored_len);
                    watch(chunk.at.stored_len.into());
                }
            }
        }
    }

    /// Whether the chunk is whole, as far as that is looked at.
    fn look_at(&self, chunk: &StoredChunk, depth: Depth, all: &mut Found) -> Result<bool> {
        let store = &self.core.store;
        let read = match depth {
            Depth::Metadata => store.reach(&chunk.at),
            Depth::Data => verify(store, chunk),
        };
        let seen = read.and_then(|()| all.headers.look(store, chunk, depth));
        match seen {
            Ok(()) => Ok(true),
            Err(_) if self.core.has_moved(chunk)? => Ok(false),
            Err(error) => {
                log::debug!("chunk {} is damaged: {error}", chunk.hash);
                all.damaged.insert(chunk.id);
                Ok(false)
            }
        }
    }
}

impl Core {
    /// At most `limit` chunks after `after`.
    pub(super) fn chunks_after(&self, after: ChunkId, limit: usize) -> Result<Vec<StoredChunk>> {
        let tx = self.database.read_beside()?;
        Ok(tx.chunks_from(SegmentId::LOST, 0, after, limit)?)
    }

    /// Whether the chunk is elsewhere by now, or gone.
    pub(super) fn has_moved(&self, chunk: &StoredChunk) -> Result<bool> {
        let before = ChunkId(chunk.id.0 - 1);
        let found = self.chunks_after(before, 1)?;
        let now = found.first().filter(|found| found.id == chunk.id);
        Ok(now.is_none_or(|now| now.at != chunk.at))
    }
}

/// What was found.
#[derive(Default)]
struct Found {
    /// They cannot be read.
    damaged: BTreeSet<ChunkId>,
    /// An earlier repair found that.
    lost: BTreeSet<ChunkId>,
    headers: Headers,
}

/// Headers, of segments and of records in them. No reader needs them, but a repair of the database does.
#[derive(Default)]
struct Headers {
    segments: BTreeMap<SegmentId, bool>,
    records: BTreeMap<SegmentId, u64>,
}

impl Headers {
    fn look(
        &mut self,
        store: &ChunkStore,
        chunk: &StoredChunk,
        depth: Depth,
    ) -> chunks::Result<()> {
        let id = chunk.at.segment;
        if let Entry::Vacant(unseen) = self.segments.entry(id) {
            unseen.insert(store.has_header(id)?);
        }
        if depth == Depth::Data && !store.is_described(&chunk.at, &chunk.hash)? {
            *self.records.entry(id).or_default() += 1;
        }
        Ok(())
    }

    fn sentences(&self) -> Vec<String> {
        let damaged = self.segments.iter().filter(|(_, whole)| !**whole);
        let segments = damaged.map(|(id, _)| format!("segments: the header of {id} is damaged"));
        let records = self.records.iter().map(|(id, count)| {
            format!("segments: the headers of {count} records of {id} are damaged")
        });
        segments.chain(records).collect()
    }
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

/// A sentence for each file that has bytes in these chunks, and what is the matter with them.
pub(super) fn describe(
    session: &Session,
    damaged: &BTreeSet<ChunkId>,
    matter: &str,
) -> Result<Vec<String>> {
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    let snapshots = session.snapshots()?;
    let mut files: BTreeMap<String, Vec<NamedBytes>> = BTreeMap::new();
    for bytes in session.bytes_in(damaged)? {
        files
            .entry(name_of(session, &bytes, &snapshots)?)
            .or_default()
            .push(bytes);
    }
    let sentences = files.into_iter().map(|(file, bytes)| {
        let ranges = ranges(&bytes).join(", ");
        let seen = states(&bytes, &snapshots);
        format!("data: {file}: bytes {ranges} {matter} ({seen})")
    });
    Ok(sentences.collect())
}

/// The first and last of bytes that follow each other.
fn ranges(bytes: &[NamedBytes]) -> Vec<String> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    let mut sorted: Vec<_> = bytes
        .iter()
        .map(|one| (one.off, one.off + one.len))
        .collect();
    sorted.sort_unstable();
    for (from, to) in sorted {
        match joined.last_mut().filter(|(_, end)| from <= *end) {
            Some((_, end)) => *end = to.max(*end),
            None => joined.push((from, to)),
        }
    }
    let shown = joined.iter().map(|(from, to)| format!("{from}-{}", to - 1));
    shown.collect()
}

/// The file's path, in the newest state that has it.
fn name_of(session: &Session, bytes: &NamedBytes, snapshots: &[Snapshot]) -> Result<String> {
    let sees = |epoch: Epoch| bytes.born <= epoch && bytes.died.is_none_or(|died| epoch < died);
    let newest = match bytes.died {
        None => Some(Epoch(i64::MAX)),
        Some(_) => snapshots
            .iter()
            .rev()
            .map(|one| one.epoch)
            .find(|&epoch| sees(epoch)),
    };
    let Some(epoch) = newest else {
        return Ok(format!("{} (waits to be freed)", bytes.ino));
    };
    let view = session.view(epoch);
    let Some(inode) = view.inode(bytes.ino)? else {
        return Ok(bytes.ino.to_string());
    };
    // A file without a name, or a path that is damaged itself, has its number.
    Ok(match path::of_inode(view, &inode) {
        Ok(path) => String::from_utf8_lossy(&path).into_owned(),
        Err(_) => bytes.ino.to_string(),
    })
}

fn states(bytes: &[NamedBytes], snapshots: &[Snapshot]) -> String {
    let mut seen = Vec::new();
    if bytes.iter().any(|one| one.died.is_none()) {
        seen.push("now".to_owned());
    }
    let sees = |one: &NamedBytes, epoch: Epoch| {
        one.born <= epoch && one.died.is_none_or(|died| epoch < died)
    };
    let concerned = snapshots
        .iter()
        .filter(|snapshot| bytes.iter().any(|one| sees(one, snapshot.epoch)));
    seen.extend(concerned.map(|snapshot| format!("@{}", snapshot.name)));
    seen.join(", ")
}
