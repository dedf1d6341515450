//! When the background of a volume works, and how much of it at a time: values, which tests and operators may set
//! otherwise. Nothing else differs by them.

use std::time::Duration;

use serde::Deserialize;

const MIB: u64 = 1024 * 1024;

/// The tuning of an open volume; [`Self::default`] is what users have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// When dead space is given back.
    pub gc: GcTuning,
    /// When files in small extents are put together.
    pub defragment: DefragmentTuning,
    /// How copies are written that were answered first.
    pub copies: CopyTuning,
    /// When scheduled snapshots are taken.
    pub schedules: ScheduleTuning,
}

/// A text that is no tuning.
#[derive(Debug, thiserror::Error)]
#[error("this is no tuning of a volume: {0}")]
pub struct BadTuning(#[source] serde_json::Error);

/// What is put up with before something is collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GcTuning {
    /// Dead bytes up to this share of all, in percent.
    pub dead_percent: u64,
    /// Dead bytes, whatever their share, while writers are busy.
    pub dead_bytes: u64,
    /// The same when nothing is written.
    pub dead_bytes_idle: u64,
    /// How much is appended before it is looked whether there is something to do.
    pub look_bytes: u64,
    /// After how many milliseconds it is looked without appends.
    pub idle_ms: u64,
    /// A segment that is being appended to is sealed at a look when this much was appended since the last one: only
    /// sealed segments are collected.
    pub seal_bytes: u64,
}

impl GcTuning {
    /// After how long it is looked without appends.
    pub(super) const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

impl Default for GcTuning {
    fn default() -> Self {
        Self {
            dead_percent: 20,
            dead_bytes: 256 * MIB,
            dead_bytes_idle: 4 * MIB,
            look_bytes: 64 * MIB,
            idle_ms: 5000,
            seal_bytes: u64::MAX,
        }
    }
}

/// When files in small extents are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefragmentTuning {
    /// A file is quiet when nothing of it changed for this many seconds.
    pub quiet_secs: i64,
    /// Seconds from one look for such files to the next, when nothing is written.
    pub interval_secs: u64,
}

impl Default for DefragmentTuning {
    fn default() -> Self {
        Self {
            quiet_secs: 30,
            interval_secs: 30,
        }
    }
}

/// How copies are written that were answered first (docs/decisions/0016-copies-that-are-answered-first.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CopyTuning {
    /// Extents that a copy may have to be written before its answer.
    pub at_once_extents: usize,
    /// Extents that are shorter on average, in bytes, are not left for later: who changes the file next would wait for
    /// too many.
    pub later_bytes: u64,
    /// Extents that one transaction writes of a copy under way: 1024 are about 1 ms with the writer held.
    pub step_extents: usize,
}

impl Default for CopyTuning {
    fn default() -> Self {
        Self {
            at_once_extents: 2048,
            later_bytes: 32 * 1024,
            step_extents: 1024,
        }
    }
}

/// When scheduled snapshots are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleTuning {
    /// Seconds from a failure, which may be a full disk, to the next try.
    pub again_secs: u64,
}

impl ScheduleTuning {
    /// After how long a failure is tried again.
    pub(crate) const fn again(&self) -> Duration {
        Duration::from_secs(self.again_secs)
    }
}

impl Default for ScheduleTuning {
    fn default() -> Self {
        Self { again_secs: 300 }
    }
}

impl Tuning {
    /// Reads a tuning from JSON; what it does not name is as usual.
    ///
    /// # Errors
    /// When it is no such JSON, or names what there is not.
    pub fn parse(text: &str) -> Result<Self, BadTuning> {
        serde_json::from_str(text).map_err(BadTuning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_as_usual_and_what_is_not_known_is_refused() {
        let tuning = Tuning::parse(r#"{"gc": {"dead_percent": 3}}"#).unwrap();
        assert_eq!(tuning.gc.dead_percent, 3);
        assert_eq!(tuning.gc.look_bytes, GcTuning::default().look_bytes);
        assert_eq!(Tuning::parse("{}").unwrap(), Tuning::default());
        for text in [r#"{"gc": {"dead": 3}}"#, r#"{"gd": {}}"#, "eager"] {
            assert!(Tuning::parse(text).is_err());
        }
    }
}
