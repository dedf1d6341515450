//! Chunks that need not be fetched, for another volume of this host has them: what the chunks of a pack are called is in
//! its directory, which is small.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;

use super::Result;
use super::fetch::Window;
use super::workers::Workers;
use crate::remote::{self, Bytes, ObjectId, PackedChunk, Repository};
use crate::types::{ChunkHash, ChunkId};
use crate::volume::{self, ChunkSource, FarChunk};

/// Directories that are fetched at once.
const AT_ONCE: usize = 4;
/// Bytes that are needed of a pack for its directory to be worth two requests.
const WORTH_BYTES: u64 = 128 * 1024;

/// The chunks of other volumes of this host.
pub(super) struct Near<'a> {
    repository: &'a Repository,
    sources: &'a [&'a dyn ChunkSource],
    /// All packs, and how long they are.
    packs: BTreeMap<ObjectId, u64>,
    /// The one that was looked at last: others of its chunks may be next.
    last: Option<(ObjectId, Vec<PackedChunk>)>,
}

impl<'a> Near<'a> {
    /// `None` where there is nothing to take chunks from, or not enough to take; `bytes` are needed in all.
    ///
    /// # Errors
    /// Those of [`Repository::packs`].
    pub(super) fn of(
        repository: &'a Repository,
        sources: &'a [&'a dyn ChunkSource],
        bytes: u64,
    ) -> Result<Option<Self>> {
        if sources.is_empty() || bytes < WORTH_BYTES {
            return Ok(None);
        }
        Ok(Some(Self {
            repository,
            sources,
            packs: repository.packs()?,
            last: None,
        }))
    }

    /// Hands over those of these chunks, which come in the order of their places, that are here, verified; the others.
    ///
    /// # Errors
    /// Those of `store`; [`super::Error::Remote`] when the store does not answer.
    pub(super) fn take(
        &mut self,
        chunks: Window,
        mut store: impl FnMut(FarChunk) -> volume::Result<()>,
    ) -> Result<Window> {
        let mut wanted = self.named(&chunks)?;
        let mut found = HashSet::new();
        for source in self.sources {
            if wanted.is_empty() {
                break;
            }
            let mut hashes: Vec<ChunkHash> = wanted.keys().copied().collect();
            hashes.sort_unstable_by_key(|hash| *hash.as_bytes());
            source.find(&hashes, &mut |plain| {
                for id in wanted.remove(&ChunkHash::of(plain)).unwrap_or_default() {
                    let plain = Bytes::copy_from_slice(plain);
                    store(FarChunk { id, plain })?;
                    found.insert(id);
                }
                Ok(())
            })?;
        }
        let rest = chunks.into_iter();
        Ok(rest.filter(|(_, id)| !found.contains(id)).collect())
    }

    /// What these are called, as far as it is worth knowing.
    fn named(&mut self, chunks: &Window) -> Result<HashMap<ChunkHash, Vec<ChunkId>>> {
        let of_packs: Vec<_> = chunks.chunk_by(|a, b| a.0.pack == b.0.pack).collect();
        let is_worth = |of: &[(remote::Place, ChunkId)]| {
            let bytes: u64 = of.iter().map(|(at, _)| u64::from(at.stored_len)).sum();
            bytes >= WORTH_BYTES
        };
        let packs = of_packs.iter().filter(|of| is_worth(of));
        let packs = packs.filter_map(|of| of.first().map(|(at, _)| at.pack));
        let directories = self.directories(packs.collect())?;
        let mut named: HashMap<_, Vec<_>> = HashMap::new();
        for (place, id) in chunks {
            let directory = directories.get(&place.pack);
            let chunk = directory.and_then(|all| all.get(place.piece as usize));
            // What says something else of it is not asked: what comes from there is verified.
            if let Some(chunk) = chunk.filter(|one| one.place == *place) {
                named.entry(chunk.hash).or_default().push(*id);
            }
        }
        let last = chunks.last().map(|(place, _)| place.pack);
        self.last = last.and_then(|id| Some((id, directories.get(&id)?.clone())));
        Ok(named)
    }

    fn directories(
        &mut self,
        wanted: Vec<ObjectId>,
    ) -> Result<HashMap<ObjectId, Vec<PackedChunk>>> {
        let mut found: HashMap<_, _> = self.last.take().into_iter().collect();
        let repository = self.repository;
        let read = move |(id, len): (ObjectId, u64)| {
            let directory = match repository.pack_directory(&id, len) {
                // Its chunks are fetched, and tell what is wrong.
                Err(error) if !error.is_passing() => {
                    log::debug!("it is not known what is in pack {id}: {error}");
                    Vec::new()
                }
                read => read?,
            };
            Ok((id, directory))
        };
        thread::scope(|scope| {
            let jobs = wanted.len();
            let mut reads = Workers::start(scope, (AT_ONCE.min(jobs), jobs), read);
            for id in wanted {
                if let Some(len) = self.packs.get(&id).filter(|_| !found.contains_key(&id)) {
                    reads.ask((id, *len))?;
                }
            }
            while let Some(read) = reads.next()? {
                let (id, directory) = read?;
                found.insert(id, directory);
            }
            Ok(found)
        })
    }
}
