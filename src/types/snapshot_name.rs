//! Names of snapshots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A snapshot's name within its volume: 1 to 255 bytes, no `/`, `@` or control character, not `.` or `..`.
///
/// It is also the name of a directory, where snapshots are mounted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotName(String);

/// Why a text is not a [`SnapshotName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotNameError {
    /// Nothing there.
    #[error("a snapshot name must not be empty")]
    Empty,
    /// More than 255 bytes.
    #[error("snapshot name is {0} bytes long; at most 255 are allowed")]
    TooLong(usize),
    /// `.`, `..`, or with `/`, `@` or a control character in it.
    #[error("snapshot name {0:?} must not be . or .., nor hold `/`, `@` or control characters")]
    Illegal(String),
}

impl SnapshotName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotName {
    type Err = SnapshotNameError;

    fn from_str(text: &str) -> Result<Self, SnapshotNameError> {
        // `@` ends the volume's name in `db@snap`, and `/` the snapshot's in `db@snap/path`.
        let legal = |c: char| !c.is_control() && !matches!(c, '/' | '@');
        match text {
            "" => Err(SnapshotNameError::Empty),
            _ if text.len() > Self::MAX_BYTES => Err(SnapshotNameError::TooLong(text.len())),
            "." | ".." => Err(SnapshotNameError::Illegal(text.to_owned())),
            _ if text.chars().all(legal) => Ok(Self(text.to_owned())),
            _ => Err(SnapshotNameError::Illegal(text.to_owned())),
        }
    }
}

impl TryFrom<String> for SnapshotName {
    type Error = SnapshotNameError;

    fn try_from(text: String) -> Result<Self, SnapshotNameError> {
        text.parse()
    }
}

impl From<SnapshotName> for String {
    fn from(name: SnapshotName) -> Self {
        name.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_directories_and_follow_an_at_sign() {
        for good in [
            "a",
            "before upgrade",
            "2026-11-24T08:00:00Z",
            "ä",
            "...",
            &"x".repeat(255),
        ] {
            assert!(good.parse::<SnapshotName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a@b", "a\0", "a\nb", &"x".repeat(256)] {
            assert!(bad.parse::<SnapshotName>().is_err(), "{bad:?}");
        }
    }
}
