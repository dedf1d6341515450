//! How far a scrub is and what it found, which outlives the server (`scrub` in the volume's directory).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::types::{ChunkId, Timestamp};
use crate::volume::error::Result;
use crate::volume::noted;

const FILE: &str = "scrub";

/// How far a scrub is, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// The last chunk of this round that was read.
    pub(super) after: i64,
    /// How often all chunks were read.
    pub rounds: u64,
    /// When that was last, in seconds since the epoch.
    pub finished: Option<i64>,
    /// Bytes that were read in this round.
    pub bytes: u64,
    /// What each damaged chunk means.
    pub(super) damage: BTreeMap<i64, Vec<String>>,
}

impl Scrubbed {
    /// What the scrub of the volume in `dir` has done; nothing if there was none, or that is not known any more.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn load(dir: &Path) -> Result<Self> {
        noted::load(dir, FILE)
    }

    pub(super) fn store(&self, dir: &Path) -> Result<()> {
        noted::store(self, dir, FILE)
    }

    /// What is damaged, in sentences.
    #[must_use]
    pub fn damage(&self) -> Vec<String> {
        let all: BTreeSet<_> = self.damage.values().flatten().cloned().collect();
        all.into_iter().collect()
    }

    /// What was found up to `last`: of what is whole, or gone, nothing was.
    pub(super) fn note(&mut self, last: ChunkId, found: BTreeMap<i64, Vec<String>>) {
        let from = self.after.saturating_add(1);
        if from <= last.0 {
            let past: Vec<i64> = self
                .damage
                .range(from..=last.0)
                .map(|(id, _)| *id)
                .collect();
            for id in past {
                self.damage.remove(&id);
            }
        }
        self.damage.extend(found);
        self.after = last.0;
    }

    pub(super) fn finish(&mut self) {
        self.note(ChunkId(i64::MAX), BTreeMap::new());
        self.after = i64::MIN;
        self.rounds += 1;
        self.finished = Some(Timestamp::now().secs());
        self.bytes = 0;
    }
}
