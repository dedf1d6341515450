//! A snapshot of several volumes at once: its identity, and where it is decided.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::VolumeId;

/// Identifies a group snapshot for ever: a random UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupId(uuid::Uuid);

/// A group snapshot, as each volume that takes part in it notes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which one.
    pub id: GroupId,
    /// The volume in whose directory it is decided.
    pub coordinator: VolumeId,
    /// That directory, when that began; the volume may have been renamed since.
    pub coordinator_dir: PathBuf,
}

impl GroupId {
    /// An identity that no group snapshot had before.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }
}

impl FromStr for GroupId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
