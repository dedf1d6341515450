//! Streams: a state of a volume in one piece, from host to host, without a store (docs/remote-format.md, "The stream").
//!
//! Nothing is encrypted: what carries the stream is (ssh). A stream is written and read once, from its beginning to its
//! end, and holds a few MiB in memory whatever its length.

mod digest;
mod frame;

pub use digest::StateDigest;
pub use frame::{Frame, StreamReader, StreamWriter};

use serde::{Deserialize, Serialize};

use super::snapshot::VolumeFacts;
use crate::types::{SnapshotName, VolumeId};

/// What a stream begins with. The field names are those of docs/remote-format.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Of which volume it is.
    pub volume: VolumeId,
    /// What that was called.
    pub volume_name: String,
    /// The snapshot's name.
    pub name: SnapshotName,
    /// When it was taken, in seconds since 1970.
    pub created: i64,
    /// Which of the volume's: counted up, so that no two have the same.
    pub epoch: i64,
    /// The user's note.
    pub label: String,
    /// The host that sends it.
    pub host: String,
    /// What a volume that is made of it is like.
    pub facts: VolumeFacts,
    /// The snapshot whose chunks are left out.
    pub base: Option<Base>,
    /// Chunks that are left out because an earlier stream brought them.
    pub skipped: u64,
}

/// A snapshot that who receives has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its name.
    pub name: SnapshotName,
    /// Which of the sender's volume it is.
    pub epoch: i64,
    /// [`StateDigest`] of it, in hexadecimal.
    pub digest: String,
}

/// What a stream ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnd {
    /// Inodes of the state.
    pub inodes: u64,
    /// Bytes of its files that data is stored for.
    pub bytes: u64,
    /// Numbers from here on are in no inode and no entry.
    pub numbers: u64,
    /// Chunks that this stream and those before it brought.
    pub chunks: u64,
}

impl Opening {
    /// Whether both are of one snapshot, and leave out the same: what one has brought, the other need not.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        (self.volume, self.epoch, self.created, &self.base)
            == (other.volume, other.epoch, other.created, &other.base)
    }
}
