//! What a volume holds, how much it may, and what looking after it did.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How much a volume's head may hold; nothing is said where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of its files' data, each as often as it is in a file; holes count nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Files, directories and all else that has an inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
}

/// What a volume holds, at one time. Bytes, where nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Inodes of the head, and those without a name that wait to be freed.
    pub inodes: u64,
    /// Extents of the head.
    pub extents: u64,
    /// What those extents cover: the head's data, each byte as often as it is in a file.
    pub logical_bytes: u64,
    /// Chunks that the head names.
    pub live_chunks: u64,
    /// Their plaintext: the head's data, each byte once.
    pub live_plain_bytes: u64,
    /// The same as it is stored.
    pub live_bytes: u64,
    /// Plaintext of chunks that only snapshots name.
    pub snapshot_plain_bytes: u64,
    /// The same as it is stored: what would come back, were all snapshots removed.
    pub snapshot_bytes: u64,
    /// Of the segments, what nothing names any more.
    pub dead_bytes: u64,
    /// Segments, whole.
    pub segment_bytes: u64,
    /// Of those, segments that clones share.
    pub shared_bytes: u64,
    /// Chunks that are in a repository still.
    #[serde(default)]
    pub elsewhere_chunks: u64,
    /// What is stored of them there.
    #[serde(default)]
    pub elsewhere_bytes: u64,
    /// What the host has free.
    pub host_free_bytes: u64,
    /// What the head may hold.
    pub limits: Limits,
}

impl Usage {
    /// How many bytes of the head one byte of plaintext stands for.
    #[must_use]
    pub fn dedup_ratio(&self) -> f64 {
        ratio(self.logical_bytes, self.live_plain_bytes)
    }

    /// How many bytes of plaintext one stored byte stands for.
    #[must_use]
    pub fn compression_ratio(&self) -> f64 {
        ratio(
            self.live_plain_bytes + self.snapshot_plain_bytes,
            self.live_bytes + self.snapshot_bytes,
        )
    }
}

/// 1 when there is nothing to compare.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio is shown with two digits"
)]
fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 { 1.0 } else { of as f64 / to as f64 }
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Segments that are gone.
    pub segments: u64,
    /// Bytes of theirs.
    pub removed_bytes: u64,
    /// Bytes that were moved out of them first.
    pub moved_bytes: u64,
}

impl Collected {
    /// And what another did.
    pub fn add(&mut self, more: Self) {
        self.segments += more.segments;
        self.removed_bytes += more.removed_bytes;
        self.moved_bytes += more.moved_bytes;
    }
}

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// A sentence for each thing that was changed; nothing was when there is none.
    pub changes: Vec<String>,
    /// The database as it was before.
    pub kept: Option<PathBuf>,
    /// A sentence for each file with bytes that are lost.
    pub lost: Vec<String>,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// A sentence for each thing that is wrong.
    pub problems: Vec<String>,
    /// A sentence for each file with bytes that an earlier repair found lost.
    #[serde(default)]
    pub lost: Vec<String>,
    /// Chunks that are in a repository still.
    #[serde(default)]
    pub elsewhere: u64,
    /// Chunks that were looked at.
    pub chunks: u64,
    /// Stored bytes that were read and verified.
    pub bytes: u64,
}
