//! What became of scheduled snapshots: `scheduled` in a volume's directory, which is read without opening the volume.
//!
//! Knows no schedule and takes no snapshot: whoever tries to take one notes here how that ended.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::types::SnapshotName;
use crate::volume::error::{Error, Result};
use crate::volume::noted;

const FILE: &str = "scheduled";
/// Empty, and never replaced.
const LOCK: &str = "scheduled.lock";

/// How it went. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// When it was last seen to that there is one: it was taken, or nothing had changed.
    pub seen_to: Option<i64>,
    /// The last that was taken.
    pub last: Option<SnapshotName>,
    /// When that was.
    pub taken: Option<i64>,
    /// How often it failed since then, one after the other.
    pub failures: u32,
    /// Why it failed last; nothing when it did not.
    pub error: Option<String>,
}

impl Scheduled {
    /// Keeps others from taking scheduled snapshots of the volume in `dir` for as long as the file lives; waits for those
    /// who do.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn lock(dir: &Path) -> Result<File> {
        let path = dir.join(LOCK);
        let cannot = |e| Error::storage(format!("cannot lock {}", path.display()), e);
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).map_err(cannot)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
        Ok(file)
    }

    /// What is known of the volume in `dir`; nothing if none was ever taken, or that cannot be understood any more.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn load(dir: &Path) -> Result<Self> {
        noted::load(dir, FILE)
    }

    /// Keeps it for who looks next: also that there was no room for a snapshot.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails; what was there before stays.
    pub fn store(&self, dir: &Path) -> Result<()> {
        noted::store_in_turns(self, dir, FILE)
    }

    /// There is one that was taken at `then`: whoever took it may not have come to note that.
    pub fn note_found(&mut self, then: i64, name: &SnapshotName) {
        if self.last.as_ref() != Some(name) && self.taken.is_none_or(|taken| taken <= then) {
            self.last = Some(name.clone());
            self.taken = Some(then);
        }
    }

    /// One was taken at `now`, or nothing had changed: then there is no `name`.
    pub fn note_done(&mut self, now: i64, name: Option<SnapshotName>) {
        if name.is_some() {
            self.last = name;
            self.taken = Some(now);
        }
        self.seen_to = Some(now);
        self.failures = 0;
        self.error = None;
    }

    /// None could be taken.
    pub fn note_failure(&mut self, error: String) {
        self.failures = self.failures.saturating_add(1);
        self.error = Some(error);
    }
}
