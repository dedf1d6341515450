//! The log after a power cut: which commits it holds, and cutting it back to one of them.
//!
//! Works on the files, before SQLite opens the database. The layout is that of sqlite.org/fileformat2.html,
//! section 4: a header of 32 bytes, then frames of 24 bytes and a page; a frame counts if its salts are those of
//! the header and its checksum, which runs over all frames before it, is right.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::schema::{self, Role};
use super::wal::log_path;
use super::{Error, Result, Session};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The header's first word; the last bit says which byte order its checksums have.
const MAGIC: u32 = 0x377f_0682;

/// A commit in the log: how long the log is when it ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit {
    /// In bytes.
    end: u64,
}

/// The log that a power cut left beside the database.
#[derive(Debug)]
pub struct CutLog {
    database: PathBuf,
    /// The oldest first.
    commits: Vec<Commit>,
}

impl CutLog {
    /// Reads the log of the database at `path`; one that is not there, or begins with nothing valid, holds no commit.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read(path: &Path) -> Result<Self> {
        let commits = match File::open(log_path(path)) {
            Ok(mut file) => commits(&mut file).map_err(failed("read"))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(failed("read")(e)),
        };
        Ok(Self {
            database: path.to_owned(),
            commits,
        })
    }

    /// Its commits, the oldest first.
    #[must_use]
    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// The state that the database has with the log up to `commit`, or without it. Nothing is changed: `scratch`, an
    /// empty directory on the same filesystem, holds a second name of the database and a copy of the log.
    ///
    /// # Errors
    /// I/O errors; [`Error::Corrupt`].
    pub fn state_at(&self, commit: Option<Commit>, scratch: &Path) -> Result<Session> {
        let database = scratch.join("meta.db");
        let log = log_path(&database);
        for old in [&database, &log] {
            match fs::remove_file(old) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("clear")(e)),
                _ => {}
            }
        }
        fs::hard_link(&self.database, &database).map_err(failed("look at"))?;
        if let Some(commit) = commit {
            let from = File::open(log_path(&self.database)).map_err(failed("copy"))?;
            let mut to = File::create(&log).map_err(failed("copy"))?;
            io::copy(&mut from.take(commit.end), &mut to).map_err(failed("copy"))?;
        }
        schema::open(&database, Role::Reader).map(Session::of)
    }

    /// Cuts the log back to `commit`, or to nothing; durable when this returns. What is cut off is kept in `keep`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn cut(&self, commit: Option<Commit>, keep: &Path) -> Result<()> {
        let path = log_path(&self.database);
        fs::copy(&path, keep).map_err(failed("keep"))?;
        let file = File::options()
            .write(true)
            .open(&path)
            .map_err(failed("cut"))?;
        file.set_len(commit.map_or(0, |commit| commit.end))
            .and_then(|()| file.sync_all())
            .map_err(failed("cut"))
    }
}

fn failed(op: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Wal { op, source }
}

/// The running checksum of the log (section 4.2), over words of the header's byte order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(mut self, bytes: &[u8], word: fn([u8; 4]) -> u32) -> Self {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|bytes| word(*bytes));
        while let (Some(a), Some(b)) = (words.next(), words.next()) {
            self.0 = self.0.wrapping_add(a).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(b).wrapping_add(self.0);
        }
        self
    }
}

/// The big-endian word at `at`.
fn word(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(four)
}

fn commits(file: &mut File) -> io::Result<Vec<Commit>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(file, &mut header)? || word(&header, 0) & !1 != MAGIC {
        return Ok(Vec::new());
    }
    let order = if word(&header, 0) & 1 == 1 {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let mut sum = Checksum::default().add(&header[..24], order);
    if sum != Checksum(word(&header, 24), word(&header, 28)) {
        return Ok(Vec::new());
    }
    let page = usize::try_from(word(&header, 8)).unwrap_or(0);
    let mut frame = vec![0; FRAME_HEADER_BYTES + page];
    let (mut found, mut end) = (Vec::new(), HEADER_BYTES as u64);
    while fill(file, &mut frame)? {
        sum = sum
            .add(&frame[..8], order)
            .add(&frame[FRAME_HEADER_BYTES..], order);
        let same_log = frame[8..16] == header[16..24];
        if !same_log || sum != Checksum(word(&frame, 16), word(&frame, 20)) {
            break;
        }
        end += frame.len() as u64;
        // The size of the database after a commit; 0 in all other frames.
        if word(&frame, 4) != 0 {
            found.push(Commit { end });
        }
    }
    Ok(found)
}

/// Fills `bytes`; whether there were as many.
fn fill(file: &mut File, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Database;

    fn orphans(database: &Database, inos: std::ops::Range<u64>) {
        for ino in inos {
            let mut tx = database.write().unwrap();
            tx.insert_orphan(crate::types::Ino::from_raw(ino)).unwrap();
            tx.commit().unwrap();
        }
    }

    #[test]
    fn every_commit_is_found_and_is_the_state_that_it_made() {
        let dir = tempfile::tempdir().unwrap();
        let (path, scratch) = (dir.path().join("meta.db"), dir.path().join("scratch"));
        fs::create_dir(&scratch).unwrap();
        Database::create(&path, |_| Ok(())).unwrap();
        let database = Database::open(&path).unwrap();
        orphans(&database, 10..30);
        // As a kill leaves it: the log stays.
        drop(database);
        let log = CutLog::read(&path).unwrap();
        let all = log.commits().len();
        assert!(all >= 20, "{all}");
        for (i, commit) in log.commits().iter().rev().take(20).enumerate() {
            let state = log.state_at(Some(*commit), &scratch).unwrap();
            assert_eq!(state.orphans().unwrap().len(), 20 - i);
        }
        let before = log.state_at(None, &scratch).unwrap();
        assert_eq!(before.orphans().unwrap().len(), 0);
        drop(before);
        log.cut(Some(log.commits()[all - 5]), &dir.path().join("kept"))
            .unwrap();
        let database = Database::open(&path).unwrap();
        assert_eq!(database.read_once().unwrap().orphans().unwrap().len(), 16);
        orphans(&database, 100..101);
        drop(database);
        assert_eq!(CutLog::read(&path).unwrap().commits().len(), all - 4 + 1);
    }

    #[test]
    fn a_damaged_frame_ends_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        Database::create(&path, |_| Ok(())).unwrap();
        let database = Database::open(&path).unwrap();
        orphans(&database, 10..30);
        drop(database);
        let all = CutLog::read(&path).unwrap();
        let middle = all.commits()[all.commits().len() / 2];
        let file = File::options().write(true).open(log_path(&path)).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", middle.end + 100).unwrap();
        let cut = CutLog::read(&path).unwrap();
        assert_eq!(cut.commits().last(), Some(&middle));
    }
}
