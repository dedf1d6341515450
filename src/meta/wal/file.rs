//! The write-ahead log's file, beside SQLite: written ahead with zeros, in steps, as it is used.
//!
//! An own descriptor on `-wal` is safe, unlike one on the database or on `-shm`: SQLite locks only those.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::meta::database::stop::Stop;
use crate::meta::error::{Error, Result, is_full};
use crate::meta::wal::beside::SyncBeside;
use rustix::fs::{SeekFrom, seek};

/// The log is at least as long as this, at first without space, and written ahead up to here, so that syncing it need
/// not change what the host knows of the file. SQLite overwrites it from the start after each checkpoint, and stops
/// reading at the first frame that is not of the present log: zeros never are (sqlite.org/fileformat2.html, section
/// 4.1).
pub(in crate::meta) const WRITTEN_AHEAD_BYTES: u64 = 4 * 1024 * 1024;
/// So many bytes are written ahead of the last commit, or the next step is due: as much as small commits take.
const AHEAD_MIN: u64 = 64 * 1024;
/// A step doubles what is written, up to this: no commit is held up by more zeros than a millisecond's worth.
const STEP_BYTES_MAX: u64 = 1024 * 1024;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// An own descriptor on the log.
#[derive(Debug)]
pub(in crate::meta) struct WalFile {
    file: Arc<File>,
    /// From the first sync on that runs beside another.
    beside: OnceLock<Option<SyncBeside>>,
    stop: Arc<Stop>,
}

/// The log of the database at `path`.
#[must_use]
pub fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

impl WalFile {
    /// Opens the log of the database at `path`, which a connection has made already. `stop` hears of a sync that fails
    /// beside another.
    pub(in crate::meta) fn open(path: &Path, stop: Arc<Stop>) -> Result<Self> {
        // Not for appending: pwrite(2) would then append, too.
        let file = File::options().write(true).open(log_path(path));
        let file = file.map_err(|source| Error::Wal { op: "open", source })?;
        let file = Self {
            file: Arc::new(file),
            beside: OnceLock::new(),
            stop,
        };
        file.lengthen().map_err(|source| Error::Wal {
            op: "lengthen",
            source,
        })?;
        Ok(file)
    }

    /// Makes the log as long as one that is written ahead, without space: a shorter one counts as damaged.
    fn lengthen(&self) -> io::Result<()> {
        if self.file.metadata()?.len() < WRITTEN_AHEAD_BYTES {
            self.file.set_len(WRITTEN_AHEAD_BYTES)?;
        }
        Ok(())
    }

    /// Makes durable what is in the log.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    /// The same, while `meanwhile` runs.
    pub(super) fn sync_while<T>(&self, meanwhile: impl FnOnce() -> T) -> (T, io::Result<()>) {
        let start = || {
            let started = SyncBeside::start(Arc::clone(&self.file), Arc::clone(&self.stop));
            // One after the other is slower, and as safe.
            started
                .inspect_err(|e| log::warn!("no thread for the log: {e}"))
                .ok()
        };
        match self.beside.get_or_init(start) {
            Some(beside) => beside.sync_while(meanwhile),
            None => (meanwhile(), self.sync()),
        }
    }

    /// How much of the log has space on the host, from its beginning on.
    pub(in crate::meta) fn written(&self) -> u64 {
        // Without holes (lseek(2), `SEEK_HOLE`) it ends where the file does; where nobody can say, it counts as written.
        seek(&*self.file, SeekFrom::Hole(0)).unwrap_or(WRITTEN_AHEAD_BYTES)
    }

    /// Writes the next step of zeros, where it is due: `used` is where the log ends with its last commit, `written` how
    /// much of it has space. Nobody else may write to the log meanwhile. Returns how much counts as written then.
    pub(in crate::meta) fn write_ahead(&self, used: u64, written: u64) -> u64 {
        let Some((from, to)) = step(used, written) else {
            return written;
        };
        let mut at = from;
        while at < to {
            let len = usize::try_from(to - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            match self.file.write_all_at(&ZEROS[..len], at) {
                Ok(()) => {}
                // A sync is slower for it, and the next step tries again.
                Err(error) if is_full(error.kind()) => {
                    log::debug!("cannot write ahead in the log: {error}");
                    break;
                }
                // Invariant 6: what the disk does with commits can be no better.
                Err(error) => {
                    self.stop.set(format!("cannot write to the log: {error}"));
                    break;
                }
            }
            at += len as u64;
        }
        to
    }
}

/// What is to be written ahead next, if anything is.
fn step(used: u64, written: u64) -> Option<(u64, u64)> {
    let is_due = used + AHEAD_MIN > written && written < WRITTEN_AHEAD_BYTES;
    let from = used.max(written);
    let to = from + from.clamp(AHEAD_MIN, STEP_BYTES_MAX);
    let to = to.next_multiple_of(AHEAD_MIN).min(WRITTEN_AHEAD_BYTES);
    (is_due && from < to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_written_ahead_in_steps_that_double() {
        let (mut written, mut steps) = (0, 0);
        for used in (0..2 * WRITTEN_AHEAD_BYTES).step_by(4120) {
            if let Some((from, to)) = step(used, written) {
                assert!(from >= used && to > from && to <= WRITTEN_AHEAD_BYTES);
                assert!(to - from <= STEP_BYTES_MAX + AHEAD_MIN);
                (written, steps) = (to, steps + 1);
            }
            assert!(written >= WRITTEN_AHEAD_BYTES.min(used + AHEAD_MIN));
        }
        assert!(steps < 12, "{steps} steps");
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a scratch file need not be durable"
    )]
    fn zeros_come_behind_what_is_used_and_take_space_then_only() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        std::fs::write(log_path(&path), [7; 5000]).unwrap();
        let file = WalFile::open(&path, Arc::default()).unwrap();
        let log = || std::fs::metadata(log_path(&path)).unwrap();
        assert_eq!(log().len(), WRITTEN_AHEAD_BYTES);
        assert!(log().blocks() * 512 <= 16 * 1024);
        assert!((5000..=8192).contains(&file.written()));
        let written = file.write_ahead(5000, file.written());
        assert!(written >= 5000 + AHEAD_MIN);
        assert_eq!(file.written(), written);
        assert_eq!(std::fs::read(log_path(&path)).unwrap()[..5000], [7; 5000]);
        assert_eq!(file.write_ahead(5000, written), written, "none is due");
    }
}
