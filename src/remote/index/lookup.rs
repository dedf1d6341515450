//! Where chunks are, by what the index objects of a repository tell.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use super::fetch::{DIR, Fetched, fetch_all};
use super::sorted::Sorted;
use crate::remote::object::ObjectId;
use crate::remote::place::Place;
use crate::remote::{Error, Repository, Result};
use crate::types::ChunkHash;

/// How often it is listed anew what is there, when collections replace it meanwhile.
const TRIES: u32 = 5;

/// Index objects that this host has seen, and the packs that count as there.
#[derive(Debug)]
pub struct Lookup {
    pub(super) known: Vec<Sorted>,
    pub(super) there: BTreeSet<ObjectId>,
    /// Why there may be chunks that this does not tell of.
    lacks: OnceLock<String>,
}

impl Lookup {
    pub(super) const fn of(known: Vec<Sorted>, there: BTreeSet<ObjectId>) -> Self {
        Self {
            known,
            there,
            lacks: OnceLock::new(),
        }
    }

    /// What a repository has now, for who reads only: what is about to be removed counts as there, for as long as it is.
    /// What is fetched is kept in `dir`, where pushes find it as well.
    ///
    /// # Errors
    /// [`Error::Newer`], [`Error::Host`]; see [`crate::remote::Shelf`].
    pub fn load(repository: &Repository, dir: &Path) -> Result<Self> {
        let Fetched { known, lacks, .. } = fetch_settled(repository, &dir.join(DIR))?;
        let lookup = Self::of(known, repository.packs()?.into_keys().collect());
        if let Some(error) = lacks.first() {
            lookup.note(error);
        }
        Ok(lookup)
    }

    /// Where a chunk is, if it is there, as far as this knows.
    ///
    /// # Errors
    /// [`Error::Host`] when what is kept cannot be read.
    pub fn find(&self, hash: &ChunkHash) -> Result<Option<Place>> {
        for sorted in &self.known {
            let found = match sorted.find(hash) {
                Err(error) if is_gone(&error) => {
                    self.note(&error);
                    continue;
                }
                found => found?,
            };
            if let Some(place) = found.filter(|at| self.there.contains(&at.pack)) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Why chunks may be there that were not found: the first thing that failed.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.lacks.get().map(String::as_str)
    }

    fn note(&self, error: &Error) {
        // Only the first is told.
        drop(self.lacks.set(error.to_string()));
    }
}

/// A push of this host has removed what was kept of an index object, which was replaced.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Host { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// All index objects, kept in `dir`, of a time at which none was replaced, if there is one.
fn fetch_settled(repository: &Repository, dir: &Path) -> Result<Fetched> {
    let mut tries = 1;
    loop {
        let listed = repository.shelf().list(DIR)?;
        let fetched = fetch_all(repository, dir, &listed)?;
        let was_replaced = |error: &Error| matches!(error, Error::Missing { .. });
        if tries == TRIES || !fetched.lacks.iter().any(was_replaced) {
            return Ok(fetched);
        }
        tries += 1;
    }
}
