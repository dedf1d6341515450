//! The log of a volume's processes: `server.log` in its directory, and one older file. Neither grows beyond a bound.
//!
//! Supervisor and server write to one file, each through its own standard error, and whoever takes over after them: each
//! line is one write(2) that appends, so that lines are whole. Who finds the file full puts it aside, and who finds that
//! done goes on in the new one; a line that was on its way is in the older file. Nothing is put aside that is not full, so
//! what is lost is what is older than both.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::Errno;

const LOG: &str = "server.log";
const OLD_LOG: &str = "server.log.old";
const BYTES_MAX: u64 = 10 * 1024 * 1024;

/// The two files of one volume's log.
#[derive(Debug, Clone)]
pub(super) struct LogFiles {
    dir: PathBuf,
    bytes_max: u64,
}

impl LogFiles {
    /// Of the volume in `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            bytes_max: BYTES_MAX,
        }
    }

    /// Where lines are written.
    pub(super) fn newer(&self) -> PathBuf {
        self.dir.join(LOG)
    }

    /// What was full.
    pub(super) fn older(&self) -> PathBuf {
        self.dir.join(OLD_LOG)
    }

    /// What a process appends to from here on, whose log was `current`; `None` while that is not full.
    ///
    /// # Errors
    /// I/O errors; `current` can be written to further.
    fn next(&self, current: impl AsFd) -> io::Result<Option<File>> {
        let current = fstat(current)?;
        if u64::try_from(current.st_size).unwrap_or(0) < self.bytes_max {
            return Ok(None);
        }
        let file = append_to(&self.newer())?;
        let found = file.metadata()?;
        if (found.dev(), found.ino()) != (current.st_dev, current.st_ino) {
            // Somebody else has put it aside.
            return Ok(Some(file));
        }
        self.put_aside(&file, &found)
    }

    /// Makes the full `file` the older one, and returns the one that follows. One does so at a time, and only while it is
    /// the newer one: who comes second would put a new file in the place of what was just put aside.
    #[expect(
        clippy::disallowed_methods,
        reason = "a log need not be durable, and who logs must not wait for the disk"
    )]
    fn put_aside(&self, file: &File, found: &Metadata) -> io::Result<Option<File>> {
        // flock(2) is of this open file, which other threads and processes do not have; it ends with it. Not waited for:
        // whoever has it may be stopped, and no line must hang for that.
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        let is_newer = |now: Metadata| (now.dev(), now.ino()) == (found.dev(), found.ino());
        if fs::metadata(self.newer()).is_ok_and(is_newer) {
            fs::rename(self.newer(), self.older())?;
        }
        append_to(&self.newer()).map(Some)
    }
}

/// Opens the log of the volume in `dir`, for whoever is about to serve it.
///
/// # Errors
/// I/O errors.
pub(super) fn open(dir: &Path) -> io::Result<File> {
    let files = LogFiles::of(dir);
    let file = append_to(&files.newer())?;
    Ok(files.next(&file)?.unwrap_or(file))
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
    if let Some(fresh) = LogFiles::of(dir).next(io::stderr())? {
        rustix::stdio::dup2_stdout(fresh.as_fd())?;
        rustix::stdio::dup2_stderr(fresh.as_fd())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    const WRITERS: usize = 6;

    /// Each has a file of its own, as a process has. Returns what both files hold.
    fn write_all(files: &LogFiles, lines: usize) -> String {
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    let mut file = append_to(&files.newer()).unwrap();
                    for line in 0..lines {
                        if let Some(fresh) = files.next(&file).unwrap() {
                            file = fresh;
                        }
                        file.write_all(format!("{writer} {line:09}\n").as_bytes())
                            .unwrap();
                    }
                });
            }
        });
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        read(files.older()) + &read(files.newer())
    }

    /// Of each writer the last lines, one after the other, and none twice.
    #[track_caller]
    fn assert_nothing_between_is_lost(text: &str, lines: usize) -> usize {
        (0..WRITERS)
            .map(|writer| {
                let prefix = format!("{writer} ");
                let mine = text.lines().filter_map(|line| line.strip_prefix(&prefix));
                let mut found: Vec<usize> = mine.map(|line| line.parse().unwrap()).collect();
                found.sort_unstable();
                let first = found.first().copied().unwrap_or(lines);
                assert_eq!(found, (first..lines).collect::<Vec<_>>(), "writer {writer}");
                found.len()
            })
            .sum()
    }

    #[test]
    fn several_who_append_lose_no_line_when_the_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles {
            bytes_max: 40_000,
            ..LogFiles::of(dir.path())
        };
        let once = write_all(&files, 1000);
        assert!(files.older().exists(), "it was put aside");
        assert_eq!(assert_nothing_between_is_lost(&once, 1000), 6000);
    }

    #[test]
    fn neither_file_grows_beyond_its_bound_however_often_it_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles {
            bytes_max: 10_000,
            ..LogFiles::of(dir.path())
        };
        let text = write_all(&files, 5000);
        let found = assert_nothing_between_is_lost(&text, 5000);
        assert!(found >= 10_000 / 12, "{found} lines");
        for file in [files.older(), files.newer()] {
            let len = fs::metadata(file).unwrap().len();
            // What others wrote while one put it aside comes on top.
            assert!(len < 20_000, "{len} bytes");
        }
    }

    #[test]
    fn a_full_log_is_put_aside_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::of(dir.path());
        let full = append_to(&files.newer()).unwrap();
        full.set_len(BYTES_MAX).unwrap();
        assert_eq!(open(dir.path()).unwrap().metadata().unwrap().len(), 0);
        assert_eq!(fs::metadata(files.older()).unwrap().len(), BYTES_MAX);
        assert!(open(dir.path()).unwrap().write_all(b"x").is_ok());
        assert_eq!(fs::metadata(files.newer()).unwrap().len(), 1);
    }
}
