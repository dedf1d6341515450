//! What is being restored: in each volume one thing at a time. What takes longer than anybody waits for an answer is told
//! of on the volume's page, and how it ended.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::commands;
use crate::types::VolumeName;

use super::refusal::Refusal;

/// How far a restore is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    Begun(Timestamp),
    Done,
    Failed(String),
}

/// A restore that goes on, or the last one that nobody waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Restored {
    /// What is restored, for reading.
    pub(super) path: String,
    pub(super) progress: Progress,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Restores(Arc<Mutex<HashMap<VolumeName, Restored>>>);

impl Restores {
    /// Notes that a restore begins, unless one goes on.
    pub(super) fn begin(&self, volume: &VolumeName, path: &str) -> Result<Begun, Refusal> {
        let mut all = self.0.lock();
        if let Some(Restored {
            path,
            progress: Progress::Begun(_),
        }) = all.get(volume)
        {
            let said = format!(
                "{path} of volume \"{volume}\" is being restored; wait until that has ended: the volume's page tells"
            );
            return Err(Refusal::new(StatusCode::CONFLICT, said));
        }
        let begun = Restored {
            path: path.to_owned(),
            progress: Progress::Begun(Timestamp::now()),
        };
        drop(all.insert(volume.clone(), begun));
        Ok(Begun {
            restores: self.clone(),
            volume: volume.clone(),
        })
    }

    /// How far the volume's restore is. What has ended is told once, and forgotten.
    pub(super) fn take(&self, volume: &VolumeName) -> Option<Progress> {
        let mut all = self.0.lock();
        let progress = all.get(volume)?.progress.clone();
        if !matches!(progress, Progress::Begun(_)) {
            drop(all.remove(volume));
        }
        Some(progress)
    }

    /// What there is to tell of this volume.
    pub(super) fn of(&self, volume: &VolumeName) -> Option<Restored> {
        self.0.lock().get(volume).cloned()
    }
}

/// A restore that goes on. One that is given up before its end is forgotten.
#[derive(Debug)]
pub(super) struct Begun {
    restores: Restores,
    volume: VolumeName,
}

impl Begun {
    /// Notes how it ended.
    pub(super) fn end(self, how: &commands::Result<()>) {
        if let Some(restored) = self.restores.0.lock().get_mut(&self.volume) {
            restored.progress = match how {
                Ok(()) => Progress::Done,
                Err(error) => Progress::Failed(error.to_string()),
            };
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut all = self.restores.0.lock();
        let known = all.get(&self.volume).map(|known| &known.progress);
        if matches!(known, Some(Progress::Begun(_))) {
            drop(all.remove(&self.volume));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{CommandError, Kind};

    #[test]
    fn one_goes_on_at_a_time_and_how_it_ends_is_told() {
        let (restores, volume) = (Restores::default(), "db".parse().unwrap());
        let first = restores.begin(&volume, "/a").unwrap();
        let refused = restores.begin(&volume, "/b").unwrap_err();
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(refused.said.contains("/a of volume"), "{}", refused.said);
        drop(restores.begin(&"other".parse().unwrap(), "/b").unwrap());
        assert!(matches!(restores.take(&volume), Some(Progress::Begun(_))));
        first.end(&Err(CommandError::new(Kind::Failed, "no space")));
        let known = restores.of(&volume).unwrap();
        assert_eq!(known.progress, Progress::Failed("no space".to_owned()));
        restores.begin(&volume, "/b").unwrap().end(&Ok(()));
        assert_eq!(restores.take(&volume), Some(Progress::Done));
        assert_eq!(restores.of(&volume), None);
    }

    #[test]
    fn one_that_never_began_holds_up_no_other() {
        let (restores, volume) = (Restores::default(), "db".parse().unwrap());
        drop(restores.begin(&volume, "/a").unwrap());
        assert_eq!(restores.of(&volume), None);
    }
}
