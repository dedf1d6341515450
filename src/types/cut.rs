//! One cut across several volumes: its identity, and where it is decided.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::VolumeId;

/// Identifies a cut for ever: a random UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CutId(uuid::Uuid);

/// A cut, as each volume that takes part in it notes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which one.
    pub id: CutId,
    /// The volume in whose directory it is decided.
    pub ledger: VolumeId,
    /// That directory, when the cut began; the volume may have been renamed since.
    pub ledger_dir: PathBuf,
}

impl CutId {
    /// An identity that no cut had before.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }
}

impl FromStr for CutId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for CutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
