//! How a user names what is in a repository: `REMOTE:VOLUME`, or `REMOTE:VOLUME@SNAP` for a snapshot of it.

use std::fmt;
use std::str::FromStr;

use super::repository::{Repository, VolumeAbout};
use super::snapshot::{PushState, RemoteSnapshot};
use super::{Error, Found, Result};
use crate::types::{RemoteName, RemoteNameError, SnapshotName, SnapshotNameError};

/// A volume in a repository, or a snapshot of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// The remote.
    pub remote: RemoteName,
    /// The volume, by name or by uuid.
    pub volume: String,
    /// The snapshot.
    pub snapshot: Option<SnapshotName>,
}

/// Why a text names nothing in a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteRefError {
    /// What is before the colon.
    #[error(transparent)]
    Remote(#[from] RemoteNameError),
    /// What is behind the `@`.
    #[error(transparent)]
    Snapshot(#[from] SnapshotNameError),
    /// All of it.
    #[error("it is not REMOTE:VOLUME or REMOTE:VOLUME@SNAP")]
    Form,
}

impl FromStr for RemoteRef {
    type Err = RemoteRefError;

    /// Names of remotes and volumes have no colon, those of volumes no `@`.
    fn from_str(text: &str) -> std::result::Result<Self, RemoteRefError> {
        let (remote, state) = text.split_once(':').ok_or(RemoteRefError::Form)?;
        let (volume, snapshot) = match state.split_once('@') {
            None => (state, None),
            Some((volume, snapshot)) => (volume, Some(snapshot.parse()?)),
        };
        if volume.is_empty() || volume.contains('/') {
            return Err(RemoteRefError::Form);
        }
        Ok(Self {
            remote: remote.parse()?,
            volume: volume.to_owned(),
            snapshot,
        })
    }
}

impl RemoteRef {
    /// The volume in the repository.
    ///
    /// # Errors
    /// [`Error::NotThere`], [`Error::Ambiguous`]; those of [`Repository::volumes`].
    pub fn find_volume(&self, repository: &Repository) -> Result<VolumeAbout> {
        let is_it =
            |one: &VolumeAbout| one.name == self.volume || one.volume.to_string() == self.volume;
        let Found { whole, damaged } = repository.volumes()?;
        let mut found = whole.into_iter().filter(is_it);
        let first = found.next().ok_or_else(|| self.missing(damaged))?;
        if found.next().is_some() {
            return Err(Error::Ambiguous(self.volume.clone()));
        }
        Ok(first)
    }

    /// The snapshot, or else the newest that can be pulled.
    ///
    /// # Errors
    /// As [`Self::find_volume`], and those of [`Repository::snapshots`].
    pub fn find_snapshot(&self, repository: &Repository) -> Result<RemoteSnapshot> {
        let volume = self.find_volume(repository)?.volume;
        let is_it = |one: &RemoteSnapshot| match &self.snapshot {
            Some(name) => one.name == *name,
            None => one.state == PushState::Published,
        };
        // One that is published goes before one of the same name that was begun again.
        let Found { whole, damaged } = repository.snapshots(volume)?;
        // Which one is the newest, nobody can tell then.
        if self.snapshot.is_none() && !damaged.is_empty() {
            return Err(self.missing(damaged));
        }
        let found = whole.into_iter().filter(is_it);
        let found =
            found.max_by_key(|one| (one.state == PushState::Published, one.created, one.epoch));
        found.ok_or_else(|| self.missing(damaged))
    }
}

impl RemoteRef {
    /// All snapshots of the volume that can be pulled, in the order in which they were taken.
    ///
    /// # Errors
    /// As [`Self::find_snapshot`].
    pub fn find_snapshots(&self, repository: &Repository) -> Result<Vec<RemoteSnapshot>> {
        let volume = self.find_volume(repository)?.volume;
        let Found { whole, damaged } = repository.snapshots(volume)?;
        let mut found = whole;
        found.retain(|one| one.state == PushState::Published);
        // Not by the clock, which may have been set; one that two pushed at once is there twice.
        found.sort_by_key(|one| one.epoch);
        found.dedup_by_key(|one| one.epoch);
        if found.is_empty() || !damaged.is_empty() {
            return Err(self.missing(damaged));
        }
        Ok(found)
    }

    /// What is not found may be what is damaged.
    fn missing(&self, damaged: Vec<Error>) -> Error {
        let first = damaged.into_iter().next();
        first.unwrap_or_else(|| Error::NotThere(self.to_string()))
    }
}

impl fmt::Display for RemoteRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.remote, self.volume)?;
        match &self.snapshot {
            Some(name) => write!(f, "@{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_ends_the_remote_and_an_at_sign_the_volume() {
        for good in ["s3:db", "s3:db@a b:c", "s3:6f1e@x"] {
            assert_eq!(good.parse::<RemoteRef>().unwrap().to_string(), good);
        }
        for bad in [
            "db",
            "s3:",
            ":db",
            "s3:@a",
            "s3:a/b",
            "s3:db@",
            "s3:db@a@b",
            "a b:c",
        ] {
            assert!(bad.parse::<RemoteRef>().is_err(), "{bad}");
        }
    }
}
