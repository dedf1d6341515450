//! How new chunks are compressed, which may change at any time.

use std::sync::{Mutex, PoisonError};

use super::{Result, Volume, store};
use crate::chunks::NewChunk;
use crate::types::Compression;

/// Shorter chunks are stored as they are: most of them are on the way of an fsync, and die soon.
const PACKED_BYTES_MIN: usize = 16 * 1024;

/// The compression of an open volume.
#[derive(Debug)]
pub(super) struct Packing(Mutex<Compression>);

impl Packing {
    pub(super) const fn new(compression: Compression) -> Self {
        Self(Mutex::new(compression))
    }

    fn get(&self) -> Compression {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares a chunk to be stored.
    pub(super) fn pack(&self, chunk: &mut NewChunk<'_>) {
        if chunk.data.len() >= PACKED_BYTES_MIN {
            chunk.pack(self.get());
        }
    }
}

impl Volume {
    /// How new chunks are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.core.packing.get()
    }

    /// Has chunks compressed otherwise from now on; what is stored stays as it is until the collector moves it.
    ///
    /// # Errors
    /// I/O errors; nothing has changed then.
    pub fn set_compression(&self, compression: Compression) -> Result<()> {
        store::edit(&self.dir, |config| config.compression = compression)?;
        *self
            .core
            .packing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = compression;
        Ok(())
    }
}
