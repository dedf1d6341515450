//! After a power cut: the log is cut back to the last commit whose chunks are all there.
//!
//! A commit that nobody synced may have reached the disk before the bytes that it names. To take what is missing for
//! never written would lose the synced data that it replaced. So whole commits are given up, the youngest first: the
//! last fsync ended with a commit whose chunks are whole, and a checkpoint never goes past synced chunks.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::chunks::{self, ChunkStore, SyncMark};
use crate::meta::{Commit, Session, StoredChunk, UncleanLog};
use crate::types::{ChunkId, SegmentId};
use crate::volume::error::{Error, Result};
use crate::volume::layout::{DATABASE, SEGMENTS};

/// A second name of the database and a copy of the log, while states are looked at.
const SCRATCH: &str = "recovery";
/// The log as the power cut left it, if some of it was cut off.
const KEPT: &str = "meta.db-wal.cut";
const ROWS: usize = 8192;

/// Makes the volume in `dir` one whose chunks from `mark` on are whole; those before it were synced.
///
/// # Errors
/// [`Error::Storage`]; the log is then as it was.
pub(super) fn after_power_cut(dir: &Path, mark: SyncMark) -> Result<()> {
    let log = UncleanLog::read(&dir.join(DATABASE))?;
    let scratch = dir.join(SCRATCH);
    let cannot = |e| Error::storage(format!("cannot use {}", scratch.display()), e);
    clear(&scratch).map_err(cannot)?;
    fs::create_dir(&scratch).map_err(cannot)?;
    // Only to read: the number of the next segment does not matter.
    let store = ChunkStore::open(&dir.join(SEGMENTS), SegmentId::from_raw(0))?;
    let mut states = States {
        log: &log,
        scratch: &scratch,
        store: &store,
        mark,
        known: HashMap::new(),
    };
    let cut = states.find_cut()?;
    match cut {
        CutBack::Nothing => log::debug!("{}: every chunk is there", dir.display()),
        CutBack::Unhelpful => log::error!(
            "{}: chunks are damaged that were safe before the power cut; the log stays as it is",
            dir.display()
        ),
        CutBack::To(commit, dropped) => {
            log::warn!(
                "{}: {dropped} commits that nobody had synced are given up, for their data did not reach the disk",
                dir.display()
            );
            log.cut(commit, &dir.join(KEPT))?;
        }
    }
    clear(&scratch).map_err(cannot)
}

fn clear(scratch: &Path) -> io::Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// What is to be done with the log.
enum CutBack {
    Nothing,
    /// Back to this commit, or to the database without it, which gives up so many.
    To(Option<Commit>, usize),
    /// Not even the database without it is whole.
    Unhelpful,
}

/// The states that the database could be given.
struct States<'a> {
    log: &'a UncleanLog,
    scratch: &'a Path,
    store: &'a ChunkStore,
    mark: SyncMark,
    /// Chunks that were looked at, by place.
    known: HashMap<(SegmentId, u64), bool>,
}

impl States<'_> {
    /// Every state up to the last fsync names whole chunks only, and some state behind it does not: between the two a
    /// state is found that does, followed by one that does not.
    fn find_cut(&mut self) -> Result<CutBack> {
        let all = self.log.commits().len();
        if self.is_whole(all)? {
            return Ok(CutBack::Nothing);
        }
        let (mut whole, mut torn) = (0, all);
        while torn - whole > 1 {
            let middle = usize::midpoint(whole, torn);
            if self.may_be_whole(middle)? {
                whole = middle;
            } else {
                torn = middle;
            }
        }
        if whole == 0 && !matches!(self.is_whole(0), Ok(true)) {
            return Ok(CutBack::Unhelpful);
        }
        let commit = whole
            .checked_sub(1)
            .and_then(|at| self.log.commits().get(at));
        Ok(CutBack::To(commit.copied(), all - whole))
    }

    /// A checkpoint that the power cut interrupted has copied pages of later commits into the database: with an earlier
    /// commit they are no database at all. But what was copied was synced before, and the cut is not to be that early.
    fn may_be_whole(&mut self, count: usize) -> Result<bool> {
        match self.is_whole(count) {
            Err(Error::Corrupt(_)) => Ok(true),
            outcome => outcome,
        }
    }

    /// Whether the state after the first `count` commits names no chunk that is not there.
    fn is_whole(&mut self, count: usize) -> Result<bool> {
        let commit = count
            .checked_sub(1)
            .and_then(|at| self.log.commits().get(at));
        let state = self.log.state_at(commit.copied(), self.scratch)?;
        let mut after = ChunkId(i64::MIN);
        loop {
            let chunks = self.next(&state, after)?;
            let Some(last) = chunks.last() else {
                return Ok(true);
            };
            after = last.id;
            for chunk in &chunks {
                if !self.is_there(chunk)? {
                    return Ok(false);
                }
            }
        }
    }

    fn next(&self, state: &Session, after: ChunkId) -> Result<Vec<StoredChunk>> {
        let SyncMark { segment, offset } = self.mark;
        Ok(state.chunks_from(segment, offset, after, ROWS)?)
    }

    fn is_there(&mut self, chunk: &StoredChunk) -> Result<bool> {
        // That is known, and no commit is to be given up for it.
        if chunk.at.is_absent() {
            return Ok(true);
        }
        let place = (chunk.at.segment, chunk.at.offset);
        if let Some(known) = self.known.get(&place) {
            return Ok(*known);
        }
        let there = match self.is_recorded(chunk) {
            Ok(there) => there,
            Err(
                chunks::Error::Missing { .. } | chunks::Error::Corrupt { .. } | chunks::Error::Lost,
            ) => false,
            Err(error) => return Err(error.into()),
        };
        self.known.insert(place, there);
        Ok(there)
    }

    /// Whether a chunk's bytes and the headers before them have arrived: without those nobody would miss anything, until
    /// a repair needs them. What was synced was synced with them.
    fn is_recorded(&self, chunk: &StoredChunk) -> chunks::Result<bool> {
        let mut bytes = vec![0; chunk.at.plain_bytes()];
        self.store.read(&chunk.at, &chunk.sums, 0, &mut bytes)?;
        Ok(self.store.has_header(chunk.at.segment)?
            && self.store.is_described(&chunk.at, &chunk.hash)?)
    }
}
