//! How a user names a state of a volume: `NAME`, or `NAME@SNAP` for a snapshot of it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::control::FaultKind;
use crate::remote::RemoteRef;
use crate::server;
use crate::types::{SnapshotName, SnapshotNameError, VolumeNameError};

use crate::commands::locate::{Located, VolumeRef};
use crate::commands::{CommandError, Kind};

/// The state and the path of `NAME@SNAP:/PATH`. Snapshots may have a `:` in their name, and so may paths: the first `:/`
/// separates them.
pub(crate) fn split_path(text: &OsStr) -> Option<(&OsStr, &Path)> {
    let bytes = text.as_bytes();
    let at = bytes.windows(2).position(|pair| pair == b":/")?;
    let (state, path) = (&bytes[..at], &bytes[at + 1..]);
    Some((OsStr::from_bytes(state), Path::new(OsStr::from_bytes(path))))
}

/// A volume as it is now, or as it was at a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateRef {
    /// The volume.
    pub(crate) volume: VolumeRef,
    /// The snapshot.
    pub(crate) snapshot: Option<SnapshotName>,
}

/// A state of a volume of this host, or a snapshot in a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnyState {
    /// Of a volume of this host.
    Here(StateRef),
    /// In a remote: the newest, if none is named.
    There(RemoteRef),
}

impl AnyState {
    /// Parses an argument: names of volumes have no colon, and directories a slash.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, StateRefError> {
        let state = match StateRef::parse(text) {
            Ok(state) => return Ok(Self::Here(state)),
            Err(error) => error,
        };
        let remote = text.to_str().and_then(|text| text.parse().ok());
        remote.map(Self::There).ok_or(state)
    }
}

/// A snapshot of a volume of this host, or one in a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnySnapshot {
    /// Of a volume of this host.
    Here(SnapshotRef),
    /// In a remote.
    There(RemoteRef),
}

impl AnySnapshot {
    /// Parses an argument: a state that is a snapshot.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, StateRefError> {
        match AnyState::parse(text)? {
            AnyState::Here(StateRef { volume, snapshot }) => {
                let name = snapshot.ok_or(StateRefError::NoSnapshot)?;
                Ok(Self::Here(SnapshotRef { volume, name }))
            }
            AnyState::There(there) if there.snapshot.is_none() => Err(StateRefError::NoSnapshot),
            AnyState::There(there) => Ok(Self::There(there)),
        }
    }
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotRef {
    /// The volume.
    pub(crate) volume: VolumeRef,
    /// The snapshot.
    pub(crate) name: SnapshotName,
}

/// Why a text names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateRefError {
    #[error(transparent)]
    Volume(#[from] VolumeNameError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotNameError),
    #[error("a snapshot name must be UTF-8")]
    NotText,
    #[error("a snapshot is needed: NAME@SNAP")]
    NoSnapshot,
}

impl StateRef {
    /// Parses an argument: what is behind the last `@` is a snapshot, unless it holds a `/`.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, StateRefError> {
        let bytes = text.as_bytes();
        // The last one: a directory's path may have an `@`, names of volumes and snapshots have none.
        let at = bytes.iter().rposition(|&byte| byte == b'@');
        let parts = at.map(|at| (&bytes[..at], &bytes[at + 1..]));
        match parts.filter(|(_, name)| !name.contains(&b'/')) {
            None => Ok(Self {
                volume: VolumeRef::parse(text)?,
                snapshot: None,
            }),
            Some((volume, name)) => {
                let name = std::str::from_utf8(name).map_err(|_| StateRefError::NotText)?;
                Ok(Self {
                    volume: VolumeRef::parse(OsStr::from_bytes(volume))?,
                    snapshot: Some(name.parse()?),
                })
            }
        }
    }
}

impl SnapshotRef {
    /// Parses an argument: a state that is a snapshot.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, StateRefError> {
        let StateRef { volume, snapshot } = StateRef::parse(text)?;
        let name = snapshot.ok_or(StateRefError::NoSnapshot)?;
        Ok(Self { volume, name })
    }

    /// As the user would type it again.
    pub(crate) fn typed(&self) -> String {
        typed(&self.volume, &self.name)
    }
}

/// A snapshot as the user would type it.
pub(crate) fn typed(volume: &VolumeRef, name: &SnapshotName) -> String {
    format!("{}@{name}", volume.typed())
}

impl fmt::Display for SnapshotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot \"{}\" of {}", self.name, self.volume)
    }
}

/// What a server's error means for the one who named a snapshot.
pub(crate) fn explain(
    error: server::Error,
    located: &Located,
    name: &SnapshotName,
) -> CommandError {
    let snapshot = SnapshotRef {
        volume: located.reference.clone(),
        name: name.clone(),
    };
    let kind = match &error {
        server::Error::Fault(fault) => Some(fault.kind),
        server::Error::Volume(error) => Some(server::fault(error).kind),
        _ => None,
    };
    match kind {
        Some(FaultKind::NoSnapshot) => no_snapshot(&snapshot),
        Some(FaultKind::SnapshotExists) => {
            CommandError::new(Kind::Exists, format!("{snapshot} exists already"))
                .hint("choose another name")
        }
        Some(FaultKind::SnapshotHeld) => {
            CommandError::new(Kind::InUse, format!("{snapshot} is held")).hint(format!(
                "release it first: `cask snapshot release {}`",
                snapshot.typed()
            ))
        }
        _ => located.explain(error),
    }
}

/// The error for a snapshot that is not there.
pub(crate) fn no_snapshot(snapshot: &SnapshotRef) -> CommandError {
    CommandError::new(Kind::NotFound, format!("there is no {snapshot}")).hint(format!(
        "`cask snapshot ls {}` shows what is there",
        snapshot.volume.typed()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_leads_to_a_remote_unless_it_is_in_a_snapshot_name() {
        let parse = |text: &str| AnyState::parse(OsStr::new(text)).unwrap();
        assert!(matches!(parse("db@08:00"), AnyState::Here(_)));
        assert!(matches!(parse("./s3:db"), AnyState::Here(_)));
        let AnyState::There(there) = parse("s3:db@08:00") else {
            panic!("it is in a remote");
        };
        assert_eq!(there.to_string(), "s3:db@08:00");
        assert!(AnyState::parse(OsStr::new("s3:")).is_err());
    }

    #[test]
    fn the_last_at_sign_begins_a_snapshot_unless_a_slash_follows() {
        let parse = |text: &str| StateRef::parse(OsStr::new(text));
        let parts = |text: &str| {
            let state = parse(text).unwrap();
            (state.volume.typed(), state.snapshot.map(String::from))
        };
        assert_eq!(parts("db"), ("db".into(), None));
        assert_eq!(parts("db@s"), ("db".into(), Some("s".into())));
        assert_eq!(parts("./a@b@s t"), ("./a@b".into(), Some("s t".into())));
        assert_eq!(parts("/a@b/c"), ("/a@b/c".into(), None));
        assert_eq!(parts("./a@b/"), ("./a@b/".into(), None));
        for bad in ["@s", "a b", "db@", "db@.", "a@b@c"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
