//! The snapshots of a repository: how they are intended, published and given up, and all that are there.
//!
//! Whoever needs all of them reads them together, and what was published once more from what this host keeps.

use std::collections::BTreeSet;

use super::at_once::ask_each;
use super::object::ObjectId;
use super::shelf::{Key, Listed, Tag};
use super::snapshot::{PushState, RemoteSnapshot, SNAPSHOTS, dir_of};
use super::{Error, Found, Repository, Result};
use crate::types::VolumeId;

/// A snapshot, and what that state of it is told by.
type Read = (RemoteSnapshot, Tag);

impl Repository {
    /// All volumes that have snapshots, whether it is known what they are called or not.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn pushed(&self) -> Result<BTreeSet<VolumeId>> {
        let listed = self.shelf().list(SNAPSHOTS)?;
        Ok(listed
            .iter()
            .filter_map(|one| volume_of(&one.key))
            .collect())
    }

    /// All snapshots of a volume, also those whose push has not ended.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn snapshots(&self, volume: VolumeId) -> Result<Found<RemoteSnapshot>> {
        let listed = self.shelf().list(&dir_of(volume))?;
        found_of(self.read_listed(Some(volume), &listed))
    }

    /// The same, all of them read in the store: to tell whether they are whole there.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn stored_snapshots(&self, volume: VolumeId) -> Result<Found<RemoteSnapshot>> {
        let listed = self.shelf().list(&dir_of(volume))?;
        let read = |one: &Listed| self.read_snapshot(&one.key);
        found_of(ask_each(self.shelf(), &listed, read))
    }

    /// Reads what was listed, of one volume or of all. What this host has read before is not fetched again.
    fn read_listed(&self, of: Option<VolumeId>, listed: &[Listed]) -> Vec<Result<Read>> {
        let kept = self.kept().map(|kept| (kept, kept.choose(of, listed)));
        ask_each(self.shelf(), listed, |one| {
            let Some((kept, chosen)) = &kept else {
                return self.read_snapshot(&one.key);
            };
            if let Some((bytes, tag)) = kept.find(one)
                && let Ok(snapshot) = RemoteSnapshot::open(self.master(), &one.key, &bytes)
            {
                return Ok((snapshot, tag));
            }
            let (bytes, tag) = self.shelf().get(&one.key)?;
            let snapshot = RemoteSnapshot::open(self.master(), &one.key, &bytes)?;
            // Only that stays as it is.
            if snapshot.state == PushState::Published {
                kept.keep(chosen, &one.key, (bytes.as_slice(), &tag));
            }
            Ok((snapshot, tag))
        })
    }

    fn read_snapshot(&self, key: &Key) -> Result<Read> {
        let (bytes, tag) = self.shelf().get(key)?;
        Ok((RemoteSnapshot::open(self.master(), key, &bytes)?, tag))
    }

    /// Says that a snapshot is being pushed. The tag is what [`Self::publish`] needs.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn intend(&self, snapshot: &RemoteSnapshot) -> Result<Tag> {
        debug_assert_eq!(snapshot.state, PushState::Pending, "it is not there yet");
        let bytes = snapshot.seal(self.master())?;
        if self.creates() {
            match self.shelf().create(&snapshot.key(), bytes.into()) {
                // The answer of a first try was lost: nobody else has that name.
                Err(Error::Exists { object }) => {
                    let found = self.look_at(snapshot)?;
                    return found.map(|(_, tag)| tag).ok_or(Error::Changed { object });
                }
                created => return created,
            }
        }
        // Its name is random: nobody else has it.
        self.shelf().put(&snapshot.key(), bytes.into())?;
        Ok(Tag(String::new()))
    }

    /// Lets all see a snapshot, unless somebody has ended its push.
    ///
    /// # Errors
    /// [`Error::Changed`] then; see [`super::Shelf`].
    pub fn publish(&self, snapshot: &RemoteSnapshot, tag: &Tag) -> Result<()> {
        let bytes = snapshot.seal(self.master())?;
        if !self.keeps_tags() || tag.0.is_empty() {
            return self.shelf().put(&snapshot.key(), bytes.into());
        }
        self.replace(snapshot, bytes, tag).map(drop)
    }

    /// Stores a snapshot in the place of the state that `tag` tells.
    fn replace(&self, snapshot: &RemoteSnapshot, bytes: Vec<u8>, tag: &Tag) -> Result<Tag> {
        match self.shelf().replace(&snapshot.key(), bytes.into(), tag) {
            // The answer of a first try may have been lost.
            Err(Error::Changed { object }) => match self.look_at(snapshot)? {
                Some((found, tag)) if found == *snapshot => Ok(tag),
                Some(_) | None => Err(Error::Changed { object }),
            },
            replaced => replaced,
        }
    }

    /// What has become of a snapshot; `None` when it was removed.
    ///
    /// # Errors
    /// [`Error::Damaged`]; see [`super::Shelf`].
    pub fn look_at(&self, snapshot: &RemoteSnapshot) -> Result<Option<(RemoteSnapshot, Tag)>> {
        let key = snapshot.key();
        match self.read_snapshot(&key) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says that a push goes on. The tag takes the place of the one before.
    ///
    /// # Errors
    /// [`Error::Changed`] when somebody has ended it; see [`super::Shelf`].
    pub fn renew(&self, snapshot: &mut RemoteSnapshot, tag: &Tag) -> Result<Tag> {
        debug_assert_eq!(snapshot.state, PushState::Pending, "it is under way");
        snapshot.beats += 1;
        let bytes = snapshot.seal(self.master())?;
        if !self.keeps_tags() || tag.0.is_empty() {
            self.shelf().put(&snapshot.key(), bytes.into())?;
            return Ok(tag.clone());
        }
        self.replace(snapshot, bytes, tag)
    }

    /// Ends a push that nobody goes on with: it can no longer be published.
    ///
    /// # Errors
    /// [`Error::Changed`] when it goes on after all; [`Error::Unfit`] where the store decides no such thing; see
    /// [`super::Shelf`].
    pub fn abandon(&self, snapshot: &RemoteSnapshot, tag: &Tag) -> Result<()> {
        if !self.keeps_tags() {
            return Err(Error::Unfit("it keeps no conditions".to_owned()));
        }
        let mut ended = snapshot.clone();
        ended.state = PushState::Abandoned;
        let bytes = ended.seal(self.master())?;
        self.shelf()
            .replace(&snapshot.key(), bytes.into(), tag)
            .map(drop)
    }

    /// All snapshots of all volumes, with the tags of their states.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn all_snapshots(&self) -> Result<Vec<(RemoteSnapshot, Tag)>> {
        let mut listed = self.shelf().list(SNAPSHOTS)?;
        listed.retain(|one| volume_of(&one.key).is_some());
        let mut found = Vec::new();
        for read in self.read_listed(None, &listed) {
            match read {
                // It was forgotten since it was listed.
                Err(Error::Missing { .. }) => {}
                read => found.push(read?),
            }
        }
        Ok(found)
    }

    /// Removes what a push that was given up has said, or a snapshot that is no longer wanted.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn withdraw(&self, snapshot: &RemoteSnapshot) -> Result<()> {
        self.withdraw_all(std::slice::from_ref(snapshot))
    }

    /// The same of several.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn withdraw_all(&self, snapshots: &[RemoteSnapshot]) -> Result<()> {
        let keys: Vec<_> = snapshots.iter().map(RemoteSnapshot::key).collect();
        self.shelf().delete_all(&keys)?;
        if let Some(kept) = self.kept() {
            keys.iter().for_each(|key| kept.forget(key));
        }
        Ok(())
    }
}

/// Those that can be read in the order in which they were taken, and why others cannot.
fn found_of(read: Vec<Result<Read>>) -> Result<Found<RemoteSnapshot>> {
    let mut found = Found::new();
    for one in read {
        found.take(one.map(|(snapshot, _)| snapshot))?;
    }
    found
        .whole
        .sort_by_key(|one| (one.created, one.epoch, one.started));
    Ok(found)
}

/// The volume of a snapshot, by its name in the store.
fn volume_of(key: &Key) -> Option<VolumeId> {
    let mut parts = key.as_str().split('/').skip(1);
    let (volume, id) = (parts.next()?, parts.next()?);
    id.parse::<ObjectId>().ok()?;
    volume.parse().ok()
}
