//! How new chunks are compressed, which may change at any time.

use crate::chunks::NewChunk;
use crate::types::Compression;
use parking_lot::Mutex;

/// Shorter chunks are stored as they are: most of them are on the way of an fsync, and die soon.
const PACKED_BYTES_MIN: usize = 16 * 1024;

/// The compression of an open volume.
#[derive(Debug)]
pub(in crate::volume) struct Packing(Mutex<Compression>);

impl Packing {
    pub(in crate::volume) const fn new(compression: Compression) -> Self {
        Self(Mutex::new(compression))
    }

    pub(super) fn get(&self) -> Compression {
        *self.0.lock()
    }

    pub(super) fn set(&self, compression: Compression) {
        *self.0.lock() = compression;
    }

    /// Prepares a chunk to be stored.
    pub(in crate::volume) fn pack(&self, chunk: &mut NewChunk<'_>) {
        if chunk.data.len() >= PACKED_BYTES_MIN {
            chunk.pack(self.get());
        }
    }
}
