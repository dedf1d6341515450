//! What the last one who had the volume open left, made safe to be taken over.

use std::path::Path;

use super::recover;
use super::state::{State, StateFile};
use crate::chunks::{ChunkStore, SyncMark};
use crate::meta::UncleanLog;
use crate::types::SegmentId;
use crate::volume::error::{Error, Result};
use crate::volume::layout::{DATABASE, SEGMENTS};

const FIRST: SegmentId = SegmentId::from_raw(1);
const START: SyncMark = SyncMark {
    segment: SegmentId::from_raw(0),
    offset: 0,
};

/// Whether there must be a log if the volume was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::volume) enum Log {
    Expected,
    /// A repair has put it aside.
    Gone,
}

/// What the last one who had the volume open left.
pub(in crate::volume) struct Past {
    pub(in crate::volume) state: StateFile,
    pub(in crate::volume) mark: SyncMark,
    pub(in crate::volume) next: SegmentId,
    /// Damage of the log, which is gone once SQLite has it.
    pub(in crate::volume) found: Vec<String>,
}

/// Makes what an earlier server left in `dir`, which this process has locked, safe to be taken over; `judge` may let
/// pass what cannot be recovered from a power cut.
///
/// What it appended may be in the host's memory only: it is made durable before its log is taken over, for nobody
/// would sync it later.
pub(in crate::volume) fn recovered(
    dir: &Path,
    log: Log,
    judge: impl Fn(Result<()>) -> Result<()>,
) -> Result<Past> {
    let state = StateFile::of(dir)?;
    let before = state.load()?;
    let mark = before.as_ref().map_or(START, State::mark);
    let next = before.as_ref().map_or(FIRST, State::next).max(FIRST);
    let path = dir.join(DATABASE);
    if !path.is_file() {
        return Err(Error::Corrupt(format!("{} is missing", path.display())));
    }
    let mut found = Vec::new();
    // What cannot be understood counts as a power cut.
    if before
        .as_ref()
        .is_none_or(|before| state.lost_power(before))
    {
        judge(recover::after_power_cut(dir, mark))?;
    } else if log == Log::Expected && before.as_ref().is_some_and(|before| !before.clean) {
        found.extend(UncleanLog::read(&path)?.damage());
    }
    for damage in &found {
        log::error!("{}: {damage}", dir.display());
    }
    if before.is_none_or(|before| !before.clean) {
        // From the mark on: what is before it, a checkpoint made durable.
        ChunkStore::sync_leftovers(&dir.join(SEGMENTS), mark.segment)?;
    }
    Ok(Past {
        state,
        mark,
        next,
        found,
    })
}
