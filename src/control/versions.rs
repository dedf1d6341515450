//! Which versions of a protocol a program speaks, and which one two programs use.
//!
//! Each side says the oldest and the newest that it knows with every message; both use the highest common one. It knows
//! nothing of what changed from one version to the next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The versions that a program speaks: from the oldest to the newest, with all between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Versions {
    oldest: u32,
    newest: u32,
}

impl Versions {
    /// From `oldest` to `newest`, which is not below it.
    #[must_use]
    pub const fn of(oldest: u32, newest: u32) -> Self {
        debug_assert!(oldest <= newest, "a range has an oldest and a newest");
        Self { oldest, newest }
    }

    /// One alone: what a program speaks that knows of no ranges.
    #[must_use]
    pub const fn only(version: u32) -> Self {
        Self::of(version, version)
    }

    /// The oldest.
    #[must_use]
    pub const fn oldest(self) -> u32 {
        self.oldest
    }

    /// The newest.
    #[must_use]
    pub const fn newest(self) -> u32 {
        self.newest
    }

    /// The highest that both speak, if there is one.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let highest = self.newest.min(other.newest);
        (highest >= self.oldest.max(other.oldest)).then_some(highest)
    }
}

impl TryFrom<(u32, u32)> for Versions {
    type Error = &'static str;

    fn try_from((oldest, newest): (u32, u32)) -> Result<Self, Self::Error> {
        if oldest > newest {
            return Err("the oldest version is above the newest");
        }
        Ok(Self { oldest, newest })
    }
}

impl From<Versions> for (u32, u32) {
    fn from(versions: Versions) -> Self {
        (versions.oldest, versions.newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            return write!(f, "version {}", self.newest);
        }
        write!(f, "versions {} to {}", self.oldest, self.newest)
    }
}

/// Two programs that cannot talk to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the other side speaks {theirs} of the protocol, this cask {ours}: use the newer cask of the two; \
     if the older one serves the volume, unmount it with that one or umount(8), and mount it again"
)]
pub struct NoCommon {
    /// What the other side speaks.
    pub theirs: Versions,
    /// What this side speaks.
    pub ours: Versions,
}

impl NoCommon {
    /// As the other side would tell it.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self {
            theirs: self.ours,
            ours: self.theirs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Versions> + Clone {
        (0..6).flat_map(|oldest| (oldest..6).map(move |newest| Versions::of(oldest, newest)))
    }

    #[test]
    fn both_sides_find_the_highest_version_that_both_speak_or_none() {
        let speaks = |one: Versions, version| (one.oldest()..=one.newest()).contains(&version);
        for one in all() {
            for other in all() {
                let highest = (0..6)
                    .rev()
                    .find(|&version| speaks(one, version) && speaks(other, version));
                assert_eq!(one.common(other), highest, "{one} and {other}");
                assert_eq!(other.common(one), highest, "{other} and {one}");
            }
        }
    }

    #[test]
    fn a_range_is_said_as_its_ends_and_one_upside_down_is_none() {
        let text = serde_json::to_string(&Versions::of(2, 5)).unwrap();
        assert_eq!(text, "[2,5]");
        let read = |text| serde_json::from_str::<Versions>(text);
        assert_eq!(read("[2,5]").unwrap(), Versions::of(2, 5));
        assert!(read("[5,2]").is_err());
        assert!(read("[5]").is_err());
    }
}
