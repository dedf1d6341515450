//! What a push has sent and nobody was told of yet: should its command be killed, the next one need not send it again.

use std::fs::{self, File};
use std::io::{self, Write};
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

/// Journals of commands that have ended, locked for as long as this is held.
#[derive(Debug)]
pub(super) struct Ended(Vec<(PathBuf, File)>);

impl Ended {
    /// All in `dir` that nobody has.
    pub(super) fn in_dir(dir: &Path) -> Result<Self> {
        let cannot = |e| Error::host(format!("read {}", dir.display()), e);
        let mut ended = Vec::new();
        for entry in fs::read_dir(dir).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            // Another push may have taken it over meanwhile.
            let Ok(file) = File::open(&path) else {
                continue;
            };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                ended.push((path, file));
            }
        }
        Ok(Self(ended))
    }

    /// What they say, as far as it is whole.
    pub(super) fn chunks(&self) -> Vec<PackedChunk> {
        self.0.iter().flat_map(|(path, _)| read(path)).collect()
    }

    /// Removes them: what they say was noted elsewhere, or is not true any more.
    pub(super) fn remove(self) -> Result<()> {
        self.0
            .iter()
            .try_for_each(|(path, _)| match fs::remove_file(path) {
                // Its push ended between this one's open(2) and flock(2), and had removed it.
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    Err(Error::host(format!("remove {}", path.display()), e))
                }
                Ok(()) | Err(_) => Ok(()),
            })
    }
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
    /// Begins one in `dir`.
    pub(super) fn begin(dir: &Path) -> Result<Self> {
        make_dir(dir)?;
        loop {
            let journal = Self::make(dir)?;
            // Another push that has locked it before this one did has taken it for one that ended, and removed it.
            if journal.path.exists() {
                return Ok(journal);
            }
        }
    }

    fn make(dir: &Path) -> Result<Self> {
        let name = u64::from_le_bytes(random_bytes()?);
        let path = dir.join(format!("{name:016x}"));
        let cannot = |e| Error::host(format!("create {}", path.display()), e);
        let mut options = File::options();
        let options = options.append(true).create_new(true);
        let file = options.open(&path).map_err(cannot)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
        Ok(Self {
            file: Mutex::new(file),
            path,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whose_push_has_just_removed_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0");
        fs::File::create(&path).unwrap();
        let ended = Ended::in_dir(dir.path()).unwrap();
        fs::remove_file(&path).unwrap();
        ended.remove().unwrap();
    }
}
