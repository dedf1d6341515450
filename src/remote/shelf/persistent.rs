//! A store that is asked again, for as long as somebody wants to wait, when it cannot be reached.

use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Bytes, Key, Listed, Shelf, Tag};
use crate::remote::Result;

/// The first pause; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Another store, asked again.
#[derive(Debug)]
pub(in crate::remote) struct Persistent {
    shelf: Arc<dyn Shelf>,
    until: Instant,
}

impl Persistent {
    pub(in crate::remote) fn new(shelf: Arc<dyn Shelf>, until: Instant) -> Self {
        Self { shelf, until }
    }

    fn ask<T>(&self, ask: impl Fn(&dyn Shelf) -> Result<T>) -> Result<T> {
        let mut pause = PAUSE;
        loop {
            match ask(&*self.shelf) {
                Err(error) if error.is_passing() && Instant::now() + pause < self.until => {
                    log::warn!("{error}: trying again in {} s", pause.as_secs_f32());
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                outcome => return outcome,
            }
        }
    }
}

impl Shelf for Persistent {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.ask(|shelf| shelf.put(key, bytes.clone()))
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.ask(|shelf| shelf.create(key, bytes.clone()))
    }

    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        self.ask(|shelf| shelf.replace(key, bytes.clone(), tag))
    }

    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        self.ask(|shelf| shelf.get(key))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        self.ask(|shelf| shelf.get_range(key, range.clone()))
    }

    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.ask(|shelf| shelf.list(dir))
    }

    fn unfinished(&self) -> Result<Vec<Listed>> {
        self.ask(|shelf| shelf.unfinished())
    }

    fn delete(&self, key: &Key) -> Result<()> {
        self.ask(|shelf| shelf.delete(key))
    }

    fn delete_all(&self, keys: &[Key]) -> Result<()> {
        self.ask(|shelf| shelf.delete_all(keys))
    }

    fn at_once(&self) -> usize {
        self.shelf.at_once()
    }
}
