//! What can go wrong between a command and a mounted volume.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::mounts::{Holder, PlaceError, Relation};
use crate::control::{self, Fault, FaultKind};
use crate::types::SnapshotName;
use crate::volume;

/// Why a volume could not be mounted, unmounted or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The volume itself is the problem.
    #[error(transparent)]
    Volume(volume::Error),
    /// `CASK_TUNING` is none.
    #[error("CASK_TUNING: {0}")]
    Tuning(volume::BadTuning),
    /// The volume's server says no.
    #[error(transparent)]
    Fault(Fault),
    /// Another process keeps the volume's lock.
    #[error("it is open in another process")]
    Locked,
    /// A server for it runs already.
    #[error("process {pid} serves it already")]
    Served {
        /// The server.
        pid: u32,
    },
    /// It is mounted at that very place.
    #[error("it is mounted at {} already", .0.display())]
    MountedThere(PathBuf),
    /// Another volume's mount is at that place.
    #[error("another volume, {}, is mounted at {}", .other.display(), .mountpoint.display())]
    Occupied {
        /// The place.
        mountpoint: PathBuf,
        /// What is mounted there.
        other: OsString,
    },
    /// The volume's server would find its own files through its own mount.
    #[error("mountpoint {} {relation} {}, where volumes are kept", .mountpoint.display(), .kept.display())]
    Overlaps {
        /// The place.
        mountpoint: PathBuf,
        /// How it lies to what is kept.
        relation: Relation,
        /// The directory of a volume, or of all.
        kept: PathBuf,
    },
    /// `fusermount3` mounts a connection once only.
    #[error("it is mounted already, and only root can mount a volume a second time")]
    SecondMount,
    /// `fusermount3` mounts whole superblocks only.
    #[error("only root can mount a snapshot")]
    SnapshotNeedsRoot,
    /// There is no such snapshot to mount.
    #[error("there is no snapshot \"{0}\"")]
    NoSnapshot(SnapshotName),
    /// The place for the mount is none.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// This process may not have what a server needs, and may not raise the limit.
    #[error("the limit of {what} (ulimit {flag}) is {have}, and a server needs {}", .needed.map_or("none".to_owned(), |needed| format!("{needed}")))]
    Limit {
        /// Of what.
        what: &'static str,
        /// The shell's word for it.
        flag: &'static str,
        /// The limit.
        have: u64,
        /// The least that will do; nothing when no limit will.
        needed: Option<u64>,
    },
    /// `/dev/fuse` cannot be used.
    #[error("cannot open /dev/fuse")]
    NoFuse(#[source] io::Error),
    /// A mount is in use.
    #[error("{} is in use", .mountpoint.display())]
    Busy {
        /// The mount.
        mountpoint: PathBuf,
        /// By whom, as far as can be seen.
        holders: Vec<Holder>,
    },
    /// No mount is left here, but somebody else has one.
    #[error("it is still mounted elsewhere")]
    HeldElsewhere {
        /// By whom, as far as can be seen.
        holders: Vec<Holder>,
    },
    /// No mount is left, but somebody reads out of the volume: its server ends when that is done.
    #[error("it is still read")]
    Read,
    /// All mounts are gone, but what the server still had to write may be lost.
    #[error("the volume was not closed in order")]
    NotClosed(#[source] control::Error),
    /// The program that should have taken over from the server did not.
    #[error("the old program serves it still")]
    NotUpgraded,
    /// Servers have died too often; its mounts answer EIO.
    #[error("{0}")]
    Down(String),
    /// The conversation with the server broke down.
    #[error("cannot talk to its server")]
    Control(#[source] control::Error),
    /// A system call failed.
    #[error("{what}")]
    Io {
        /// What was being done, and to what.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// An I/O error with what was being done.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// Whether the volume is only busy with ending or starting, so that another try may succeed.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Fault(fault) => matches!(
                fault.kind,
                FaultKind::Closing | FaultKind::NotMounted | FaultKind::Attached
            ),
            Self::Control(control::Error::Ended) => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotConnected,
            Self::Volume(_)
            | Self::Tuning(_)
            | Self::Locked
            | Self::Served { .. }
            | Self::MountedThere(_)
            | Self::Occupied { .. }
            | Self::Overlaps { .. }
            | Self::SecondMount
            | Self::Limit { .. }
            | Self::SnapshotNeedsRoot
            | Self::NoSnapshot(_)
            | Self::Place(_)
            | Self::NoFuse(_)
            | Self::Busy { .. }
            | Self::HeldElsewhere { .. }
            | Self::Read
            | Self::NotClosed(_)
            | Self::NotUpgraded
            | Self::Down(_)
            | Self::Control(_) => false,
        }
    }
}

impl From<volume::Error> for Error {
    fn from(error: volume::Error) -> Self {
        if matches!(error, volume::Error::InUse { .. }) {
            return Self::Locked;
        }
        Self::Volume(error)
    }
}

impl From<control::Error> for Error {
    fn from(error: control::Error) -> Self {
        match error {
            control::Error::Fault(fault) if fault.kind == FaultKind::InUse => Self::Locked,
            control::Error::Fault(fault) => Self::Fault(fault),
            control::Error::Ended
            | control::Error::Silent
            | control::Error::Wire(_)
            | control::Error::Mismatch => Self::Control(error),
        }
    }
}
