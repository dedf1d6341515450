//! A store to which no more than so many bytes a second are sent.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Bytes, Key, Listed, Shelf, Tag};
use crate::remote::Result;

/// Another store, with a limit.
#[derive(Debug)]
pub(in crate::remote) struct Paced {
    shelf: Arc<dyn Shelf>,
    bytes_a_second: u64,
    /// When what was sent so far may all have been sent.
    free_at: Mutex<Instant>,
}

impl Paced {
    pub(in crate::remote) fn new(shelf: Arc<dyn Shelf>, bytes_a_second: u64) -> Self {
        Self {
            shelf,
            bytes_a_second: bytes_a_second.max(1),
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Waits until so many bytes are due.
    fn wait(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        let now = Instant::now();
        let start = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let start = (*free_at).max(now);
            *free_at = start + takes;
            start
        };
        std::thread::sleep(start + takes - now);
    }
}

impl Shelf for Paced {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.wait(bytes.len());
        self.shelf.put(key, bytes)
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.wait(bytes.len());
        self.shelf.create(key, bytes)
    }

    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        self.wait(bytes.len());
        self.shelf.replace(key, bytes, tag)
    }

    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        self.shelf.get(key)
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        self.shelf.get_range(key, range)
    }

    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.shelf.list(dir)
    }

    fn unfinished(&self) -> Result<Vec<Listed>> {
        self.shelf.unfinished()
    }

    fn delete(&self, key: &Key) -> Result<()> {
        self.shelf.delete(key)
    }

    fn delete_all(&self, keys: &[Key]) -> Result<()> {
        self.shelf.delete_all(keys)
    }

    fn at_once(&self) -> usize {
        self.shelf.at_once()
    }
}
