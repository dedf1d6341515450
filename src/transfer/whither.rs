//! Where chunks are now whose packs may have been packed anew, for whoever goes through many: what tells of a pack is read
//! once, and once more only when that was long ago.

use std::collections::HashMap;

use super::Result;
use crate::remote::{self, Moved, ObjectId, Place, Repository};

/// Chunks of moved packs that are held in memory: some 6 MiB.
const KNOWN_MAX: usize = 100_000;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Whither {
    /// By the old pack; `None` when nothing that can be read tells.
    known: HashMap<ObjectId, Option<Moved>>,
    chunks: usize,
}

impl Whither {
    /// Where the chunk at `place` is now, moved as often as it takes to come to a pack that will do; `None` when nothing
    /// that can be read tells.
    ///
    /// # Errors
    /// [`super::Error::Remote`].
    pub(super) fn find(
        &mut self,
        repository: &Repository,
        mut place: Place,
        will_do: impl Fn(&ObjectId) -> bool,
    ) -> Result<Option<Place>> {
        for _ in 0..Moved::TIMES_MAX {
            if will_do(&place.pack) {
                return Ok(Some(place));
            }
            let moved = self.read(repository, &place.pack)?;
            let Some(next) = moved.and_then(|moved| moved.follow(&place).ok()) else {
                return Ok(None);
            };
            place = next;
        }
        Ok(None)
    }

    fn read(&mut self, repository: &Repository, pack: &ObjectId) -> Result<Option<&Moved>> {
        if !self.known.contains_key(pack) {
            let found = match repository.read_moved(pack) {
                Ok((moved, _)) => Some(moved),
                Err(remote::Error::Missing { .. } | remote::Error::Damaged { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            self.chunks += found.as_ref().map_or(1, |moved| moved.places().len());
            if self.chunks > KNOWN_MAX {
                self.known.clear();
                self.chunks = 0;
            }
            self.known.insert(*pack, found);
        }
        Ok(self.known.get(pack).and_then(Option::as_ref))
    }
}
