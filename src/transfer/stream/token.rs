//! How far a stream has come that was cut: what the sender needs to leave out what is there.

use std::fmt;
use std::str::FromStr;

use crate::remote::Opening;
use crate::types::{ChunkHash, VolumeId};

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no token of cask receive")]
pub struct BadToken;

/// The first chunks of a stream, which need not be sent again: a stream has the same ones in the same order whenever it
/// is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeToken {
    volume: VolumeId,
    epoch: i64,
    base: Option<i64>,
    chunks: u64,
    last: String,
}

impl ResumeToken {
    /// For a stream of which so many chunks have come, the last of them this.
    #[must_use]
    pub fn of(opening: &Opening, (chunks, last): (u64, Option<ChunkHash>)) -> Self {
        Self {
            volume: opening.volume,
            epoch: opening.epoch,
            base: opening.base.as_ref().map(|base| base.epoch),
            chunks,
            last: last.map_or_else(|| "0".to_owned(), |last| last.to_string()),
        }
    }

    /// The volume that is sent.
    #[must_use]
    pub const fn volume(&self) -> VolumeId {
        self.volume
    }

    /// Which snapshot of it.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// On which other it builds.
    #[must_use]
    pub const fn base(&self) -> Option<i64> {
        self.base
    }

    /// How many chunks have come.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Whether this is the last chunk that has come.
    pub(super) fn is_last(&self, hash: &ChunkHash) -> bool {
        self.last == hash.to_string()
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (volume, epoch, base) = (self.volume, self.epoch, self.base.unwrap_or(0));
        write!(f, "1.{volume}.{epoch}.{base}.{}.{}", self.chunks, self.last)
    }
}

impl FromStr for ResumeToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let ["1", volume, epoch, base, chunks, last] = parts.as_slice() else {
            return Err(BadToken);
        };
        let base: i64 = base.parse().map_err(|_| BadToken)?;
        Ok(Self {
            volume: volume.parse().map_err(|_| BadToken)?,
            epoch: epoch.parse().map_err(|_| BadToken)?,
            base: (base != 0).then_some(base),
            chunks: chunks.parse().map_err(|_| BadToken)?,
            last: (*last).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_that_comes_back() {
        let token = ResumeToken {
            volume: VolumeId::random(),
            epoch: 7,
            base: Some(3),
            chunks: 1000,
            last: ChunkHash::of(b"x").to_string(),
        };
        let text = token.to_string();
        assert!(!text.contains(char::is_whitespace));
        assert_eq!(text.parse(), Ok(token));
        for bad in ["", "1", "2.a.b.c.d.e", "1.x.1.0.0.0"] {
            assert_eq!(bad.parse::<ResumeToken>(), Err(BadToken), "{bad}");
        }
    }
}
