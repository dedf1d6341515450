//! What tells where the chunks of packs went, in the store, and what is kept of it on this host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::kept_names::KeptNames;
use super::moved::{DIR, Moved, key_of};
use super::object::{Kind, ObjectId, open_whole, seal_whole};
use super::shelf::Tag;
use super::{Error, Repository, Result};
use crate::durable;

impl Repository {
    /// The packs that were packed anew, and of which something tells where their chunks went.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn moved_packs(&self) -> Result<BTreeSet<ObjectId>> {
        let listed = self.shelf().list(DIR)?.into_iter();
        Ok(listed
            .filter_map(|one| one.key.last().parse().ok())
            .collect())
    }

    /// Where the chunks of a pack went, and what that state of the object is told by.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not packed anew; [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn read_moved(&self, pack: &ObjectId) -> Result<(Moved, Tag)> {
        let (bytes, tag) = self.shelf().get(&key_of(pack))?;
        Ok((self.open_moved(pack, &bytes)?, tag))
    }

    fn open_moved(&self, pack: &ObjectId, bytes: &[u8]) -> Result<Moved> {
        let key = key_of(pack);
        let (_, body) = open_whole(self.master(), Kind::Moved, &key, bytes)?;
        let moved = Moved::decode(&body);
        let moved = moved.ok_or_else(|| Error::damaged(&key, "it cannot be read"))?;
        if moved.pack() != pack {
            return Err(Error::damaged(&key, "it is of another pack"));
        }
        Ok(moved)
    }

    /// Where the chunks of a pack went that is gone: what is told of that does not change any more, and is kept in `dir` as
    /// it was stored.
    ///
    /// # Errors
    /// Those of [`Self::read_moved`]; [`Error::Host`].
    pub fn keep_moved(&self, pack: &ObjectId, dir: &Path) -> Result<Moved> {
        let dir = dir.join(DIR);
        let path = dir.join(pack.to_string());
        let kept = fs::read(&path).ok();
        // What is no longer whole is fetched again.
        if let Some(moved) = kept.and_then(|bytes| self.open_moved(pack, &bytes).ok()) {
            return Ok(moved);
        }
        let (bytes, _) = self.shelf().get(&key_of(pack))?;
        let moved = self.open_moved(pack, &bytes)?;
        let stored =
            fs::create_dir_all(&dir).and_then(|()| durable::replace_shared_file(&path, &bytes));
        stored.map_err(|e| Error::host(format!("keep {}", path.display()), e))?;
        Ok(moved)
    }

    /// Removes what is kept in `dir` of packs of which nothing tells any more.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn forget_kept_moves(dir: &Path, told: &BTreeSet<ObjectId>) -> Result<()> {
        let dir = dir.join(DIR);
        let cannot = |e| Error::host(format!("clean up {}", dir.display()), e);
        let names = KeptNames::now_in(&dir).map_err(cannot)?;
        names.remove_unless(|id| told.contains(id));
        Ok(())
    }

    /// Where the chunks of a pack went that is gone; `None` when nothing tells.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn moved_from(&self, pack: &ObjectId) -> Result<Option<Arc<Moved>>> {
        if let Some(known) = self.moves().get(pack) {
            return Ok(Some(known));
        }
        match self.read_moved(pack) {
            Ok((moved, _)) => {
                let moved = Arc::new(moved);
                self.moves().keep(&moved);
                Ok(Some(moved))
            }
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was read before of it, without a request.
    pub(super) fn known_moved(&self, pack: &ObjectId) -> Option<Arc<Moved>> {
        self.moves().get(pack)
    }

    /// Tells where the chunks of a pack are, in the place of what `before` tells, if there was something.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Changed`] when another has told meanwhile, where the store decides that; see
    /// [`super::Shelf`].
    pub fn put_moved(&self, moved: &Moved, before: Option<&Tag>) -> Result<()> {
        let key = key_of(moved.pack());
        let (_, bytes) = seal_whole(self.master(), Kind::Moved, moved.encode())?;
        let stored = match before {
            None if self.creates() => self.shelf().create(&key, bytes.into()).map(drop),
            Some(tag) if self.keeps_tags() => {
                self.shelf().replace(&key, bytes.into(), tag).map(drop)
            }
            None | Some(_) => self.shelf().put(&key, bytes.into()),
        };
        match stored {
            // The answer of a first try may have been lost: nobody else draws the same new packs.
            Err(error @ (Error::Exists { .. } | Error::Changed { .. })) => {
                let is_this = self.read_moved(moved.pack())?.0 == *moved;
                if is_this { Ok(()) } else { Err(error) }
            }
            stored => stored,
        }
    }

    /// Nothing names these packs any more.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn delete_moved<'a>(&self, packs: impl IntoIterator<Item = &'a ObjectId>) -> Result<()> {
        let keys: Vec<_> = packs.into_iter().map(key_of).collect();
        self.shelf().delete_all(&keys)
    }
}
