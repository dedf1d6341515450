//! Where chunks are, by what the index objects of a repository tell.

use std::collections::BTreeSet;

use super::sorted::Sorted;
use crate::remote::object::ObjectId;
use crate::remote::place::Place;
use crate::remote::{Repository, Result};
use crate::types::ChunkHash;

/// Index objects that this host has seen, and the packs that count as there.
#[derive(Debug)]
pub struct Lookup {
    pub(super) known: Vec<Sorted>,
    pub(super) there: BTreeSet<ObjectId>,
}

impl Lookup {
    /// What a repository has now, for who reads only: what is about to be removed counts as there, for as long as it is.
    /// What is fetched is kept in `dir`, where pushes find it as well.
    ///
    /// # Errors
    /// [`crate::remote::Error::Newer`], [`crate::remote::Error::Host`]; see [`crate::remote::Shelf`].
    pub fn load(repository: &Repository, dir: &std::path::Path) -> Result<Self> {
        let listed = repository.shelf().list(super::DIR)?;
        let known = super::fetch_all(repository, &dir.join(super::DIR), &listed)?.0;
        let there = repository.packs()?.into_keys().collect();
        Ok(Self { known, there })
    }

    /// Where a chunk is, if it is there.
    ///
    /// # Errors
    /// [`crate::remote::Error::Host`] when what is kept cannot be read.
    pub fn find(&self, hash: &ChunkHash) -> Result<Option<Place>> {
        for sorted in &self.known {
            let found = sorted.find(hash)?;
            if let Some(place) = found.filter(|at| self.there.contains(&at.pack)) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
