//! An open volume, as its users hold it. What it can do is said where that is: in `life`, `ops`, `durability`, `space`,
//! `history` and `health`, each of which hands its parts to functions.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use super::background::Workers;
use super::config::Config;
use super::core::Core;
use super::elsewhere::Origin;
use super::error::Result;
use super::lock::DirLock;

/// An open volume: the exclusive lock on its directory is held until [`Volume::close`] or drop.
#[derive(Debug)]
pub struct Volume {
    pub(super) core: Arc<Core>,
    pub(super) config: Config,
    pub(super) workers: Workers,
    /// Damage that nobody can find any more.
    pub(super) found_at_open: Vec<String>,
    /// Last, so that it is released when all else is closed.
    pub(super) lock: DirLock,
}

impl Volume {
    /// What `volume.json` said when the volume was opened.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Where chunks are that the volume does not have yet; `None` when it has all.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn origin(&self) -> Result<Option<Origin>> {
        Ok(Config::load(self.dir())?.origin)
    }

    /// The lock on the volume's directory.
    #[must_use]
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The volume's directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.core.dir()
    }
}
