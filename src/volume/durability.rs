//! What makes an acknowledged operation last: group commit and checkpoints, the reserve for full disks, recovery after a
//! power cut, writes that could not be stored, copies whose extents are still to be written.

pub(super) mod arrivals;
pub(super) mod copy_queue;
pub(super) mod copying;
pub(super) mod disk;
pub(super) mod recover;
pub(super) mod recovered;
pub(super) mod refusal_record;
pub(super) mod refused;
pub(super) mod refused_retry;
pub(super) mod reserve;
pub(super) mod state;

use super::error::Result;
use super::handle::Volume;
use super::ops::fsync;
use crate::types::Ino;

impl Volume {
    /// Makes everything that was acknowledged durable.
    ///
    /// # Errors
    /// [`Error::Storage`]; the volume is read-only afterwards, until it is opened again.
    pub fn sync(&self) -> Result<()> {
        self.core.disk().sync()
    }

    /// Has `tell` run when an I/O error stops all writing.
    pub fn when_stopped(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.core.database().when_stopped(tell);
    }

    /// Why an I/O error stopped all writing, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&str> {
        self.core.database().stopped_by()
    }

    /// Stops all writing, as an error did that an earlier server of the same mounts met: what it lost stays lost.
    pub fn stop_writing(&self) {
        let reason = "an I/O error that an earlier server of these mounts met";
        self.core.database().stop(reason.to_owned());
    }

    /// Moves the log into the database, as the background does when it is long.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn checkpoint(&self) -> Result<()> {
        self.core.disk().checkpoint()
    }

    /// How long the part of the metadata's log is that is not in the database yet, in bytes.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.core.database().log_bytes()
    }

    /// How often [`Self::checkpoint`] was done since the volume was opened, by whomever.
    #[must_use]
    pub fn checkpoints(&self) -> u64 {
        self.core.disk().checkpoints()
    }

    /// Makes durable what was written to the file, and all else that was acknowledged.
    ///
    /// # Errors
    /// Those of [`Self::sync`]; [`Error::NoSpace`] or [`Error::Storage`] for as long as something is missing that the
    /// kernel sent and that could not be stored.
    pub fn fsync(&self, ino: Ino) -> Result<()> {
        fsync::fsync(&self.core, ino)
    }

    /// As [`Self::fsync`], with the outcome told to `then`: by this thread, or by one that syncs for many.
    pub fn fsync_then(&self, ino: Ino, then: impl FnOnce(Result<()>) + Send + 'static) {
        fsync::fsync_then(&self.core, ino, then);
    }

    /// As [`Self::sync`], with the outcome told to `then` as [`Self::fsync_then`] does.
    pub fn sync_then(&self, then: impl FnOnce(Result<()>) + Send + 'static) {
        self.core.disk().sync_then(Box::new(then));
    }

    /// Waits, a moment at most, until the writes that are on their way have been handled. For what is to hold
    /// them although nobody was promised that.
    pub fn drain(&self) {
        self.core.arrivals().wait_for_quiet();
    }
}
