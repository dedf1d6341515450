//! Names of volumes under a root.

use std::fmt;
use std::str::FromStr;

/// A volume's name, by Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 200 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// Why a text is not a [`VolumeName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeNameError {
    /// Nothing there.
    #[error("a volume name must not be empty")]
    Empty,
    /// More than 200 bytes.
    #[error("volume name is {0} bytes long; at most 200 are allowed")]
    TooLong(usize),
    /// A character that is not allowed, or not at the start.
    #[error("volume name {0:?} may only hold [a-zA-Z0-9_.-] and must begin with a letter or digit")]
    Illegal(String),
}

impl VolumeName {
    /// The longest name, in bytes: room is left for suffixes within `NAME_MAX`.
    pub const MAX_BYTES: usize = 200;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeName {
    type Err = VolumeNameError;

    fn from_str(text: &str) -> Result<Self, VolumeNameError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match text.chars().next() {
            None => Err(VolumeNameError::Empty),
            Some(_) if text.len() > Self::MAX_BYTES => Err(VolumeNameError::TooLong(text.len())),
            Some(first) if first.is_ascii_alphanumeric() && text.chars().all(legal) => {
                Ok(Self(text.to_owned()))
            }
            Some(_) => Err(VolumeNameError::Illegal(text.to_owned())),
        }
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["a", "db-1", "0.x_y"] {
            assert!(good.parse::<VolumeName>().is_ok());
        }
        for bad in ["", ".hidden", "-x", "a/b", "a@b", "a b", "ä"] {
            assert!(bad.parse::<VolumeName>().is_err(), "{bad}");
        }
        assert!("a".repeat(201).parse::<VolumeName>().is_err());
    }
}
