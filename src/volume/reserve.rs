//! Space kept aside, so that files can still be removed when the disk is full.
//!
//! Even a removal makes the log or the database grow. While the reserve is given up, nothing that needs
//! new space is accepted.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::process::{Resource, getrlimit};

use super::{Error, Result};

const FILE: &str = "reserve";
/// Bytes kept aside: more than the log grows by between two checkpoints, which is 16 MiB and one
/// transaction. The database's own growth is set aside before each commit.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// More than SQLite's index of the log and `state` take.
const OPENING_BYTES: u64 = 1024 * 1024;

/// The reserve of one open volume.
#[derive(Debug)]
pub(super) struct Reserve {
    file: File,
    path: PathBuf,
    given_up: Mutex<bool>,
}

impl Reserve {
    /// Opens the reserve in `dir`; on a disk that is full by now it starts as given up.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let mut options = File::options();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file =
            file.map_err(|e| Error::storage(format!("cannot open {}", path.display()), e))?;
        let given_up = take(&file).is_err();
        Ok(Self {
            file,
            path,
            given_up: Mutex::new(given_up),
        })
    }

    /// Whether the space is kept aside; tries to get it back when it was given up.
    pub(super) fn is_whole(&self) -> bool {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if *given_up && has_room(&self.file) && take(&self.file).is_ok() {
            log::info!("there is space again: {} is whole", self.path.display());
            *given_up = false;
        }
        !*given_up
    }

    /// Gives the space up if there is not even as much as opening a database takes; whether that is so.
    pub(super) fn release_if_needed(&self) -> bool {
        let is_needed = !has_free(&self.file, OPENING_BYTES);
        if is_needed {
            self.release();
        }
        is_needed
    }

    /// Gives the space up, for removals to use.
    pub(super) fn release(&self) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if *given_up {
            return;
        }
        log::warn!("the disk is full: {} was given up", self.path.display());
        *given_up = true;
        give_back(&self.file);
    }
}

/// Whether the disk has twice the reserve free, so that taking it back does not fill it again.
fn has_room(file: &File) -> bool {
    has_free(file, 2 * RESERVE_BYTES)
}

fn has_free(file: &File, bytes: u64) -> bool {
    fstatvfs(file).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) >= bytes)
}

/// Sets the space aside, all of it or none.
fn take(file: &File) -> io::Result<()> {
    // A file may not be as large as that, where a limit of the process stayed; still larger than the log then.
    let limit = getrlimit(Resource::Fsize).current;
    let bytes = limit.map_or(RESERVE_BYTES, |limit| limit.min(RESERVE_BYTES));
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // Where space cannot be kept aside (some network filesystems) the volume does without.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => {
            give_back(file);
            Err(error.into())
        }
    }
}

fn give_back(file: &File) {
    if let Err(error) = file.set_len(0) {
        log::warn!("cannot give the reserve back: {error}");
    }
}
