//! Pins: what a volume that fetches its chunks later needs of a repository, also after its snapshot was forgotten.
//!
//! A pin counts for a day from when it was stored last, by the store's clock: nobody has to remove that of a host that
//! is gone.

use super::at_once::ask_each;
use super::object::{Kind, ObjectId, open_whole};
use super::shelf::Key;
use super::{Error, RemoteSnapshot, Repository, Result};

/// Where they are.
const DIR: &str = "pin";
/// How long one counts, in seconds.
const DAY_SECS: i64 = 24 * 3600;

/// What counts and what does not.
#[derive(Debug, Default)]
pub struct Pins {
    /// What is needed still.
    pub needed: Vec<RemoteSnapshot>,
    /// Those that nobody has renewed for a day.
    pub ended: Vec<ObjectId>,
}

impl Repository {
    /// Says that a volume needs what the snapshot consists of. Only a snapshot that is there after this is safe: look at it
    /// again.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn pin(&self, snapshot: &RemoteSnapshot) -> Result<ObjectId> {
        let id = ObjectId::random()?;
        self.pin_as(&id, snapshot)?;
        Ok(id)
    }

    /// The same under a name that is known: the pin had ended, and its volume needs it still.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn pin_as(&self, id: &ObjectId, snapshot: &RemoteSnapshot) -> Result<()> {
        let bytes = snapshot.seal_as(self.master(), Kind::Pin)?;
        self.shelf().put(&key_of(id), bytes.into())
    }

    /// What a pin keeps.
    ///
    /// # Errors
    /// [`Error::Missing`] when it had ended, [`Error::Damaged`]; see [`super::Shelf`].
    pub fn pinned(&self, id: &ObjectId) -> Result<RemoteSnapshot> {
        let key = key_of(id);
        let (bytes, _) = self.shelf().get(&key)?;
        let (_, body) = open_whole(self.master(), Kind::Pin, &key, &bytes)?;
        serde_json::from_slice(&body).map_err(|e| Error::damaged(&key, e))
    }

    /// Says that it is needed still.
    ///
    /// # Errors
    /// [`Error::Missing`] when it had ended; see [`super::Shelf`].
    pub fn renew_pin(&self, id: &ObjectId) -> Result<()> {
        let (bytes, _) = self.shelf().get(&key_of(id))?;
        self.shelf().put(&key_of(id), bytes.into())
    }

    /// Says that nothing is needed any more.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn unpin(&self, id: &ObjectId) -> Result<()> {
        self.unpin_all(std::slice::from_ref(id))
    }

    /// The same of several.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn unpin_all(&self, ids: &[ObjectId]) -> Result<()> {
        let keys: Vec<_> = ids.iter().map(key_of).collect();
        self.shelf().delete_all(&keys)
    }

    /// All pins.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn pins(&self) -> Result<Pins> {
        let listed = self.shelf().list(DIR)?;
        let mut pins = Pins::default();
        if listed.is_empty() {
            return Ok(pins);
        }
        let now = self.time()?;
        let mut counting = Vec::new();
        for one in listed {
            let Ok(id) = one.key.last().parse::<ObjectId>() else {
                continue;
            };
            if now - one.modified > DAY_SECS {
                pins.ended.push(id);
            } else {
                counting.push(id);
            }
        }
        for read in ask_each(self.shelf(), &counting, |id| self.pinned(id)) {
            match read {
                // Its volume has all since it was listed.
                Err(Error::Missing { .. }) => {}
                read => pins.needed.push(read?),
            }
        }
        Ok(pins)
    }
}

fn key_of(id: &ObjectId) -> Key {
    Key::new(format!("{DIR}/{id}"))
}
