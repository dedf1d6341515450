//! What damaged chunks mean to a user: which bytes of which files, and in which states.

use std::collections::{BTreeMap, BTreeSet};

use crate::meta::{NamedBytes, Session, Snapshot};
use crate::types::{ChunkId, Epoch};
use crate::volume::error::Result;
use crate::volume::history::paths;

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
    Ok(match paths::of_inode(view, &inode) {
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
