//! The repository behind a volume: opened when it is first needed, and again after it could not be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::origin::Origin;
use super::trouble::Trouble;
use crate::remote::{Error, Fetched, Place, RemoteRef, Repository, Result};
use crate::types::{Timestamp, with_causes};

/// How often the log says that the store does not answer.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// How often what keeps the snapshot from being collected is renewed: it counts for a day.
const PIN_EVERY: Duration = Duration::from_secs(3600);

/// Where chunks are fetched from.
#[derive(Debug)]
pub(in crate::volume) struct Source {
    origin: Origin,
    /// The volume's directory.
    dir: PathBuf,
    opened: Mutex<Option<Arc<Repository>>>,
    health: Mutex<Health>,
    pinned: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Health {
    /// Why the last request failed.
    trouble: Option<Trouble>,
    said: Option<Instant>,
}

impl Source {
    pub(in crate::volume) fn new(origin: Origin, dir: &Path) -> Self {
        Self {
            origin,
            dir: dir.to_owned(),
            opened: Mutex::default(),
            health: Mutex::default(),
            pinned: Mutex::default(),
        }
    }

    pub(in crate::volume) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Why the last request failed; `None` when it did not.
    pub(super) fn trouble(&self) -> Option<String> {
        let health = self.health.lock();
        health.trouble.as_ref().map(|trouble| trouble.error.clone())
    }

    /// Fetches and verifies chunks of one pack.
    ///
    /// # Errors
    /// [`Error::OtherRepository`]; those of [`Repository::fetch`].
    pub(in crate::volume) fn fetch(&self, window: &[Place]) -> Result<Fetched> {
        self.ask(|repository| repository.fetch(window))
    }

    /// Asks the repository something.
    ///
    /// # Errors
    /// [`Error::OtherRepository`]; those of `ask`.
    pub(in crate::volume) fn ask<T>(
        &self,
        ask: impl FnOnce(&Repository) -> Result<T>,
    ) -> Result<T> {
        let answered = self.repository().and_then(|at| ask(&at));
        self.note(answered.as_ref().err());
        answered
    }

    /// Says that the snapshot is needed still, if that was long ago. A pin that had ended is made anew while the snapshot
    /// is there.
    ///
    /// # Errors
    /// Those of [`Repository::renew_pin`]; [`Error::NotThere`] when the snapshot is forgotten, too.
    pub(in crate::volume) fn keep_pinned(&self) -> Result<()> {
        let mut pinned = self.pinned.lock();
        if pinned.is_some_and(|at| at.elapsed() < PIN_EVERY) {
            return Ok(());
        }
        let (repository, pin) = (self.repository()?, &self.origin.pin);
        match repository.renew_pin(pin) {
            Err(Error::Missing { .. }) => {
                let from = self.origin.snapshot.parse::<RemoteRef>();
                let from = from.map_err(|e| Error::Setting(e.to_string()))?;
                repository.pin_as(pin, &from.find_snapshot(&repository)?)?;
                log::warn!("{from} was not pinned for a while, and is again");
            }
            renewed => renewed?,
        }
        *pinned = Some(Instant::now());
        Ok(())
    }

    fn repository(&self) -> Result<Arc<Repository>> {
        if let Some(opened) = &*self.opened.lock() {
            return Ok(Arc::clone(opened));
        }
        let dir = self.origin.dir();
        let dir = dir.map_err(|e| Error::Setting(e.to_string()))?;
        let found = dir.open_briefly()?;
        if found.id() != self.origin.repository {
            return Err(Error::OtherRepository {
                found: found.id().to_string(),
                known: self.origin.repository.to_string(),
            });
        }
        let opened = Arc::new(found);
        *self.opened.lock() = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn note(&self, error: Option<&Error>) {
        let mut health = self.health.lock();
        let noted = match error {
            None if health.trouble.take().is_none() => Ok(()),
            None => {
                log::info!("{} answers again", self.origin.remote);
                health.said = None;
                Trouble::clear(&self.dir)
            }
            Some(error) => self.note_trouble(&mut health, &with_causes(error)),
        };
        if let Err(error) = noted {
            log::warn!("it is not noted how the repository answers: {error}");
        }
    }

    fn note_trouble(&self, health: &mut Health, said: &str) -> std::io::Result<()> {
        if health.said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            log::warn!("cannot fetch from {}: {said}", self.origin.snapshot);
            health.said = Some(Instant::now());
        }
        if health.trouble.as_ref().is_some_and(|one| one.error == said) {
            return Ok(());
        }
        let since = health.trouble.as_ref().map(|trouble| trouble.since);
        let trouble = Trouble {
            error: said.to_owned(),
            since: since.unwrap_or_else(|| Timestamp::now().secs()),
        };
        let noted = trouble.store(&self.dir);
        health.trouble = Some(trouble);
        noted
    }
}
