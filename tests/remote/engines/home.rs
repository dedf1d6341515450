//! The directory of one engine: removed with it, or by the next one where its owner was killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

const PREFIX: &str = "cask-s3-";
/// Held by the owner; the kernel lets go of it however the owner ends.
const LOCK: &str = "lock";
/// Paths elsewhere that go with the directory, one a line.
const ELSEWHERE: &str = "elsewhere";
/// How much of a log a message shows.
const LOG_TAIL: usize = 2000;

pub(super) struct Home {
    dir: PathBuf,
    _lock: File,
}

impl Home {
    /// An empty directory in `CASK_TEST_DIR`, else in `/tmp` or `$TMPDIR`. Removes those that nobody owns any more.
    pub(super) fn new() -> Self {
        let base = std::env::var_os("CASK_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        sweep(&base);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base);
        let dir = dir.unwrap().keep();
        // Under its name it is locked from the beginning: another's `sweep` may come at any time.
        let early = dir.join("lock.new");
        let lock = File::create(&early).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        fs::rename(early, dir.join(LOCK)).unwrap();
        Self { dir, _lock: lock }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    pub(super) fn text(&self, below: &str) -> String {
        self.path(below).into_os_string().into_string().unwrap()
    }

    pub(super) fn subdir(&self, name: &str) -> String {
        fs::create_dir(self.path(name)).unwrap();
        self.text(name)
    }

    /// Writes a file and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.text(name)
    }

    /// Where a process of this name logs to.
    pub(super) fn log(&self, name: &str) -> File {
        File::create(self.path(&format!("{name}.log"))).unwrap()
    }

    /// Notes files that the engine makes outside.
    pub(super) fn note_elsewhere(&self, paths: &[String]) {
        self.file(ELSEWHERE, &paths.join("\n"));
    }

    /// The ends of all logs, for a message.
    pub(super) fn logs(&self) -> String {
        let entries = fs::read_dir(&self.dir).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let logs = paths.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| format!("\n--- {}\n{}", path.display(), tail(&path)))
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let end = &bytes[bytes.len().saturating_sub(LOG_TAIL)..];
    String::from_utf8_lossy(end).into_owned()
}

fn remove(dir: &Path) {
    let elsewhere = fs::read_to_string(dir.join(ELSEWHERE)).unwrap_or_default();
    for path in elsewhere.lines() {
        // An engine that ended by itself took it along.
        fs::remove_file(path).ok();
    }
    // Several may sweep at the same time; what stays behind is found by the next.
    fs::remove_dir_all(dir).ok();
}

fn sweep(base: &Path) {
    for entry in fs::read_dir(base).unwrap().flatten() {
        let is_home = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Some(lock) = is_home
            .then(|| File::open(entry.path().join(LOCK)).ok())
            .flatten()
        else {
            continue;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove(&entry.path());
        }
    }
}
