//! Reading chunks by their names, also of a volume that a server has open: segments are only ever appended to.

use std::path::Path;

use crate::chunks::{self, ChunkStore};
use crate::types::{ChunkPlace, SegmentId};
use crate::volume::error::{Error, Result};
use crate::volume::layout::SEGMENTS;

/// The chunks of a volume.
#[derive(Debug)]
pub struct NamedChunks(ChunkStore);

impl NamedChunks {
    /// Those of the volume in `dir`. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn open(dir: &Path) -> Result<Self> {
        let store = ChunkStore::open(&dir.join(SEGMENTS), SegmentId::LOST)?;
        Ok(Self(store))
    }

    /// The plaintext of a chunk; `None` when a collector has moved it since its place was told.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Storage`].
    pub fn read(&self, chunk: &ChunkPlace) -> Result<Option<Vec<u8>>> {
        let at = chunk.location();
        let at = at.ok_or_else(|| Error::Corrupt("a chunk has an unknown codec".to_owned()))?;
        match self.0.read_named(&at, &chunk.hash()) {
            Ok(plain) => Ok(Some(plain)),
            Err(chunks::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
