//! Space kept aside, so that files can still be removed when the disk is full.
//!
//! Even a removal makes the log or the database grow. While the reserve is given up, nothing that needs
//! new space is accepted.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};

use crate::types::{about_to_wait, wait_for_lock};
use crate::volume::error::{Error, Result};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

const FILE: &str = "reserve";
/// `reserve.probe` is there for a moment.
const PROBE: &str = "probe";
/// Bytes kept aside: more than the log grows by between two checkpoints, which is 16 MiB and one
/// transaction. The database's own growth is set aside before each commit.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;
/// The least that will do, taken when there is not room for all of it: what is left above that can be written.
const LEAST_BYTES: u64 = 24 * 1024 * 1024;

/// What can be written before the least is given up again.
const SPARE_BYTES: u64 = 4 * 1024 * 1024;

/// More than SQLite's index of the log and `state` take.
const OPENING_BYTES: u64 = 1024 * 1024;

/// The reserve of one open volume.
#[derive(Debug)]
pub(in crate::volume) struct Reserve {
    path: PathBuf,
    held: Mutex<Held>,
}

/// What there is of it.
#[derive(Debug)]
enum Held {
    Whole(File),
    Least(File),
    GivenUp,
}

impl Reserve {
    /// Opens the reserve in `dir`; on a disk that is full by now it starts as given up.
    pub(in crate::volume) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = open(&path)
            .map_err(|e| Error::storage(format!("cannot open {}", path.display()), e))?;
        let held = Mutex::new(match take(&file, RESERVE_BYTES) {
            Ok(()) => Held::Whole(file),
            Err(_) if holds_least(&file) => Held::Least(file),
            Err(_) => Held::GivenUp,
        });
        Ok(Self { path, held })
    }

    /// Whether the space is kept aside, or the least of it; tries to get it back when it was given up.
    pub(in crate::volume) fn is_whole(&self) -> bool {
        let mut held = self.locked();
        if !matches!(*held, Held::Whole(_)) {
            self.take_back(&mut held);
        }
        !matches!(*held, Held::GivenUp)
    }

    /// Asks the filesystem first, and then by taking: a quota does not show in what is free.
    fn take_back(&self, held: &mut Held) {
        let least =
            matches!(held, Held::GivenUp) && has_free(&self.path, LEAST_BYTES + SPARE_BYTES);
        // With as much again beside it: else taking the reserve would be what fills the disk.
        let all = has_free(&self.path, 2 * RESERVE_BYTES);
        if !least && !all {
            return;
        }
        about_to_wait();
        let Ok(file) = open(&self.path) else {
            return;
        };
        if all && take(&file, RESERVE_BYTES).is_ok() {
            log::info!("there is space again: {} is whole", self.path.display());
            *held = Held::Whole(file);
        } else if least && take(&file, LEAST_BYTES).is_ok() {
            *held = Held::Least(file);
        }
    }

    /// Gives the space up if there is not even as much as opening a database takes; whether that is so.
    pub(in crate::volume) fn release_if_needed(&self) -> bool {
        let is_needed = !has_free(&self.path, OPENING_BYTES);
        if is_needed {
            self.release();
        }
        is_needed
    }

    /// Does something that must work on a full disk, too.
    pub(in crate::volume) fn spend_on<T>(&self, act: impl Fn() -> Result<T>) -> Result<T> {
        match act() {
            Err(Error::NoSpace) => {
                self.release();
                act()
            }
            result => result,
        }
    }

    /// Gives the space up, for removals to use.
    pub(in crate::volume) fn release(&self) {
        let mut held = self.locked();
        let (Held::Whole(file) | Held::Least(file)) = std::mem::replace(&mut *held, Held::GivenUp)
        else {
            return;
        };
        about_to_wait();
        // Asked while there is no space: after the next line the host would not say any more why.
        let cause = cause_of(&file);
        self.give_back(file);
        // Now that there is space: the log is on the same disk.
        log::warn!("{cause}: {} was given up", self.path.display());
    }

    /// Whether there is room for so many bytes more, found out by taking them for a moment: a quota shows nowhere else.
    pub(in crate::volume) fn can_have(&self, bytes: u64) -> bool {
        let path = self.path.with_extension(PROBE);
        let had = open(&path).map(|file| {
            let had = fallocate(&file, FallocateFlags::empty(), 0, bytes);
            // Where nothing can be set aside the question has no answer: the write itself will find out.
            matches!(had, Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS))
        });
        if let Err(error) = fs::remove_file(&path) {
            log::warn!("cannot remove {}: {error}", path.display());
        }
        had.unwrap_or(false)
    }

    /// Btrfs lets nobody shorten a file where a quota is used up, but remove one.
    fn give_back(&self, file: File) {
        if file.set_len(0).is_ok() {
            return;
        }
        drop(file);
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("cannot give the reserve back: {error}");
        }
    }

    fn locked(&self) -> MutexGuard<'_, Held> {
        wait_for_lock(&self.held)
    }
}

/// Whether the file has kept enough when it could not have all: a server before this one may have taken that.
fn holds_least(file: &File) -> bool {
    file.metadata().is_ok_and(|file| file.len() >= LEAST_BYTES)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    // Not truncated: its length is the space that is kept aside.
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path)
}

/// Why nothing more can be written, as the host says it.
fn cause_of(file: &File) -> String {
    match fallocate(
        file,
        FallocateFlags::KEEP_SIZE,
        RESERVE_BYTES,
        OPENING_BYTES,
    ) {
        Ok(()) => "the disk was full a moment ago".to_owned(),
        Err(error) => format!("there is no more space ({})", io::Error::from(error)),
    }
}

/// Of the filesystem that `path` is in, whether it is there itself or not.
fn has_free(path: &Path, bytes: u64) -> bool {
    let dir = path.parent().unwrap_or(path);
    statvfs(dir).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) >= bytes)
}

/// Sets so much aside in all, or leaves what was.
fn take(file: &File, bytes: u64) -> io::Result<()> {
    // A file may not be as large as that, where a limit of the process stayed; still larger than the log then.
    let limit = getrlimit(Resource::Fsize).current;
    let bytes = limit.map_or(bytes, |limit| limit.min(bytes));
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // Where space cannot be kept aside (some network filesystems) the volume does without.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            // What was set aside before it failed.
            let len = file.metadata()?.len();
            file.set_len(if len < LEAST_BYTES { 0 } else { len })?;
            Err(error.into())
        }
    }
}
