//! A store in memory: what the others are compared with, and what tests run on.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Bytes, Key, Listed, Shelf, Tag};
use crate::remote::{Error, Result};
use crate::types::Timestamp;

/// An object: how often it was replaced, when it was stored, its bytes.
#[derive(Debug)]
struct Kept {
    version: u64,
    modified: i64,
    bytes: Bytes,
}

/// Objects of this process.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<Key, Kept>>,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Kept>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has all that is there be stored so much earlier.
    pub fn age(&self, by: Duration) {
        let secs = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        for kept in self.objects().values_mut() {
            kept.modified -= secs;
        }
    }

    /// Changes the bytes of an object as a store never should; whether it is there.
    pub fn damage(&self, key: &Key, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.objects()
            .get_mut(key)
            .map(|kept| {
                let mut bytes = kept.bytes.to_vec();
                change(&mut bytes);
                kept.bytes = bytes.into();
            })
            .is_some()
    }
}

fn missing(key: &Key) -> Error {
    Error::Missing {
        object: key.to_string(),
    }
}

fn store(objects: &mut BTreeMap<Key, Kept>, key: &Key, bytes: Bytes) -> Tag {
    let version = objects.get(key).map_or(0, |kept| kept.version + 1);
    let modified = Timestamp::now().secs();
    let kept = Kept {
        version,
        modified,
        bytes,
    };
    objects.insert(key.clone(), kept);
    Tag(version.to_string())
}

impl Shelf for Memory {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        store(&mut self.objects(), key, bytes);
        Ok(())
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Err(Error::Exists {
                object: key.to_string(),
            });
        }
        Ok(store(&mut objects, key, bytes))
    }

    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        let mut objects = self.objects();
        let found = objects.get(key).map(|kept| kept.version.to_string());
        if found.as_ref() != Some(&tag.0) {
            return Err(Error::Changed {
                object: key.to_string(),
            });
        }
        Ok(store(&mut objects, key, bytes))
    }

    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        let objects = self.objects();
        let kept = objects.get(key).ok_or_else(|| missing(key))?;
        Ok((kept.bytes.to_vec(), Tag(kept.version.to_string())))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        let objects = self.objects();
        let bytes = &objects.get(key).ok_or_else(|| missing(key))?.bytes;
        let at = |end: u64| usize::try_from(end).map_or(bytes.len(), |end| end.min(bytes.len()));
        Ok(bytes[at(range.start)..at(range.end)].to_vec())
    }

    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        let below = format!("{dir}/");
        let objects = self.objects();
        let found = objects
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(&below));
        let listed = found.map(|(key, kept)| Listed {
            key: key.clone(),
            bytes: kept.bytes.len() as u64,
            modified: kept.modified,
            tag: Some(Tag(kept.version.to_string())),
        });
        Ok(listed.collect())
    }

    fn delete(&self, key: &Key) -> Result<()> {
        self.objects().remove(key);
        Ok(())
    }
}
