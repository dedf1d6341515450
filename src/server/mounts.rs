//! Mounts of this mount namespace: making, finding, changing and ending them.
//!
//! Owns everything that is asked of the kernel, or of `fusermount3`, about mounts. Runs in the process
//! that wants the mount, never in a volume's server: that must not wait for its own mount. Knows no
//! volume but by its directory's path.

mod attributes;
mod buffering;
mod dead;
mod fusermount;
mod handle;
mod holders;
mod kernel;
mod overlap;
mod place;
mod removal;
mod table;
mod taking;

pub use attributes::Attributes;
pub use buffering::set_buffering;
pub use dead::{Silence, answers, dead_mounts, detach_dead};
pub use holders::{Holder, holders_of, namespaces_holding, namespaces_where};
pub use kernel::{open_fuse, remount};
pub use overlap::Relation;
pub use place::{Place, PlaceError, absolute};
pub use removal::{How, UnmountError};
pub use table::{FILESYSTEM, Mount, read_table, topmost_at};
pub use taking::{flush, unmount};

pub(super) use buffering::bound_unwritten;
pub(super) use fusermount::mount as mount_rootless;
pub(super) use handle::{FileOfMount, write_out};
pub(super) use kernel::{Staged, device_at, stage, widen_cache};
pub(super) use overlap::{mount_with, overlap};

use std::ffi::OsString;
use std::path::PathBuf;

use crate::types::SnapshotName;

/// What a mount shall look like.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What it shows.
    pub shows: Shows,
    /// What `mount` and `df` show as its source.
    pub source: OsString,
    /// Its flags.
    pub attributes: Attributes,
    /// Where volumes lie: like the volume's own directory, no place for a mount.
    pub roots: Vec<PathBuf>,
}

impl Spec {
    /// A mount of the head that stays in no namespace.
    pub(super) fn unseen() -> Self {
        Self {
            shows: Shows::Head,
            source: "cask".into(),
            attributes: Attributes::default(),
            roots: Vec::new(),
        }
    }
}

/// What a mount shows of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    /// The volume as it is.
    Head,
    /// The volume as it was.
    Snapshot(SnapshotName),
}

/// Whether this process may mount by itself, or needs `fusermount3`.
#[must_use]
pub fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
}
