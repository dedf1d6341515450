//! Space kept aside, so that files can still be removed when the disk is full.
//!
//! Even a removal makes the log or the database grow. While the reserve is given up, nothing that needs
//! new space is accepted. How much is kept follows how large the tables are (`wanted`): it is taken before a commit lets
//! them grow.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};

use crate::types::{about_to_wait, wait_for_lock};
use crate::volume::error::{Error, Result};
use crate::volume::layout::DATABASE;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

const FILE: &str = "reserve";
/// `reserve.probe` is there for a moment.
const PROBE: &str = "probe";

/// What a new volume's database takes, and a few pages: of removals there, all is in [`NEW_BYTES`].
const NEW_DATABASE_BYTES: u64 = 128 * 1024;
/// Bytes kept aside for a database of that size.
const NEW_BYTES: u64 = 96 * 1024;
/// Bytes kept aside for each byte that the database has beyond it (docs/decisions/0035-a-reserve-that-grows.md).
const BYTES_PER_BYTE: u64 = 8;
/// Enough for a database of any size, and for copies whose extents are still to be written.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// The part of it that the log may grow by between two checkpoints while it is given up; the rest is for one more
/// transaction, and for the database itself.
const LOG_PART: u64 = 4;

/// What can be written before what was taken back is given up again: a part of what is wanted, and after the first time
/// more than one write takes, or each write would find the reserve whole and give it up.
const SPARE_PART: u64 = 8;
const SPARE_BYTES_MIN: u64 = 2 * 1024 * 1024;

/// More than SQLite's index of the log and `state` take.
const OPENING_BYTES: u64 = 1024 * 1024;

/// The reserve of one open volume.
#[derive(Debug)]
pub(in crate::volume) struct Reserve {
    path: PathBuf,
    kept: Mutex<Kept>,
}

/// What there is of it, and what there should be.
#[derive(Debug)]
struct Kept {
    /// Bytes, for tables as large as they are.
    wanted: u64,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// So many bytes: what is wanted or more, or at least [`least`] of it.
    Some { file: File, bytes: u64 },
    /// Nothing, until so many bytes are free.
    GivenUp { until_free: u64 },
}

/// Bytes that must be kept aside for a database of `database` bytes.
fn wanted(database: u64) -> u64 {
    let more = database.saturating_sub(NEW_DATABASE_BYTES);
    (NEW_BYTES + more.saturating_mul(BYTES_PER_BYTE)).min(MOST_BYTES)
}

/// The least that will do, taken when there is not room for all of it: what is left above that can be written.
const fn least(wanted: u64) -> u64 {
    wanted / 4 * 3
}

/// Bytes that must be free for the least to be taken back at first.
const fn return_at(wanted: u64) -> u64 {
    least(wanted) + wanted / SPARE_PART
}

impl Kept {
    fn is_whole(&self) -> bool {
        matches!(self.held, Held::Some { bytes, .. } if bytes >= self.wanted)
    }

    const fn is_given_up(&self) -> bool {
        matches!(self.held, Held::GivenUp { .. })
    }

    /// Has as much as `wanted` bytes ask for; on an error all is as it was. What was whole stays so, or has to be given up
    /// first: of that the least comes back, and some space to write. What was given up is wanted so when it is taken back.
    fn grow(&mut self, wanted: u64) -> io::Result<()> {
        match &mut self.held {
            Held::GivenUp { until_free } => *until_free = (*until_free).max(return_at(wanted)),
            Held::Some { file, bytes } => {
                let enough = if *bytes >= self.wanted {
                    wanted
                } else {
                    least(wanted)
                };
                *bytes = grown(file, *bytes, wanted, enough)?;
            }
        }
        self.wanted = wanted;
        Ok(())
    }
}

