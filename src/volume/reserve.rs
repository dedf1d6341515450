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

use super::{Error, Result};

const FILE: &str = "reserve";
/// Bytes kept aside: more than the metadata grows while everything in a volume is removed, for the log
/// is begun anew at 16 MiB and pages of removed rows are used again.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

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
        let given_up = fill(&file).is_err();
        Ok(Self {
            file,
            path,
            given_up: Mutex::new(given_up),
        })
    }

    /// Whether the space is kept aside; tries to get it back when it was given up.
    pub(super) fn is_whole(&self) -> bool {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if *given_up && has_room(&self.file) && fill(&self.file).is_ok() {
            log::info!("there is space again: {} is whole", self.path.display());
            *given_up = false;
        }
        !*given_up
    }

    /// Gives the space up, for removals to use; whether there was any to give.
    pub(super) fn release(&self) -> bool {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if *given_up {
            return false;
        }
        log::warn!("the disk is full: {} was given up", self.path.display());
        *given_up = true;
        self.file.set_len(0).is_ok()
    }
}

/// Whether the disk has twice the reserve free, so that taking it back does not fill it again.
fn has_room(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) >= 2 * RESERVE_BYTES)
}

fn fill(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        // Where space cannot be kept aside (some network filesystems) the volume does without.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        result => Ok(result?),
    }
}
