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
    id: u64,
    /// What is restored, for reading.
    pub(super) path: String,
    pub(super) progress: Progress,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Restores(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    begun: u64,
    of_volumes: HashMap<VolumeName, Restored>,
}

impl Restores {
    /// Notes that a restore begins, unless one goes on.
    pub(super) fn begin(&self, volume: &VolumeName, path: &str) -> Result<Begun, Refusal> {
        let mut all = self.0.lock();
        if let Some(Restored {
            path,
            progress: Progress::Begun(_),
            ..
        }) = all.of_volumes.get(volume)
        {
            let said = format!(
                "{path} of volume \"{volume}\" is being restored; wait until that has ended: the volume's page tells"
            );
            return Err(Refusal::new(StatusCode::CONFLICT, said));
        }
        all.begun += 1;
        let id = all.begun;
        let begun = Restored {
            id,
            path: path.to_owned(),
            progress: Progress::Begun(Timestamp::now()),
        };
        drop(all.of_volumes.insert(volume.clone(), begun));
        Ok(Begun {
            id,
            restores: self.clone(),
            volume: volume.clone(),
        })
    }

    /// How far this restore of the volume's is. What has ended is told once, and forgotten.
    pub(super) fn take(&self, volume: &VolumeName, id: u64) -> Option<Progress> {
        let mut all = self.0.lock();
        all.own(volume, id)?;
        all.tell(volume).map(|told| told.progress)
    }

    /// What there is to tell of this volume: of what has ended, once.
    pub(super) fn tell(&self, volume: &VolumeName) -> Option<Restored> {
        self.0.lock().tell(volume)
    }
}

impl Known {
    fn own(&self, volume: &VolumeName, id: u64) -> Option<&Restored> {
        let known = self.of_volumes.get(volume);
        known.filter(|known| known.id == id)
    }

    fn tell(&mut self, volume: &VolumeName) -> Option<Restored> {
        let known = self.of_volumes.get(volume)?.clone();
        if !matches!(known.progress, Progress::Begun(_)) {
            drop(self.of_volumes.remove(volume));
        }
        Some(known)
    }
}

/// A restore that goes on. One that is given up before its end is forgotten.
#[derive(Debug)]
pub(super) struct Begun {
    restores: Restores,
    volume: VolumeName,
    id: u64,
}

impl Begun {
    /// Which one it is.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    /// Notes how it ended.
    pub(super) fn end(self, how: &commands::Result<()>) {
        if let Some(restored) = self.restores.0.lock().of_volumes.get_mut(&self.volume) {
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
        let known = all.own(&self.volume, self.id);
        let known = known.map(|known| &known.progress);
        if matches!(known, Some(Progress::Begun(_))) {
            drop(all.of_volumes.remove(&self.volume));
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
        let id = first.id();
        let is_begun = |told: Option<Progress>| matches!(told, Some(Progress::Begun(_)));
        assert!(is_begun(restores.take(&volume, id)));
        first.end(&Err(CommandError::new(Kind::Failed, "no space")));
        let told = restores.tell(&volume).unwrap();
        assert_eq!(told.progress, Progress::Failed("no space".to_owned()));
        assert_eq!(restores.tell(&volume), None, "told once");
        let second = restores.begin(&volume, "/b").unwrap();
        let own = second.id();
        assert_eq!(
            restores.take(&volume, id),
            None,
            "the first is not this one"
        );
        second.end(&Ok(()));
        assert_eq!(restores.take(&volume, own), Some(Progress::Done));
    }

    #[test]
    fn one_that_never_began_holds_up_no_other() {
        let (restores, volume) = (Restores::default(), "db".parse().unwrap());
        drop(restores.begin(&volume, "/a").unwrap());
        assert_eq!(restores.tell(&volume), None);
    }
}
