//! What is kept of a stream that was cut: a directory beside the volume's, whose name no volume can have.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::chunks::{self, ChunkStore, ScannedChunk};
use crate::types::SegmentId;
use crate::volume::error::{Error, Result};
use crate::volume::layout::{DATABASE, SEGMENTS};
use crate::volume::lock::DirLock;

/// What its name begins with.
const PREFIX: &str = ".receiving-";
/// What it is a part of.
pub(super) const ABOUT: &str = "stream.json";
/// What is needed while tables are made.
pub(super) const SCRATCH: &str = "places.db";
/// The volume that it joins, in the making.
pub(super) const JOINED: &str = "joined";
/// Numbers that a volume may give to new segments while a stream arrives that is to join it.
const SEGMENTS_BETWEEN: u32 = 4096;

/// Where what comes for the volume in `target` is.
pub(super) fn of(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or(Error::Invalid)?;
    let mut partial = std::ffi::OsString::from(PREFIX);
    partial.push(name);
    Ok(target.with_file_name(partial))
}

pub(super) fn make(partial: &Path) -> Result<()> {
    let mut options = DirBuilder::new();
    let made = options
        .recursive(true)
        .mode(0o700)
        .create(partial.join(SEGMENTS));
    made.map_err(|e| cannot("create", partial, e))
}

pub(super) fn about(target: &Path) -> Result<Option<Vec<u8>>> {
    let path = of(target)?.join(ABOUT);
    match fs::read(&path) {
        Ok(about) => Ok(Some(about)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(cannot("read", &path, e)),
    }
}

/// Whether there was something.
pub(super) fn remove(target: &Path) -> Result<bool> {
    let partial = of(target)?;
    if partial.symlink_metadata().is_err() {
        return Ok(false);
    }
    let _lock = DirLock::take(&partial)?;
    fs::remove_dir_all(&partial).map_err(|e| cannot("remove", &partial, e))?;
    Ok(true)
}

/// Removes all but the segments.
pub(super) fn clear_tables(partial: &Path) -> Result<()> {
    for name in [DATABASE, SCRATCH] {
        let path = partial.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(cannot("remove", &path, e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let path = partial.join(JOINED);
    match fs::remove_dir_all(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(cannot("remove", &path, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The number of the first segment that comes.
pub(super) fn first_segment(target: &Path) -> Result<SegmentId> {
    let segments = target.join(SEGMENTS);
    if !segments.is_dir() {
        return Ok(SegmentId::from_raw(1));
    }
    let next = ChunkStore::open(&segments, SegmentId::LOST)?.next_segment();
    Ok(SegmentId::from_raw(
        next.raw().saturating_add(SEGMENTS_BETWEEN),
    ))
}

/// Calls `found` for every whole chunk in `segments`, in the order in which they came.
pub(super) fn each_chunk(
    segments: &Path,
    mut found: impl FnMut(ScannedChunk) -> Result<()>,
) -> Result<()> {
    let entries = fs::read_dir(segments).map_err(|e| cannot("read", segments, e))?;
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| cannot("read", segments, e))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        let number = number.and_then(|number| u32::from_str_radix(number, 16).ok());
        ids.extend(number.map(SegmentId::from_raw));
    }
    ids.sort_unstable();
    for id in ids {
        let mut outcome = Ok(());
        let scanned = chunks::scan(segments, id, |chunk| {
            if outcome.is_ok() {
                outcome = found(chunk);
            }
        });
        outcome?;
        match scanned {
            // It was killed before the segment had a header, and so any chunk.
            Err(chunks::Error::Corrupt { .. }) => {}
            scanned => scanned?,
        }
    }
    Ok(())
}

fn cannot(what: &str, path: &Path, e: io::Error) -> Error {
    Error::storage(format!("cannot {what} {}", path.display()), e)
}
