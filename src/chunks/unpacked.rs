//! The packed chunks that were read last, unpacked.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::types::SegmentId;

/// Chunks that are kept: reads of a megabyte take eight of the usual length, and several files are read at once.
const KEPT: usize = 32;

/// Where a chunk is; nothing else is ever there.
type Key = (SegmentId, u64);

/// A few chunks, the last used in front.
#[derive(Debug, Default)]
pub(super) struct Unpacked(Mutex<VecDeque<(Key, Arc<[u8]>)>>);

impl Unpacked {
    /// The chunk at this place, if it is kept.
    pub(super) fn get(&self, key: Key) -> Option<Arc<[u8]>> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|(other, _)| *other == key)?;
        let found = kept.remove(at)?;
        let plain = Arc::clone(&found.1);
        kept.push_front(found);
        Some(plain)
    }

    /// Keeps a chunk in place of the one that was used longest ago.
    pub(super) fn put(&self, key: Key, plain: Arc<[u8]>) -> Arc<[u8]> {
        let mut kept = self.0.lock();
        // Two that unpack one chunk at once keep it twice for a while: the bytes are the same.
        kept.push_front((key, Arc::clone(&plain)));
        kept.truncate(KEPT);
        plain
    }
}
