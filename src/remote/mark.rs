//! Marks: what a collection is about to remove. Whoever pushes counts nothing of it as there.
//!
//! A mark `now` also says that a collection is under way: it is stored anew while that lives. A mark `day` waits until it
//! is a day old, where the store cannot decide who was first. They lie beside the index objects, so that one list tells
//! a push of both.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::object::{Kind, ObjectId, open_whole, seal_whole};
use super::shelf::{Key, Listed, Tag};
use super::{Error, Repository, Result};

/// Where all marks are, as is the index.
const DIR: &str = "index";

/// What is to be removed. The field names are those of docs/remote-format.md.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemned {
    /// Packs.
    pub packs: BTreeSet<ObjectId>,
    /// Runs.
    pub runs: BTreeSet<ObjectId>,
    /// How often its collection has said that it goes on.
    #[serde(default)]
    pub beats: u64,
}

/// What a mark is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// Of a collection that is under way, or was killed.
    Now,
    /// Of what may go when it is a day old.
    Day,
}

/// A mark that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    key: Key,
    /// What it is for.
    pub kind: MarkKind,
    /// When it was written, in seconds since 1970, by the store's clock.
    pub written: i64,
    /// What it says.
    pub condemned: Condemned,
    /// Of the state that says that.
    tag: Tag,
}

impl MarkKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Now => "now-",
            Self::Day => "day-",
        }
    }

    /// What the mark of this name is for; `None` of what is no mark.
    fn of(key: &Key) -> Option<Self> {
        let is = |kind: &Self| {
            let id = key.last().strip_prefix(kind.prefix());
            id.is_some_and(|id| id.parse::<ObjectId>().is_ok())
        };
        [Self::Now, Self::Day].into_iter().find(is)
    }
}

impl Mark {
    /// Its name in the store.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }
}

/// All that marks say is to be removed.
pub(super) fn condemned_of(marks: Vec<Mark>) -> Condemned {
    let mut all = Condemned::default();
    for mark in marks {
        all.packs.extend(mark.condemned.packs);
        all.runs.extend(mark.condemned.runs);
    }
    all
}

impl Repository {
    /// All marks.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn marks(&self) -> Result<Vec<Mark>> {
        self.marks_among(&self.shelf().list(DIR)?)
    }

    /// The marks in a list of the index.
    ///
    /// # Errors
    /// As [`Self::marks`].
    pub(super) fn marks_among(&self, listed: &[Listed]) -> Result<Vec<Mark>> {
        let mut marks = Vec::new();
        for listed in listed {
            let Some(kind) = MarkKind::of(&listed.key) else {
                continue;
            };
            // None when its collection ended since it was listed.
            let found = self.read_mark(&listed.key)?;
            marks.extend(found.map(|(condemned, tag)| Mark {
                condemned,
                kind,
                key: listed.key.clone(),
                written: listed.modified,
                tag,
            }));
        }
        Ok(marks)
    }

    fn read_mark(&self, key: &Key) -> Result<Option<(Condemned, Tag)>> {
        let (bytes, tag) = match self.shelf().get(key) {
            Err(Error::Missing { .. }) => return Ok(None),
            got => got?,
        };
        let (_, body) = open_whole(self.master(), Kind::Mark, key, &bytes)?;
        let condemned = serde_json::from_slice(&body).map_err(|e| Error::damaged(key, e))?;
        Ok(Some((condemned, tag)))
    }

    /// Whether a mark is there still: another collection removes that of one that was silent for long.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn has_mark(&self, mark: &Mark) -> Result<bool> {
        Ok(self.read_mark(&mark.key)?.is_some())
    }

    /// All that is to be removed.
    ///
    /// # Errors
    /// Those of [`Self::marks`].
    pub fn condemned(&self) -> Result<Condemned> {
        Ok(condemned_of(self.marks()?))
    }

    /// Says that these are to be removed.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn mark(&self, kind: MarkKind, condemned: Condemned) -> Result<Mark> {
        let mut mark = Mark {
            key: Key::new(format!("{DIR}/{}{}", kind.prefix(), ObjectId::random()?)),
            kind,
            written: 0,
            condemned,
            tag: Tag(String::new()),
        };
        let bytes = self.seal_mark(&mark)?;
        if !self.creates() {
            self.shelf().put(&mark.key, bytes.into())?;
            return Ok(mark);
        }
        mark.tag = match self.shelf().create(&mark.key, bytes.into()) {
            // The answer of a first try was lost: nobody else has that name.
            Err(Error::Exists { object }) => self.tag_of(&mark, object)?,
            created => created?,
        };
        Ok(mark)
    }

    /// Says that the collection goes on.
    ///
    /// # Errors
    /// [`Error::Changed`] when another one has taken this one for dead; see [`super::Shelf`].
    pub fn renew_mark(&self, mark: &mut Mark) -> Result<()> {
        mark.condemned.beats += 1;
        let bytes = self.seal_mark(mark)?;
        if !self.keeps_tags() || mark.tag.0.is_empty() {
            if !self.has_mark(mark)? {
                return Err(Error::Changed {
                    object: mark.key.to_string(),
                });
            }
            return self.shelf().put(&mark.key, bytes.into());
        }
        mark.tag = match self.shelf().replace(&mark.key, bytes.into(), &mark.tag) {
            // The answer of a first try may have been lost.
            Err(Error::Changed { object }) => self.tag_of(mark, object)?,
            replaced => replaced?,
        };
        Ok(())
    }

    /// The tag of a mark that says this, if it is there.
    fn tag_of(&self, mark: &Mark, object: String) -> Result<Tag> {
        let found = self.read_mark(&mark.key)?;
        let found = found.filter(|(condemned, _)| *condemned == mark.condemned);
        found.map(|(_, tag)| tag).ok_or(Error::Changed { object })
    }

    fn seal_mark(&self, mark: &Mark) -> Result<Vec<u8>> {
        let body = serde_json::to_vec(&mark.condemned).map_err(|e| Error::Bug(e.to_string()))?;
        Ok(seal_whole(self.master(), Kind::Mark, body)?.1)
    }

    /// All that a mark says is done, or nobody is there to do it.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn unmark(&self, key: &Key) -> Result<()> {
        self.shelf().delete(key)
    }
}
