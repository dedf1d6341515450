//! Chunks that have come a moment ago: read from here until their rows tell where they are kept, or where they cannot
//! be kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use lru::LruCache;

use crate::types::FarPlace;

/// Bytes that are held.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What has come last, by where it was.
#[derive(Debug)]
pub(super) struct Brought {
    chunks: LruCache<FarPlace, Arc<[u8]>>,
    bytes: usize,
}

impl Default for Brought {
    fn default() -> Self {
        Self {
            chunks: LruCache::unbounded(),
            bytes: 0,
        }
    }
}

impl Brought {
    pub(super) fn get(&mut self, place: &FarPlace) -> Option<Arc<[u8]>> {
        self.chunks.get(place).cloned()
    }

    pub(super) fn has(&self, place: &FarPlace) -> bool {
        self.chunks.contains(place)
    }

    pub(super) fn put(&mut self, place: FarPlace, plain: Arc<[u8]>) {
        self.bytes += plain.len();
        let before = self.chunks.put(place, plain);
        self.bytes -= before.map_or(0, |before| before.len());
        while self.bytes > BYTES_MAX {
            let Some((_, gone)) = self.chunks.pop_lru() else {
                return;
            };
            self.bytes -= gone.len();
        }
    }

    /// Those of `wanted` that are not here.
    pub(super) fn missing(&self, wanted: &BTreeSet<FarPlace>) -> BTreeSet<FarPlace> {
        wanted
            .iter()
            .filter(|one| !self.has(one))
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_last_stays() {
        let place = |piece| FarPlace {
            pack: [0; 32],
            piece,
            offset: 0,
            stored_len: 1,
            len: 1,
            codec: 0,
        };
        let mib = || Arc::from(vec![0; 1024 * 1024]);
        let mut brought = Brought::default();
        for piece in 0..32 {
            brought.put(place(piece), mib());
        }
        assert!(brought.get(&place(0)).is_some());
        brought.put(place(32), mib());
        brought.put(place(32), mib());
        assert!(brought.has(&place(0)) && !brought.has(&place(1)) && brought.has(&place(2)));
    }
}
