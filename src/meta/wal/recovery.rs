//! The log after a power cut: which commits it holds, and cutting it back to one of them.
//!
//! Works on the files, before SQLite opens the database. The layout is that of sqlite.org/fileformat2.html,
//! section 4: a header of 32 bytes, then frames of 24 bytes and a page; a frame counts if its salts are those of
//! the header and its checksum, which runs over all frames before it, is right.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::meta::schema::connect::{self, Role};
use crate::meta::vfs::page_sum::PAGE_BYTES;
use crate::meta::wal::file::{WRITTEN_AHEAD_BYTES, log_path};
use crate::meta::{Error, Result, Session};

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
pub struct UncleanLog {
    database: PathBuf,
    /// The oldest first.
    commits: Vec<Commit>,
    length: Option<u64>,
    /// Commits behind damage, which SQLite does not see.
    lost: usize,
}

impl UncleanLog {
    /// Reads the log of the database at `path`; one that is not there, or begins with nothing valid, holds no commit.
    pub fn read(path: &Path) -> Result<Self> {
        let mut log = Self {
            database: path.to_owned(),
            commits: Vec::new(),
            length: None,
            lost: 0,
        };
        match File::open(log_path(path)) {
            Ok(mut file) => {
                log.length = Some(file.metadata().map_err(failed("read"))?.len());
                (log.commits, log.lost) = commits(&mut file).map_err(failed("read"))?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("read")(e)),
        }
        Ok(log)
    }

    /// What is wrong with the log of a volume whose server was killed, in a sentence.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let lost = "of what was done since the last checkpoint, some may be lost";
        match (self.length, self.lost) {
            (None, _) => Some(format!("log: it is missing: {lost}")),
            (_, lost) if lost > 0 => Some(format!(
                "log: it is damaged after {} commits, and {lost} behind that are lost",
                self.commits.len()
            )),
            // Whoever opens the log makes it as long as that.
            (Some(length), _) if length < WRITTEN_AHEAD_BYTES => {
                Some(format!("log: it is cut short: {lost}"))
            }
            _ => None,
        }
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
    /// [`Error::Corrupt`].
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
        connect::open(&database, Role::Reader).map(Session::of)
    }

    /// Cuts the log back to `commit`, or to nothing; durable when this returns. What is cut off is kept in `keep`.
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

/// The commits that SQLite sees, and how many more there were behind damage.
fn commits(file: &mut File) -> io::Result<(Vec<Commit>, usize)> {
    let mut header = [0; HEADER_BYTES];
    if !fill(file, &mut header)? {
        return Ok((Vec::new(), 0));
    }
    let order = if word(&header, 0) == MAGIC | 1 {
        u32::from_be_bytes
    } else {
        u32::from_le_bytes
    };
    let sum = Checksum::default().add(&header[..24], order);
    let is_whole =
        word(&header, 0) & !1 == MAGIC && sum == Checksum(word(&header, 24), word(&header, 28));
    let mut frames = Frames {
        order,
        sum,
        salts: is_whole.then(|| header[16..24].to_vec()),
    };
    let page = if is_whole {
        usize::try_from(word(&header, 8)).unwrap_or(0)
    } else {
        PAGE_BYTES
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page];
    let (mut found, mut lost, mut end) = (Vec::new(), 0, HEADER_BYTES as u64);
    let mut is_seen = is_whole;
    while fill(file, &mut frame)? {
        end += frame.len() as u64;
        let follows = frames.follows(&frame);
        is_seen &= follows;
        // The size of the database after a commit; 0 in all other frames.
        let commits = word(&frame, 4) != 0;
        match (is_seen, commits) {
            (true, true) => found.push(Commit { end }),
            (false, true) if follows => lost += 1,
            _ => {}
        }
    }
    Ok((found, lost))
}

/// The frames of a log, one after another.
struct Frames {
    order: fn([u8; 4]) -> u32,
    sum: Checksum,
    /// Those of the header; where that is damaged, of the first frame that has some.
    salts: Option<Vec<u8>>,
}

impl Frames {
    /// Whether a frame is of this log, and follows the one before it. What that said of itself is believed.
    fn follows(&mut self, frame: &[u8]) -> bool {
        let sum = self
            .sum
            .add(&frame[..8], self.order)
            .add(&frame[FRAME_HEADER_BYTES..], self.order);
        let said = Checksum(word(frame, 16), word(frame, 20));
        self.sum = said;
        if self.salts.is_none() && frame[8..16] != [0; 8] {
            self.salts = Some(frame[8..16].to_vec());
        }
        self.salts.as_deref() == Some(&frame[8..16]) && sum == said
    }
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
        let log = UncleanLog::read(&path).unwrap();
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
        assert_eq!(
            UncleanLog::read(&path).unwrap().commits().len(),
            all - 4 + 1
        );
    }

    #[test]
    fn a_damaged_frame_ends_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        Database::create(&path, |_| Ok(())).unwrap();
        let database = Database::open(&path).unwrap();
        orphans(&database, 10..30);
        drop(database);
        let all = UncleanLog::read(&path).unwrap();
        assert_eq!(all.damage(), None);
        let middle = all.commits()[all.commits().len() / 2];
        let file = File::options().write(true).open(log_path(&path)).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", middle.end + 100).unwrap();
        let cut = UncleanLog::read(&path).unwrap();
        assert_eq!(cut.commits().last(), Some(&middle));
        let said = cut.damage().unwrap();
        assert!(said.contains("behind that are lost"), "{said}");
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 0).unwrap();
        let gone = UncleanLog::read(&path).unwrap();
        assert_eq!(gone.commits(), []);
        assert!(gone.damage().unwrap().contains("behind that are lost"));
    }
}
