//! What an engine calls a volume: `db`, or `db@before-upgrade` for a snapshot of it, read-only.

use std::fmt;

use super::{Error, Result};
use crate::types::{SnapshotName, VolumeName};

/// What is to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) volume: VolumeName,
    pub(super) snapshot: Option<SnapshotName>,
}

impl Target {
    pub(super) fn parse(name: &str) -> Result<Self> {
        let bad =
            |e: &dyn fmt::Display| Error::BadName(format!("no volume can be named {name:?}: {e}"));
        let (volume, snapshot) = match name.split_once('@') {
            Some((volume, snapshot)) => (volume, Some(snapshot)),
            None => (name, None),
        };
        Ok(Self {
            volume: volume.parse().map_err(|e| bad(&e))?,
            snapshot: snapshot
                .map(|snapshot| snapshot.parse().map_err(|e| bad(&e)))
                .transpose()?,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.volume)?;
        match &self.snapshot {
            Some(snapshot) => write!(f, "@{snapshot}"),
            None => Ok(()),
        }
    }
}
