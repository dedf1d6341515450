//! Looking for damage: in the database, in what its tables say, and in the stored bytes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::chunks::{self, ChunkStore};
use crate::meta::StoredChunk;
use crate::types::{Checked, ChunkId, SegmentId};
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::health::describe::describe;
use crate::volume::health::stored::{chunks_after, has_moved, verify};
use crate::volume::wanted::go_on;
use crate::volume::watch::Watch;

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

/// As [`crate::volume::Volume::check_watched`].
pub(super) fn check(
    core: &Core,
    found_at_open: &[String],
    depth: Depth,
    watch: Watch<'_>,
) -> Result<Checked> {
    let mut checked = Checked {
        problems: found_at_open.to_vec(),
        ..Checked::default()
    };
    let integrity = core.database().read_long()?.integrity()?;
    // A look that was ended early is no finding.
    go_on()?;
    let is_sound = integrity.is_empty();
    let integrity = integrity
        .into_iter()
        .map(|line| format!("database: {line}"));
    checked.problems.extend(integrity);
    // Tables in a database that is damaged say nothing.
    if is_sound {
        let broken = core.database().audit()?;
        let broken = broken.into_iter().map(|line| format!("metadata: {line}"));
        checked.problems.extend(broken);
    }
    let found = match look_at_chunks(core, depth, watch, &mut checked) {
        Err(Error::Corrupt(what)) if !is_sound => {
            checked
                .problems
                .push(format!("chunks: not all are looked at: {what}"));
            return Ok(checked);
        }
        found => found?,
    };
    if !found.damaged.is_empty() || !found.lost.is_empty() {
        let session = core.database().read_long()?;
        let damaged = describe(&session, &found.damaged, "cannot be read")?;
        checked.problems.extend(damaged);
        checked.lost = describe(&session, &found.lost, "are lost")?;
    }
    checked.problems.extend(found.headers.sentences());
    Ok(checked)
}

fn look_at_chunks(
    core: &Core,
    depth: Depth,
    watch: Watch<'_>,
    checked: &mut Checked,
) -> Result<Found> {
    let mut all = Found::default();
    let mut after = ChunkId(i64::MIN);
    loop {
        let found = chunks_after(core, after, ROWS)?;
        let Some(last) = found.last() else {
            return Ok(all);
        };
        after = last.id;
        for chunk in &found {
            go_on()?;
            if chunk.at.is_elsewhere() {
                checked.elsewhere += 1;
                continue;
            }
            checked.chunks += 1;
            if chunk.at.is_lost() {
                all.lost.insert(chunk.id);
            } else if look_at(core, chunk, depth, &mut all)? && depth == Depth::Data {
                checked.bytes += u64::from(chunk.at.stored_len);
                watch(chunk.at.stored_len.into());
            }
        }
    }
}

/// Whether the chunk is whole, as far as that is looked at.
fn look_at(core: &Core, chunk: &StoredChunk, depth: Depth, all: &mut Found) -> Result<bool> {
    let store = &core.chunks();
    let read = match depth {
        Depth::Metadata => store.reach(&chunk.at),
        Depth::Data => verify(store, chunk),
    };
    let seen = read.and_then(|()| all.headers.look(store, chunk, depth));
    match seen {
        Ok(()) => Ok(true),
        // The collector moved it, or it was freed, since its row was read: that is no damage.
        Err(_) if has_moved(core, chunk)? => Ok(false),
        Err(error) => {
            log::debug!("chunk {} is damaged: {error}", chunk.hash);
            all.damaged.insert(chunk.id);
            Ok(false)
        }
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