impl Reserve {
    /// Opens the reserve in `dir`; on a disk that is full by now it starts as given up.
    ///
    /// # Errors
    /// [`Error::Storage`] when its file cannot be opened.
    pub(in crate::volume) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let cannot = |e| Error::storage(format!("cannot open {}", path.display()), e);
        let file = open(&path).map_err(cannot)?;
        let had = file.metadata().map_err(cannot)?.len();
        let database = fs::metadata(dir.join(DATABASE)).map_or(0, |database| database.len());
        let wanted = wanted(database);
        // Also what it has: in a copy of a volume that may be a hole.
        let all = wanted.max(had);
        let held = match take(&file, had, all).map(|()| all) {
            Ok(bytes) => Held::Some { file, bytes },
            // A server before this one had that.
            Err(_) if had >= least(wanted) => Held::Some { file, bytes: had },
            Err(_) => match grown(&file, 0, wanted, least(wanted)) {
                Ok(bytes) => Held::Some { file, bytes },
                Err(_) => Held::GivenUp {
                    until_free: return_at(wanted),
                },
            },
        };
        let kept = Mutex::new(Kept { wanted, held });
        Ok(Self { path, kept })
    }

    /// Keeps aside what a database of `database` bytes needs, before it is as large as that. Nothing is asked of a reserve
    /// that was given up: what grows then is what removes.
    ///
    /// # Errors
    /// I/O errors, a full disk among them; what was kept is kept.
    pub(in crate::volume) fn cover(&self, database: u64) -> io::Result<()> {
        let mut kept = self.locked();
        let wanted = wanted(database);
        if wanted <= kept.wanted {
            return Ok(());
        }
        kept.grow(wanted)
    }

    /// Keeps aside what copies need whose extents are written after the answer, which are more than what the tables hold
    /// already; whether it could.
    pub(in crate::volume) fn cover_copies(&self) -> bool {
        let mut kept = self.locked();
        !kept.is_given_up() && kept.grow(MOST_BYTES).is_ok()
    }

    /// Takes back what was given up, or the least of it, for whoever opens the volume next: nothing is written any more,
    /// and what was spent on the way is little.
    pub(in crate::volume) fn restore(&self) {
        let mut kept = self.locked();
        if kept.is_given_up()
            && let Ok(file) = open(&self.path)
            && let Ok(bytes) = grown(&file, 0, kept.wanted, least(kept.wanted))
        {
            kept.held = Held::Some { file, bytes };
        }
    }

    /// Gives back what a database of `database` bytes does not need, where nothing is left to be copied.
    pub(in crate::volume) fn shrink(&self, database: u64) {
        let mut kept = self.locked();
        let wanted = wanted(database);
        if let Held::Some { file, bytes } = &mut kept.held
            && *bytes > wanted
        {
            match file.set_len(wanted) {
                Ok(()) => *bytes = wanted,
                Err(error) => log::debug!("{} stays as it is: {error}", self.path.display()),
            }
        }
    }

    /// How long the log may become by what removes while the reserve is given up, and one transaction more.
    pub(in crate::volume) fn log_bytes(&self) -> u64 {
        self.locked().wanted / LOG_PART
    }

    /// Whether the space is kept aside, or the least of it; tries to get it back when it was given up.
    pub(in crate::volume) fn is_whole(&self) -> bool {
        let mut kept = self.locked();
        if !kept.is_whole() {
            self.take_back(&mut kept);
        }
        !kept.is_given_up()
    }

    /// Asks the filesystem first, and then by taking: a quota does not show in what is free.
    fn take_back(&self, kept: &mut Kept) {
        let (wanted, free) = (kept.wanted, free_bytes(&self.path));
        let (had, has_least_free) = match kept.held {
            Held::Some { bytes, .. } => (bytes, false),
            Held::GivenUp { until_free } => (0, free >= until_free),
        };
        // With as much again beside it: else taking the reserve would be what fills the disk.
        let has_all_free = free >= wanted + wanted.max(SPARE_BYTES_MIN);
        if !has_least_free && !has_all_free {
            return;
        }
        about_to_wait();
        let Ok(file) = open(&self.path) else {
            return;
        };
        if has_all_free && take(&file, had, wanted).is_ok() {
            log::info!("there is space again: {} is whole", self.path.display());
            kept.held = Held::Some {
                file,
                bytes: wanted,
            };
        } else if has_least_free && take(&file, had, least(wanted)).is_ok() {
            kept.held = Held::Some {
                file,
                bytes: least(wanted),
            };
        }
    }

    /// Gives the space up if there is not even as much as opening a database takes; whether that is so.
    pub(in crate::volume) fn release_if_needed(&self) -> bool {
        let is_needed = free_bytes(&self.path) < OPENING_BYTES;
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
        let mut kept = self.locked();
        let (was_whole, wanted) = (kept.is_whole(), kept.wanted);
        if kept.is_given_up() {
            return;
        }
        let until_free = return_at(wanted);
        let held = mem::replace(&mut kept.held, Held::GivenUp { until_free });
        let Held::Some { file, .. } = held else {
            return;
        };
        about_to_wait();
        // Asked while there is no space: after the next line the host would not say any more why.
        let cause = cause_of(&file);
        self.give_back(file);
        if !was_whole {
            let spare = (wanted / SPARE_PART).max(SPARE_BYTES_MIN);
            let until_free = free_bytes(&self.path).saturating_add(spare);
            kept.held = Held::GivenUp { until_free };
        }
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

    fn locked(&self) -> MutexGuard<'_, Kept> {
        wait_for_lock(&self.kept)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    // Not truncated: its length is the space that is kept aside.
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path)
}

