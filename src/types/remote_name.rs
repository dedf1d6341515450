//! Names of remotes.

use std::fmt;
use std::str::FromStr;

/// What a user calls a repository: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 64 bytes.
///
/// It is the name of a directory, and a colon ends it in `REMOTE:VOLUME@SNAP`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteName(String);

/// A text that is no [`RemoteName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "remote name {0:?} may only hold [a-zA-Z0-9_.-], at most 64, and must begin with a letter or digit"
)]
pub struct RemoteNameError(String);

impl RemoteName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemoteName {
    type Err = RemoteNameError;

    fn from_str(text: &str) -> Result<Self, RemoteNameError> {
        let first = |c: char| c.is_ascii_alphanumeric();
        let legal = |c: char| first(c) || matches!(c, '_' | '.' | '-');
        let is_name = text.len() <= Self::MAX_BYTES && text.starts_with(first);
        if is_name && text.chars().all(legal) {
            return Ok(Self(text.to_owned()));
        }
        Err(RemoteNameError(text.to_owned()))
    }
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_directories_and_end_at_a_colon() {
        for good in ["s3", "a.b-c_d", "0", &"x".repeat(64)] {
            assert!(good.parse::<RemoteName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "-a", "a:b", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<RemoteName>().is_err(), "{bad:?}");
        }
    }
}
