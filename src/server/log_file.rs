//! The log of a volume's processes: `server.log` in its directory, and one older file. Neither grows beyond a bound.
//!
//! Supervisor and server write to one file, each through its own standard error: who finds it full puts it aside, and who
//! finds that done goes on in the new one.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::durable;

const LOG: &str = "server.log";
const OLD_LOG: &str = "server.log.old";
const BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Opens the log of the volume in `dir`, for whoever is about to serve it.
///
/// # Errors
/// I/O errors.
pub(super) fn open(dir: &Path) -> io::Result<File> {
    let path = dir.join(LOG);
    if fs::metadata(&path).is_ok_and(|log| log.len() >= BYTES_MAX) {
        durable::rename(&path, &dir.join(OLD_LOG))?;
    }
    append_to(&path)
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true).mode(0o600).open(path)
}

/// Has this process's standard output and error, which are the log of the volume in `dir`, go on in a new file when
/// that one is full. Cheap: for every line.
///
/// # Errors
/// When the new file cannot be made; the old one is written to further then.
pub fn bound_log(dir: &Path) -> io::Result<()> {
    let current = rustix::fs::fstat(io::stderr())?;
    if u64::try_from(current.st_size).unwrap_or(0) < BYTES_MAX {
        return Ok(());
    }
    // A lock of the process: the file's own would be one for all who inherited it.
    if fcntl_lock(io::stderr(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    let path = dir.join(LOG);
    let is_ours = |log: &fs::Metadata| (log.dev(), log.ino()) == (current.st_dev, current.st_ino);
    if fs::metadata(&path).is_ok_and(|log| is_ours(&log)) {
        durable::rename(&path, &dir.join(OLD_LOG))?;
    }
    let fresh = append_to(&path)?;
    rustix::stdio::dup2_stdout(fresh.as_fd())?;
    rustix::stdio::dup2_stderr(fresh.as_fd())?;
    Ok(())
}
