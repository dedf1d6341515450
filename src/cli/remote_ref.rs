//! How a user names what is in a repository: `REMOTE:VOLUME`, or `REMOTE:VOLUME@SNAP` for a snapshot of it.

use std::fmt;

use crate::remote::{Error, PushState, RemoteSnapshot, Repository, VolumeAbout};
use crate::types::{RemoteName, RemoteNameError, SnapshotName, SnapshotNameError, VolumeId};

use crate::cli::remotes::explain;
use crate::cli::{CliError, Kind, Result};

/// A volume in a repository, or a snapshot of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteRef {
    /// The remote.
    pub(super) remote: RemoteName,
    /// The volume, by name or by uuid.
    pub(super) volume: String,
    /// The snapshot.
    pub(super) snapshot: Option<SnapshotName>,
}

/// Why a text names nothing in a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RemoteRefError {
    #[error(transparent)]
    Remote(#[from] RemoteNameError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotNameError),
    #[error("it is not REMOTE:VOLUME or REMOTE:VOLUME@SNAP")]
    Form,
}

impl RemoteRef {
    /// Parses an argument. Names of remotes and volumes have no colon, those of volumes no `@`.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, RemoteRefError> {
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

    /// The volume in the repository.
    pub(super) fn find_volume(&self, repository: &Repository) -> Result<VolumeAbout> {
        let volumes = repository.volumes();
        let volumes = volumes.map_err(|e| explain(e, &self.remote))?;
        let is_it =
            |one: &VolumeAbout| one.name == self.volume || one.volume.to_string() == self.volume;
        let mut found = volumes.whole.into_iter().filter(is_it);
        let Some(first) = found.next() else {
            let unnamed = self.find_unnamed(repository)?;
            return unnamed.ok_or_else(|| self.missing_or(volumes.damaged));
        };
        if found.next().is_some() {
            let message = format!(
                "there are several volumes \"{}\" in remote \"{}\"",
                self.volume, self.remote
            );
            return Err(CliError::new(Kind::Usage, message).hint(format!(
                "name one by its uuid, which `cask remote ls {} --format json` shows",
                self.remote
            )));
        }
        Ok(first)
    }

    /// A volume that is named by its uuid, and of which nothing says what it is called.
    fn find_unnamed(&self, repository: &Repository) -> Result<Option<VolumeAbout>> {
        let Ok(volume) = self.volume.parse::<VolumeId>() else {
            return Ok(None);
        };
        let pushed = repository.pushed();
        let pushed = pushed.map_err(|e| explain(e, &self.remote))?;
        Ok(pushed.contains(&volume).then(|| VolumeAbout {
            volume,
            name: self.volume.clone(),
            host: String::new(),
        }))
    }

    /// The snapshot, or else the newest that can be pulled.
    pub(super) fn find_snapshot(&self, repository: &Repository) -> Result<RemoteSnapshot> {
        let volume = self.find_volume(repository)?.volume;
        let snapshots = repository.snapshots(volume);
        let snapshots = snapshots.map_err(|e| explain(e, &self.remote))?;
        let is_it = |one: &RemoteSnapshot| match &self.snapshot {
            Some(name) => one.name == *name,
            None => one.state == PushState::Published,
        };
        // Which one is the newest, nobody can tell then.
        if self.snapshot.is_none() && !snapshots.damaged.is_empty() {
            return Err(self.missing_or(snapshots.damaged));
        }
        // One that is published goes before one of the same name that was begun again.
        let found = snapshots.whole.into_iter().filter(is_it);
        let found = found.max_by_key(|one| (one.state == PushState::Published, one.created));
        found.ok_or_else(|| self.missing_or(snapshots.damaged))
    }

    /// What is not found may be what is damaged.
    fn missing_or(&self, damaged: Vec<Error>) -> CliError {
        match damaged.into_iter().next() {
            None => self.missing(),
            Some(error) => explain(error, &self.remote),
        }
    }

    fn missing(&self) -> CliError {
        CliError::new(Kind::NotFound, format!("there is no {self}")).hint(format!(
            "`cask remote ls {}` shows what is there",
            self.remote
        ))
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
            assert_eq!(RemoteRef::parse(good).unwrap().to_string(), good);
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
            assert!(RemoteRef::parse(bad).is_err(), "{bad}");
        }
    }
}
