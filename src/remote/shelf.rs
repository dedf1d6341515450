//! What a repository asks of a store: whole objects under names, some of them replaced only if nobody else did.

pub(super) mod local;
pub(super) mod memory;
pub(super) mod paced;
pub(super) mod persistent;
mod retry;
pub(super) mod s3;
mod throttle;

use std::fmt;
use std::ops::Range;

pub use bytes::Bytes;

use super::Result;

/// No object is longer: what says that it is is none of ours, and is not read into memory.
pub(super) const OBJECT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// So many objects are removed by one request where the store takes such (AWS S3 API reference, DeleteObjects).
pub const DELETED_AT_ONCE: usize = 1000;

/// The name of an object: parts with slashes between them, without one at its ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// What one state of an object is told by (an ETag).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub(super) String);

/// An object as a list tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: Key,
    /// Bytes.
    pub bytes: u64,
    /// When it was stored, in seconds since 1970, by the store's clock.
    pub modified: i64,
    /// What this state of it is told by, where the store says that in a list.
    pub tag: Option<Tag>,
}

impl Key {
    /// The object of this name.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        debug_assert!(
            !text.is_empty() && text.split('/').all(|part| !part.is_empty()),
            "{text:?} is the name of an object"
        );
        Self(text)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A store of objects. All of it blocks; many threads may ask at once.
///
/// # Errors
/// Every call: [`super::Error::Unreachable`] and [`super::Error::Denied`]; those that are named beside it.
pub trait Shelf: Send + Sync + fmt::Debug {
    /// Stores an object, whatever is there.
    ///
    /// # Errors
    /// See [`Shelf`].
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()>;

    /// Stores an object that must not be there.
    ///
    /// # Errors
    /// [`super::Error::Exists`]; see [`Shelf`].
    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag>;

    /// Stores an object in the place of the state that `tag` tells.
    ///
    /// # Errors
    /// [`super::Error::Changed`]; see [`Shelf`].
    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag>;

    /// A whole object.
    ///
    /// # Errors
    /// [`super::Error::Missing`]; see [`Shelf`].
    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)>;

    /// A part of an object: less where it ends before.
    ///
    /// # Errors
    /// [`super::Error::Missing`]; see [`Shelf`].
    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>>;

    /// All objects whose names begin with `dir` and a slash, in no order.
    ///
    /// # Errors
    /// See [`Shelf`].
    fn list(&self, dir: &str) -> Result<Vec<Listed>>;

    /// Objects whose writing was begun and not ended, where the store shows such. Their names are those of no objects;
    /// [`Self::delete`] takes them.
    ///
    /// # Errors
    /// See [`Shelf`].
    fn unfinished(&self) -> Result<Vec<Listed>> {
        Ok(Vec::new())
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// See [`Shelf`].
    fn delete(&self, key: &Key) -> Result<()>;

    /// Removes objects, in no order, if they are there. After an error some of them are gone.
    ///
    /// # Errors
    /// See [`Shelf`].
    fn delete_all(&self, keys: &[Key]) -> Result<()> {
        keys.iter().try_for_each(|key| self.delete(key))
    }

    /// How many small requests it takes well at a time.
    fn at_once(&self) -> usize {
        1
    }
}
