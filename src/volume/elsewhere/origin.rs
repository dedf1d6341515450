//! Where a volume's chunks come from, as `volume.json` has it until all are here.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::remote::{ObjectId, RemoteDir, Remotes};
use crate::types::{RemoteName, RemoteNameError, VolumeId};

/// A snapshot in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The root whose remotes are meant.
    pub root: PathBuf,
    /// The remote.
    pub remote: String,
    /// The repository that it was.
    pub repository: VolumeId,
    /// The snapshot, as users name it.
    pub snapshot: String,
    /// What keeps it from being collected there.
    pub pin: ObjectId,
    /// Whether it is known here what files there are.
    #[serde(default)]
    pub rows: Rows,
    /// What is fetched before it is needed.
    pub prefetch: Prefetch,
    /// How long a read waits for the store.
    pub deadline: Deadline,
}

/// Where the rows are that tell of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rows {
    /// In the volume.
    #[default]
    Here,
    /// In the repository still: the volume has no tables yet.
    Elsewhere,
}

/// What is fetched before it is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefetch {
    /// All of it, in the background: the volume needs the repository for a while only.
    #[default]
    All,
    /// What files there are, but not what they hold.
    Metadata,
    /// The same, and the volume keeps nothing of what is read: chunks are in a cache of the root, which has a bound.
    None,
}

/// How long a read waits for the store: seconds, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// So long, in seconds.
    Seconds(u64),
    /// Until it answers.
    Endless,
}

impl Origin {
    /// The remote on this host.
    ///
    /// # Errors
    /// [`RemoteNameError`] when what is noted is no name.
    pub fn dir(&self) -> Result<RemoteDir, RemoteNameError> {
        let name: RemoteName = self.remote.parse()?;
        Ok(Remotes::below(&self.root).dir_of(&name))
    }
}

impl FromStr for Deadline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "wait" {
            return Ok(Self::Endless);
        }
        let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
        let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
        seconds
            .map(Self::Seconds)
            .ok_or_else(|| format!("\"{text}\" is not a number of seconds, such as 30s, or wait"))
    }
}

/// A text that is no [`Prefetch`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not none, all or metadata")]
pub struct PrefetchError(String);

impl FromStr for Prefetch {
    type Err = PrefetchError;

    fn from_str(text: &str) -> Result<Self, PrefetchError> {
        match text {
            "all" => Ok(Self::All),
            "metadata" => Ok(Self::Metadata),
            "none" => Ok(Self::None),
            _ => Err(PrefetchError(text.to_owned())),
        }
    }
}

impl fmt::Display for Prefetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Metadata => "metadata",
            Self::None => "none",
        })
    }
}

impl Default for Deadline {
    /// 30 s.
    fn default() -> Self {
        Self::Seconds(30)
    }
}

impl Deadline {
    /// The time, unless it is endless.
    pub(in crate::volume) const fn time(self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds)),
            Self::Endless => None,
        }
    }
}
