//! Chunks of a volume of this host for who makes another, whoever has it open.

use std::path::PathBuf;

use super::find_chunks;
use crate::types::{ChunkHash, with_causes};
use crate::volume::{self, ChunkSource, NamedChunks, Take};

/// The chunks of the volume in a directory. One that cannot be read has none.
#[derive(Debug)]
pub struct VolumeChunks {
    dir: PathBuf,
}

impl VolumeChunks {
    /// Those of the volume in `dir`.
    #[must_use]
    pub const fn of(dir: PathBuf) -> Self {
        Self { dir }
    }
}

impl ChunkSource for VolumeChunks {
    fn name(&self) -> String {
        format!("volume {}", self.dir.display())
    }

    fn find(&self, wanted: &[ChunkHash], take: &mut Take<'_>) -> volume::Result<()> {
        // It may be damaged, or of another cask: nothing depends on it.
        let unread = |error: &dyn std::error::Error| {
            log::debug!("nothing comes from {}: {}", self.name(), with_causes(error));
            Ok(())
        };
        let places = match find_chunks(&self.dir, wanted) {
            Ok(places) if places.is_empty() => return Ok(()),
            Ok(places) => places,
            Err(error) => return unread(&error),
        };
        let chunks = match NamedChunks::open(&self.dir) {
            Ok(chunks) => chunks,
            Err(error) => return unread(&error),
        };
        for place in &places {
            match chunks.read(place) {
                Ok(Some(plain)) => take(&plain)?,
                // It was moved, or removed.
                Ok(None) => {}
                Err(error) => unread(&error)?,
            }
        }
        Ok(())
    }
}
