//! One volume: POSIX operations on chunks and metadata. Knows neither FUSE nor sockets.

mod config;
mod error;
pub mod store;

use std::path::Path;

pub use config::{Config, RootOwner, create};
pub use error::Error;

/// The result of a volume operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An open volume: the exclusive lock on its directory is held until [`Volume::close`] or drop.
pub struct Volume {}

/// What a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Inodes in the head.
    pub inodes: u64,
    /// Sum of file sizes in the head, in bytes.
    pub logical_bytes: u64,
    /// Bytes that the volume's directory takes on the host.
    pub physical_bytes: u64,
}

impl Volume {
    /// Opens the volume in `dir` and takes its lock.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAVolume`], [`Error::NewerFormat`], [`Error::Corrupt`], I/O errors.
    pub fn open(_dir: &Path) -> Result<Self> {
        Err(Error::ReadOnly)
    }

    /// What `volume.json` says.
    #[must_use]
    pub fn config(&self) -> &Config {
        std::process::abort()
    }

    /// Makes everything that was acknowledged durable.
    ///
    /// # Errors
    /// I/O errors; the volume is read-only afterwards.
    pub fn sync(&self) -> Result<()> {
        Err(Error::ReadOnly)
    }

    /// Counts what the volume holds.
    ///
    /// # Errors
    /// I/O errors.
    pub fn usage(&self) -> Result<Usage> {
        Err(Error::ReadOnly)
    }

    /// Syncs, marks the volume clean and gives up the lock.
    ///
    /// # Errors
    /// I/O errors: the volume was then not closed cleanly, and will be recovered at the next open.
    pub fn close(self) -> Result<()> {
        Err(Error::ReadOnly)
    }
}
