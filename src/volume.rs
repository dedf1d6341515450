//! One volume: POSIX operations on chunks and metadata. Knows neither FUSE nor sockets.
//!
//! Owns the rules of the filesystem, the order in which bytes and rows become durable, and the threads
//! that work behind the operations. One file an operation family.

mod acl;
mod audit;
mod background;
mod check;
mod clone;
mod collect;
mod collector;
mod config;
mod copy;
mod core;
mod create;
mod cut;
mod diff;
mod drain;
mod error;
mod fallocate;
mod frozen;
mod headroom;
mod ledger;
mod limits;
mod link;
mod list;
mod lock;
mod lookup;
mod open;
mod packing;
mod path;
mod privilege;
mod read;
mod reading;
mod reaper;
mod recover;
mod refused;
mod remove;
mod rename;
mod repair;
mod replay;
mod reserve;
mod residents;
mod rollback;
mod scrub;
mod setattr;
mod settle;
mod snapshot;
mod state;
mod statfs;
pub mod store;
mod sync;
mod twins;
mod write;
mod xattr;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::meta::{Hold, Snapshot, SnapshotBytes};
pub use check::Depth;
pub use collector::Collecting;
pub use config::{Config, Life, Protection, RootOwner, Seal};
pub use diff::{Change, ChangeKind};
pub use error::Error;
pub use fallocate::FallocateMode;
pub use frozen::Frozen;
pub use headroom::{Buffering, Headroom, Spending};
pub use ledger::{Ledger, Outcome};
pub use link::LINKS_MAX;
pub use list::{DirEntry, FIRST_COOKIE};
pub use open::create;
pub use reading::{Moment, Reading, Seek};
pub use rename::RenameMode;
pub use repair::{Watch, repair};
pub use scrub::Scrubbed;
pub use settle::Settled;
pub use statfs::Room;
pub use write::{SetIdBits, WriteOrigin};
pub use xattr::SetXattrMode;

use self::background::Workers;
use self::core::Core;
use self::lock::DirLock;

/// The result of a volume operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An open volume: the exclusive lock on its directory is held until [`Volume::close`] or drop.
#[derive(Debug)]
pub struct Volume {
    core: Arc<Core>,
    config: Config,
    dir: PathBuf,
    workers: Workers,
    /// Damage that nobody can find any more.
    found_at_open: Vec<String>,
    /// Last, so that it is released when all else is closed.
    lock: DirLock,
}

impl Volume {
    /// What `volume.json` said when the volume was opened.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The lock on the volume's directory.
    #[must_use]
    pub fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// The volume's directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
