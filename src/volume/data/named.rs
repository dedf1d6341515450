//! Reading chunks by their names, also of a volume that a server has open: segments are only ever appended to.

use std::path::Path;
use std::sync::Arc;

use crate::chunks::{self, ChunkStore};
use crate::remote::{self, Place};
use crate::types::{ChunkHash, ChunkPlace, FarPlace, SegmentId, VolumeId};
use crate::volume::config::Config;
use crate::volume::elsewhere::{Cached, Source};
use crate::volume::error::{Error, Result};
use crate::volume::handle::Volume;
use crate::volume::layout::SEGMENTS;

impl Volume {
    /// Those of these chunks that the volume has in its segments, as far as its index of hashes tells, in the order in
    /// which they lie there.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Storage`].
    pub fn find_chunks(&self, wanted: &[ChunkHash]) -> Result<Vec<ChunkPlace>> {
        let mut found = Vec::new();
        for hash in wanted {
            let at = self.core.database().read_once()?.find_place(hash)?;
            let here = at.filter(|at| !at.is_lost() && !at.is_elsewhere());
            found.extend(here.map(|at| (at.segment.raw(), at.offset, ChunkPlace::new(hash, &at))));
        }
        found.sort_unstable_by_key(|(segment, offset, _)| (*segment, *offset));
        Ok(found.into_iter().map(|(_, _, place)| place).collect())
    }
}

/// The chunks of a volume.
#[derive(Debug)]
pub struct NamedChunks {
    store: ChunkStore,
    /// Where those are that it does not have.
    source: Option<Source>,
    /// And where some of those may be.
    cached: Option<Cached>,
}

impl NamedChunks {
    /// Those of the volume in `dir`. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Storage`]; those of [`Config::load`].
    pub fn open(dir: &Path) -> Result<Self> {
        let origin = Config::load(dir)?.origin;
        Ok(Self {
            store: ChunkStore::open(&dir.join(SEGMENTS), SegmentId::LOST)?,
            cached: origin.as_ref().and_then(Cached::of),
            source: origin.map(|origin| Source::new(origin, dir)),
        })
    }

    /// The repository that has the chunks which the volume does not.
    #[must_use]
    pub fn repository(&self) -> Option<VolumeId> {
        self.source.as_ref().map(|one| one.origin().repository)
    }

    /// The plaintext of a chunk; `None` when a collector has moved it since its place was told.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Storage`], [`Error::Remote`].
    pub fn read(&self, chunk: &ChunkPlace) -> Result<Option<Vec<u8>>> {
        if let Some(far) = chunk.far() {
            return self.fetch(&far).map(Some);
        }
        let at = chunk.location();
        let at = at.ok_or_else(|| Error::Corrupt("a chunk has an unknown codec".to_owned()))?;
        match self.store.read_named(&at, &chunk.hash()) {
            Ok(plain) => Ok(Some(plain)),
            Err(chunks::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn fetch(&self, far: &FarPlace) -> Result<Vec<u8>> {
        let cached = self.cached.as_ref().and_then(|cached| cached.get(far));
        if let Some(plain) = cached {
            return Ok(plain.to_vec());
        }
        let source = self.source.as_ref().zip(Place::of_far(far));
        let (source, place) = source.ok_or(Error::Elsewhere)?;
        let fetched = source.fetch(&[place]);
        let fetched = fetched.map_err(|error| Error::Remote(Arc::new(error)))?;
        let plain = fetched.plain.into_iter().next();
        plain.map(Vec::from).ok_or_else(|| {
            let nothing = remote::Error::Bug("a chunk that was fetched is none".to_owned());
            Error::Remote(Arc::new(nothing))
        })
    }
}
