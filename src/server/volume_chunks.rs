//! Chunks of a volume of this host for who makes another, whoever has it open.

use std::cell::Cell;
use std::path::PathBuf;

use super::find_chunks;
use crate::types::{ChunkHash, with_causes};
use crate::volume::{self, ChunkSource, NamedChunks, Take};

/// Chunks that are asked for in vain before a volume is asked no more: it takes some milliseconds each time to open one.
const VAIN_MAX: usize = 16 * 1024;

/// The chunks of the volume in a directory. One that cannot be read, or has nothing that is wanted, is given up soon.
#[derive(Debug)]
pub struct VolumeChunks {
    dir: PathBuf,
    /// Asked for since something was found.
    vain: Cell<usize>,
}

impl VolumeChunks {
    /// Those of the volume in `dir`.
    #[must_use]
    pub const fn of(dir: PathBuf) -> Self {
        Self {
            dir,
            vain: Cell::new(0),
        }
    }
}

impl ChunkSource for VolumeChunks {
    fn name(&self) -> String {
        format!("volume {}", self.dir.display())
    }

    fn find(&self, wanted: &[ChunkHash], take: &mut Take<'_>) -> volume::Result<()> {
        if self.vain.get() >= VAIN_MAX {
            return Ok(());
        }
        let found = find_chunks(&self.dir, wanted).map_err(|error| self.give_up(&error));
        let Ok(places) = found else {
            return Ok(());
        };
        if places.is_empty() {
            self.vain.set(self.vain.get().saturating_add(wanted.len()));
            return Ok(());
        }
        self.vain.set(0);
        let opened = NamedChunks::open(&self.dir).map_err(|error| self.give_up(&error));
        let Ok(chunks) = opened else {
            return Ok(());
        };
        for place in &places {
            match chunks.read(place) {
                Ok(Some(plain)) => take(&plain)?,
                // It was moved, or removed.
                Ok(None) => {}
                // It is damaged, and others are not.
                Err(error) => log::debug!("not from {}: {}", self.name(), with_causes(&error)),
            }
        }
        Ok(())
    }
}

impl VolumeChunks {
    /// It may be damaged, locked, or of another cask: nothing depends on it.
    fn give_up(&self, error: &dyn std::error::Error) {
        log::debug!("nothing comes from {}: {}", self.name(), with_causes(error));
        self.vain.set(VAIN_MAX);
    }
}
