//! Looking for damage: in the database, in what its tables say, and in the stored bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Result, Volume, path};
use crate::chunks;
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
        let mut checked = Checked::default();
        let integrity = self.core.database.read_beside()?.integrity()?;
        let integrity = integrity
            .into_iter()
            .map(|line| format!("database: {line}"));
        checked.problems.extend(integrity);
        // Tables in a database that is damaged say nothing.
        if checked.problems.is_empty() {
            let broken = self.core.database.audit()?;
            let broken = broken.into_iter().map(|line| format!("metadata: {line}"));
            checked.problems.extend(broken);
        }
        let damaged = self.damaged_chunks(depth, &mut checked)?;
        if !damaged.is_empty() {
            let session = self.core.database.read_beside()?;
            checked.problems.extend(describe(&session, &damaged)?);
        }
        Ok(checked)
    }

    fn damaged_chunks(&self, depth: Depth, checked: &mut Checked) -> Result<BTreeSet<ChunkId>> {
        let mut damaged = BTreeSet::new();
        let mut after = ChunkId(i64::MIN);
        loop {
            let found = self.chunks_after(after)?;
            let Some(last) = found.last() else {
                return Ok(damaged);
            };
            after = last.id;
            for chunk in &found {
                checked.chunks += 1;
                let read = match depth {
                    Depth::Metadata => self.core.store.reach(&chunk.at),
                    Depth::Data => self.verify(chunk),
                };
                match read {
                    Ok(()) if depth == Depth::Data => {
                        checked.bytes += u64::from(chunk.at.stored_len);
                    }
                    Ok(()) => {}
                    Err(_) if self.has_moved(chunk)? => {}
                    Err(error) => {
                        log::debug!("chunk {} is damaged: {error}", chunk.hash);
                        damaged.insert(chunk.id);
                    }
                }
            }
        }
    }

    fn chunks_after(&self, after: ChunkId) -> Result<Vec<StoredChunk>> {
        let tx = self.core.database.read_beside()?;
        Ok(tx.chunks_from(SegmentId::from_raw(0), 0, after, ROWS)?)
    }

    fn verify(&self, chunk: &StoredChunk) -> chunks::Result<()> {
        let mut bytes = vec![0; usize::try_from(chunk.at.len).unwrap_or(0)];
        self.core
            .store
            .read(&chunk.at, &chunk.sums, 0, &mut bytes)?;
        if ChunkHash::of(&bytes) == chunk.hash {
            return Ok(());
        }
        Err(chunks::Error::Corrupt {
            segment: chunk.at.segment,
            offset: chunk.at.offset,
            what: "the bytes do not have its hash",
        })
    }

    /// Whether the chunk is elsewhere by now, or gone.
    fn has_moved(&self, chunk: &StoredChunk) -> Result<bool> {
        let before = ChunkId(chunk.id.0 - 1);
        let found = self.chunks_after(before)?;
        let now = found.first().filter(|found| found.id == chunk.id);
        Ok(now.is_none_or(|now| now.at != chunk.at))
    }
}

/// A sentence for each file that has bytes in these chunks.
fn describe(session: &Session, damaged: &BTreeSet<ChunkId>) -> Result<Vec<String>> {
    let snapshots = session.snapshots()?;
    let mut files: BTreeMap<String, Vec<NamedBytes>> = BTreeMap::new();
    for bytes in session.bytes_in(damaged)? {
        files
            .entry(name_of(session, &bytes, &snapshots)?)
            .or_default()
            .push(bytes);
    }
    let sentences = files.into_iter().map(|(file, bytes)| {
        let ranges = bytes
            .iter()
            .map(|one| format!("{}-{}", one.off, one.off + one.len - 1));
        let ranges: BTreeSet<String> = ranges.collect();
        let ranges: Vec<String> = ranges.into_iter().collect();
        let seen = states(&bytes, &snapshots);
        format!(
            "data: {file}: bytes {} cannot be read ({seen})",
            ranges.join(", ")
        )
    });
    Ok(sentences.collect())
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
