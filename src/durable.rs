//! File operations that have reached the disk when they return.
//!
//! fsync(2) of a file says nothing of its directory entry: each of these syncs both.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is replaced in turns takes a multiple of this, so that a longer text needs no more blocks.
const TURN_BYTES: usize = 4096;

/// Writes `bytes` as the whole content of `path`, mode 0600, replacing what was there: after a crash
/// either the old content or the new is found.
///
/// # Errors
/// Any I/O error; the old content then still stands.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(&with_suffix(path, ".new"), path, bytes)
}

/// The same of a file that others may replace at the same time: one of them is the last. A crash may leave a file beside
/// it, `<path>.<process>-<number>.new`.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_shared_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let suffix = format!(".{}-{number}.new", std::process::id());
    replace_by(&with_suffix(path, &suffix), path, bytes)
}

fn replace_by(fresh: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        // One that a crash left behind is begun anew.
        .truncate(true)
        .mode(0o600)
        .open(fresh)?;
    file.write_all(bytes)?;
    // Before the rename: a power cut could otherwise leave the new name with an empty file.
    file.sync_all()?;
    rename(fresh, path)
}

/// As [`replace_file`], with spaces behind it up to whole blocks, and in the space of what was there one time before, which
/// stays beside it as `<path>.spare`: goes on where the disk has become full since.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_in_turns(path: &Path, text: &[u8]) -> io::Result<()> {
    let spare = with_suffix(path, ".spare");
    let mut blocks = text.to_owned();
    blocks.resize(text.len().next_multiple_of(TURN_BYTES), b' ');
    write_over(&spare, &blocks)?;
    match exchange(&spare, path) {
        // There was none: now there are two.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            rename(&spare, path)?;
            write_over(&spare, &blocks)
        }
        // The filesystem cannot: a spare one is made the next time.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => rename(&spare, path),
        done => done,
    }
}

/// Writes where there are blocks already, if there are.
fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// rename(2), and the directories of both names synced.
///
/// # Errors
/// Any I/O error.
#[expect(clippy::disallowed_methods, reason = "this is the durable rename")]
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    if from.parent() != to.parent() {
        sync_parent(from)?;
    }
    sync_parent(to)
}

/// Gives two existing files or directories each other's name at once, and syncs the directories of both names.
///
/// # Errors
/// Any I/O error; `EINVAL` where the filesystem cannot (renameat2(2), `RENAME_EXCHANGE`).
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?;
    sync_parent(one)?;
    sync_parent(other)
}

/// Syncs the file at `path`.
///
/// # Errors
/// Any I/O error.
pub fn sync_file(path: &Path) -> io::Result<()> {
    // A descriptor for reading will do: fsync(2) writes all dirty pages of the file, whoever made them dirty.
    File::open(path)?.sync_all()
}

/// Syncs the directory at `path`.
///
/// # Errors
/// Any I/O error.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs the directory that holds `path`.
///
/// # Errors
/// Any I/O error.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        // The parent of a bare file name is the empty path, which open(2) refuses.
        _ => sync_dir(Path::new(".")),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_in_turns_keeps_its_blocks_and_those_of_the_other() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let inodes = || {
            let names = std::fs::read_dir(dir.path()).unwrap();
            let mut inodes: Vec<_> = names
                .map(|one| one.unwrap().metadata().unwrap().ino())
                .collect();
            inodes.sort_unstable();
            inodes
        };
        replace_in_turns(&path, b"first").unwrap();
        let both = inodes();
        assert_eq!(both.len(), 2);
        for text in ["a longer one", "short"] {
            replace_in_turns(&path, text.as_bytes()).unwrap();
            let found = std::fs::read_to_string(&path).unwrap();
            assert_eq!((found.trim_end(), found.len()), (text, TURN_BYTES));
            assert_eq!(inodes(), both);
        }
    }

    #[test]
    fn a_file_that_many_replace_at_once_is_that_of_one_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::thread::scope(|scope| {
            for byte in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        replace_shared_file(path, &[byte; 1000]).unwrap();
                    }
                });
            }
        });
        let found = std::fs::read(&path).unwrap();
        assert!(found.len() == 1000 && found.iter().all(|byte| *byte == found[0]));
        let names = std::fs::read_dir(dir.path()).unwrap();
        assert_eq!(names.count(), 1, "nothing is left beside it");
    }
}
