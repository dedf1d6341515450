//! What a push has sent and nobody was told of yet: should its command be killed, the next one need not send it again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::sorted::make_dir;
use crate::remote::object::ObjectId;
use crate::remote::pack::PackedChunk;
use crate::remote::place::{Packing, Place};
use crate::remote::seal::random_bytes;
use crate::remote::{Error, Result};
use crate::types::ChunkHash;

/// The journal of one push: a file, locked while its command lives.
#[derive(Debug)]
pub(super) struct Journal {
    file: Mutex<File>,
    path: PathBuf,
}

/// A line of it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    pack: ObjectId,
    /// Of each chunk: hash, piece, offset, stored and plain length, packing.
    chunks: Vec<([u8; ChunkHash::LEN], u32, u32, u32, u32, u8)>,
}

/// A line, with what shows that it is whole.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sum: String,
    entry: String,
}

impl Journal {
    /// Begins one in `dir`, and takes over what ended ones have left.
    pub(super) fn begin(dir: &Path) -> Result<(Self, Vec<PackedChunk>)> {
        make_dir(dir)?;
        let name = u64::from_le_bytes(random_bytes()?);
        let path = dir.join(format!("{name:016x}"));
        let cannot = |e| Error::host(format!("create {}", path.display()), e);
        let mut options = File::options();
        let file = options
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(cannot)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
        let journal = Self {
            file: Mutex::new(file),
            path: path.clone(),
        };
        let left = journal.take_over(dir)?;
        Ok((journal, left))
    }

    /// Reads the journals of commands that have ended, notes what they say, and removes them: in this order.
    fn take_over(&self, dir: &Path) -> Result<Vec<PackedChunk>> {
        let cannot = |e| Error::host(format!("read {}", dir.display()), e);
        let mut left = Vec::new();
        for entry in fs::read_dir(dir).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let Ok(file) = File::open(&path) else {
                continue;
            };
            let is_ended = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            if path == self.path || !is_ended {
                continue;
            }
            let chunks = read(&path);
            for pack in chunks.chunk_by(|a, b| a.place.pack == b.place.pack) {
                self.note(pack)?;
            }
            left.extend(chunks);
            fs::remove_file(&path).map_err(cannot)?;
        }
        Ok(left)
    }

    /// Notes chunks of one pack.
    pub(super) fn note(&self, chunks: &[PackedChunk]) -> Result<()> {
        let Some(first) = chunks.first() else {
            return Ok(());
        };
        let entry = Entry {
            pack: first.place.pack,
            chunks: chunks.iter().map(flat).collect(),
        };
        let json = |e: serde_json::Error| Error::Bug(e.to_string());
        let entry = serde_json::to_string(&entry).map_err(json)?;
        let sum = blake3::hash(entry.as_bytes()).to_hex().to_string();
        let mut line = serde_json::to_vec(&Line { sum, entry }).map_err(json)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_all(&line);
        written.map_err(|e| Error::host(format!("write {}", self.path.display()), e))
    }

    /// All of it is known to others.
    pub(super) fn clear(&self) -> Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = file.set_len(0);
        cut.map_err(|e| Error::host(format!("write {}", self.path.display()), e))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // What it says is left for the next push.
        if file.metadata().is_ok_and(|found| found.len() == 0) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn flat(chunk: &PackedChunk) -> ([u8; ChunkHash::LEN], u32, u32, u32, u32, u8) {
    let place = &chunk.place;
    (
        *chunk.hash.as_bytes(),
        place.piece,
        place.offset,
        place.stored_len,
        place.len,
        place.packing.to_raw(),
    )
}

/// What a journal says, as far as it is whole: a kill may have left half a line.
fn read(path: &Path) -> Vec<PackedChunk> {
    let bytes = fs::read(path).unwrap_or_default();
    let lines = bytes.split(|&byte| byte == b'\n');
    lines.filter_map(parse).flatten().collect()
}

fn parse(line: &[u8]) -> Option<Vec<PackedChunk>> {
    let line: Line = serde_json::from_slice(line).ok()?;
    if blake3::hash(line.entry.as_bytes()).to_hex().as_str() != line.sum {
        return None;
    }
    let entry: Entry = serde_json::from_str(&line.entry).ok()?;
    let chunk = |(hash, piece, offset, stored_len, len, packing)| {
        Some(PackedChunk {
            hash: ChunkHash::from_bytes(hash),
            place: Place {
                pack: entry.pack,
                piece,
                offset,
                stored_len,
                len,
                packing: Packing::from_raw(packing)?,
            },
        })
    };
    entry.chunks.iter().copied().map(chunk).collect()
}