/// Why nothing more can be written, as the host says it.
fn cause_of(file: &File) -> String {
    let end = file.metadata().map_or(0, |file| file.len());
    match fallocate(file, FallocateFlags::KEEP_SIZE, end, OPENING_BYTES) {
        Ok(()) => "the disk was full a moment ago".to_owned(),
        Err(error) => format!("there is no more space ({})", io::Error::from(error)),
    }
}

/// Of the filesystem that `path` is in, whether it is there itself or not.
fn free_bytes(path: &Path) -> u64 {
    let dir = path.parent().unwrap_or(path);
    statvfs(dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize))
}

/// Sets `wanted` bytes aside where `had` are, or `enough`; how many there are then. On an error as many as before.
fn grown(file: &File, had: u64, wanted: u64, enough: u64) -> io::Result<u64> {
    if had >= wanted {
        return Ok(had);
    }
    match take(file, had, wanted) {
        Ok(()) => Ok(wanted),
        Err(_) if had >= enough => Ok(had),
        Err(error) if enough == wanted => Err(error),
        Err(_) => take(file, had, enough).map(|()| enough),
    }
}

/// Sets so much aside in all where there is `had`, or leaves that.
fn take(file: &File, had: u64, bytes: u64) -> io::Result<()> {
    // A file may not be as large as that, where a limit of the process stayed; still larger than the log then.
    let limit = getrlimit(Resource::Fsize).current;
    let bytes = limit.map_or(bytes, |limit| limit.min(bytes));
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Where space cannot be kept aside (some network filesystems) the volume does without.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            // What was set aside before it failed.
            file.set_len(had)?;
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn volume(database: u64) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join(DATABASE)).unwrap();
        file.set_len(database).unwrap();
        dir
    }

    fn bytes(dir: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(dir.join(FILE)).unwrap().blocks() * 512
    }

    #[test]
    fn it_grows_with_the_database_up_to_a_bound() {
        let dir = volume(116 * 1024);
        let reserve = Reserve::open(dir.path()).unwrap();
        assert_eq!(bytes(dir.path()), NEW_BYTES);
        for (database, kept) in [
            (NEW_DATABASE_BYTES, NEW_BYTES),
            (MIB, NEW_BYTES + 7 * MIB),
            (MIB / 2, NEW_BYTES + 7 * MIB),
            (100 * MIB, MOST_BYTES),
        ] {
            reserve.cover(database).unwrap();
            assert_eq!(bytes(dir.path()), kept, "{database}");
        }
        assert!(reserve.is_whole());
        assert_eq!(reserve.log_bytes(), MOST_BYTES / LOG_PART);
    }

    #[test]
    fn what_an_earlier_cask_kept_is_given_back_at_the_end() {
        let dir = volume(116 * 1024);
        let old = File::create(dir.path().join(FILE)).unwrap();
        old.set_len(MOST_BYTES).unwrap();
        let reserve = Reserve::open(dir.path()).unwrap();
        assert_eq!(bytes(dir.path()), MOST_BYTES, "a hole is none");
        reserve.shrink(116 * 1024);
        assert_eq!(bytes(dir.path()), NEW_BYTES);
        assert!(reserve.cover_copies());
        assert_eq!(bytes(dir.path()), MOST_BYTES);
    }

    #[test]
    fn one_that_was_given_up_is_there_for_the_next() {
        let dir = volume(MIB);
        let reserve = Reserve::open(dir.path()).unwrap();
        let whole = bytes(dir.path());
        reserve.release();
        assert_eq!(bytes(dir.path()), 0);
        reserve.restore();
        assert_eq!(bytes(dir.path()), whole);
    }

    #[test]
    fn one_that_was_given_up_grows_when_it_comes_back() {
        let dir = volume(116 * 1024);
        let reserve = Reserve::open(dir.path()).unwrap();
        reserve.release();
        reserve.cover(MIB).unwrap();
        assert_eq!(bytes(dir.path()), 0);
        assert!(!reserve.cover_copies());
        assert!(reserve.is_whole());
        assert_eq!(bytes(dir.path()), NEW_BYTES + 7 * MIB);
    }
}
