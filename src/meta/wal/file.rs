//! The write-ahead log's file, beside SQLite: written ahead with zeros.
//!
//! An own descriptor on `-wal` is safe, unlike one on the database or on `-shm`: SQLite locks only those.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::meta::database::stop::Stop;
use crate::meta::error::{Error, Result};
use crate::meta::wal::beside::SyncBeside;

/// The log is written ahead to this length, so that syncing it need not change the file's size on the
/// host. SQLite overwrites it from the start after each checkpoint, and stops reading at the first frame
/// that is not of the present log: zeros never are (sqlite.org/fileformat2.html, section 4.1).
pub(in crate::meta) const WRITTEN_AHEAD_BYTES: u64 = 4 * 1024 * 1024;

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
        let file = File::options().append(true).open(log_path(path));
        let file = file.map_err(|source| Error::Wal { op: "open", source })?;
        let file = Self {
            file: Arc::new(file),
            beside: OnceLock::new(),
            stop,
        };
        if let Err(error) = file.write_ahead() {
            log::debug!("cannot write ahead in the log: {error}");
            file.lengthen().map_err(|source| Error::Wal {
                op: "lengthen",
                source,
            })?;
        }
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

    fn write_ahead(&self) -> io::Result<()> {
        let zeros = vec![0; 256 * 1024];
        while self.file.metadata()?.len() < WRITTEN_AHEAD_BYTES {
            (&*self.file).write_all(&zeros)?;
        }
        Ok(())
    }
}
