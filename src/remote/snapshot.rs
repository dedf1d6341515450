//! A snapshot in a repository: first what a push intends, then what can be pulled.
//!
//! The object is replaced once, under the condition that nobody else did: what is published stays as it is.

use serde::{Deserialize, Serialize};

use super::object::{Format, Kind, ObjectId, open_whole, seal_whole_as};
use super::seal::MasterKey;
use super::shelf::Key;
use super::{Error, Result};
use crate::types::{Compression, SnapshotName, VolumeId};

/// How far a push has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// It is under way, or its command was killed.
    Pending,
    /// All of it is there.
    Published,
    /// A collection has given it up, for nobody went on with it.
    Abandoned,
}

/// A snapshot in a repository. The field names are those of docs/remote-format.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteSnapshot {
    /// Whether it can be pulled.
    pub state: PushState,
    /// The object's own id.
    pub id: ObjectId,
    /// Of which volume.
    pub volume: VolumeId,
    /// What that was called.
    pub volume_name: String,
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken, in seconds since 1970.
    pub created: i64,
    /// Which of the volume's: counted up, so that no two have the same.
    pub epoch: i64,
    /// The user's note.
    pub label: String,
    /// The host that pushes it.
    pub host: String,
    /// When the push began, in seconds since 1970, by its host's clock.
    pub started: i64,
    /// What a volume that is made of it is like.
    pub facts: VolumeFacts,
    /// Numbers from here on are in no inode and no entry.
    pub numbers: u64,
    /// Inodes.
    pub inodes: u64,
    /// Bytes of files that data is stored for.
    pub bytes: u64,
    /// How often its push has said that it goes on.
    pub beats: u64,
    /// The rows, in the order of their keys.
    pub runs: Vec<PublishedRun>,
    /// What takes the place of rows, or removes them: for each of the snapshots in between, the oldest first, runs in the
    /// order of their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<Vec<PublishedRun>>,
}

/// What a volume was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFacts {
    /// Length at which files are cut into chunks, in bytes.
    pub chunk_bytes: u32,
    /// How its chunks are compressed where it is mounted.
    pub compression: Compression,
    /// The user's labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// A run of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedRun {
    /// Its name.
    pub id: ObjectId,
    /// Bytes of the object.
    pub bytes: u64,
}

impl RemoteSnapshot {
    /// Its name in the store.
    #[must_use]
    pub fn key(&self) -> Key {
        key_of(self.volume, &self.id)
    }

    /// The runs by levels: those that all began with, and above them what changed, the newest last.
    #[must_use]
    pub fn levels(&self) -> Vec<Vec<PublishedRun>> {
        let above = self.deltas.iter().cloned();
        std::iter::once(self.runs.clone()).chain(above).collect()
    }

    /// All runs.
    pub fn all_runs(&self) -> impl Iterator<Item = &PublishedRun> {
        self.runs.iter().chain(self.deltas.iter().flatten())
    }

    pub(super) fn seal(&self, master: &MasterKey) -> Result<Vec<u8>> {
        self.seal_as(master, Kind::Snapshot)
    }

    /// Seals it as an object of this kind. Who knows no deltas must not take it for a snapshot without.
    pub(super) fn seal_as(&self, master: &MasterKey, kind: Kind) -> Result<Vec<u8>> {
        let format = match self.deltas.is_empty() {
            true => Format::Whole,
            false => Format::Delta,
        };
        let body = serde_json::to_vec(self).map_err(|e| Error::Bug(e.to_string()))?;
        Ok(seal_whole_as(master, kind, format, body)?.1)
    }

    /// Opens the snapshot that was stored under `key`, and nowhere else.
    pub(super) fn open(master: &MasterKey, key: &Key, bytes: &[u8]) -> Result<Self> {
        let (_, body) = open_whole(master, Kind::Snapshot, key, bytes)?;
        let found: Self = serde_json::from_slice(&body).map_err(|e| Error::damaged(key, e))?;
        if found.key() != *key {
            return Err(Error::damaged(key, "it is another snapshot"));
        }
        Ok(found)
    }
}

/// The volume and the id in the name of a snapshot; `None` of what is named otherwise.
pub(super) fn parts_of(key: &Key) -> Option<(VolumeId, ObjectId)> {
    let below = key.as_str().strip_prefix(SNAPSHOTS)?;
    let (volume, id) = below.strip_prefix('/')?.split_once('/')?;
    Some((volume.parse().ok()?, id.parse().ok()?))
}

fn key_of(volume: VolumeId, id: &ObjectId) -> Key {
    Key::new(format!("{}/{id}", dir_of(volume)))
}

/// Where all snapshots are.
pub(super) const SNAPSHOTS: &str = "snap";

/// Where the snapshots of a volume are.
pub(super) fn dir_of(volume: VolumeId) -> String {
    format!("{SNAPSHOTS}/{volume}")
}
