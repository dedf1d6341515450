//! What a server reads of the chunk cache of its repository, and adds to it. Nothing of that fails a read: what cannot be
//! had of it is fetched, and what cannot be put there is not.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::statvfs;

use super::cache_dir::ChunkCache;
use super::origin::{Origin, Prefetch};
use crate::chunks::{NewChunk, append_cached, cache_file_name, read_cached};
use crate::remote::{CACHE_BYTES, RemoteDir};
use crate::types::FarPlace;
use crate::volume::space::compression::Packing;

/// A server looks whether there is too much when it has added this part of the bound. So many of its steps are left
/// free, for servers that add at the same time.
const STEPS: u64 = 32;
const STEPS_FREE: u64 = 4;
/// Left to others on the host's disk, or a twentieth of it where that is less.
const FREE_BYTES: u64 = 1024 * 1024 * 1024;
/// What a record takes besides its chunk, and a file besides its records, at most.
const RECORD_BYTES: u64 = 64;
const BLOCK_BYTES: u64 = 4096;
/// After the host could not take something, before it is given something again.
const PAUSE: Duration = Duration::from_secs(10);

/// The chunk cache, as a server uses it.
#[derive(Debug)]
pub(in crate::volume) struct Cached {
    cache: ChunkCache,
    remote: Option<RemoteDir>,
    adding: Mutex<Adding>,
}

#[derive(Debug, Default)]
struct Adding {
    /// Bytes that may be added before it is looked whether there is too much; nobody has looked yet at first.
    left: u64,
    /// What was allowed when somebody looked.
    bound: u64,
    paused: Option<Instant>,
}

impl Cached {
    /// That of a volume which does not keep its chunks; `None` of any other.
    pub(in crate::volume) fn of(origin: &Origin) -> Option<Self> {
        (origin.prefetch == Prefetch::None).then(|| Self {
            cache: ChunkCache::below(&origin.root, origin.repository),
            remote: origin.dir().ok(),
            adding: Mutex::default(),
        })
    }

    /// A chunk, verified, if it is there.
    pub(in crate::volume) fn get(&self, place: &FarPlace) -> Option<Arc<[u8]>> {
        let path = self.path_of(place);
        match read_cached(&path, place) {
            Ok(found) => found.map(Arc::from),
            Err(error) => {
                give_up(&path, &error);
                None
            }
        }
    }

    /// Keeps chunks of one pack, in the order of their places, as far as there is room.
    pub(super) fn put<'c>(
        &self,
        packing: &Packing,
        chunks: impl Iterator<Item = (&'c FarPlace, &'c Arc<[u8]>)>,
    ) {
        // One at a time: what is left to add is counted.
        let mut adding = self.adding.lock();
        if adding.paused.is_some_and(|since| since.elapsed() < PAUSE) {
            return;
        }
        let bound = self.bound();
        if adding.bound != bound {
            *adding = Adding {
                bound,
                ..Adding::default()
            };
        }
        let mut chunks = chunks.peekable();
        while let Some((first, _)) = chunks.peek() {
            let path = self.path_of(first);
            let of_file: Vec<_> =
                std::iter::from_fn(|| chunks.next_if(|(place, _)| self.path_of(place) == path))
                    .collect();
            if let Err(error) = self.add(&mut adding, packing, &path, &of_file) {
                log::warn!(
                    "cannot keep what was fetched in {}: {error}",
                    path.display()
                );
                adding.left = 0;
                adding.paused = Some(Instant::now());
                return;
            }
        }
    }

    fn add(
        &self,
        adding: &mut Adding,
        packing: &Packing,
        path: &Path,
        plain: &[(&FarPlace, &Arc<[u8]>)],
    ) -> io::Result<()> {
        let lens = plain
            .iter()
            .map(|(_, plain)| plain.len() as u64 + RECORD_BYTES);
        let most = lens.sum::<u64>() + BLOCK_BYTES;
        if adding.left < most {
            adding.left = self.make_room(adding.bound, most)?;
        }
        if adding.left < most {
            return Ok(());
        }
        let chunks = plain.iter().map(|(place, plain)| {
            let mut chunk = NewChunk::of(plain);
            packing.pack(&mut chunk);
            (**place, chunk)
        });
        let chunks: Vec<_> = chunks.collect();
        let added = match append_cached(path, &chunks) {
            Err(e) if e.kind() == ErrorKind::NotFound && self.is_wanted() => {
                self.cache.make()?;
                append_cached(path, &chunks)
            }
            added => added,
        };
        match added {
            Ok(0) => Ok(()),
            Ok(bytes) => {
                adding.left -= (bytes + BLOCK_BYTES).min(adding.left);
                Ok(())
            }
            // The remote was removed from this host, and the cache with it.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => {
                give_up(path, &error);
                match error.kind() {
                    ErrorKind::InvalidData => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Has the cache be so much smaller than `bound` that `most` more bytes fit; how many may be added before it is
    /// looked again.
    fn make_room(&self, bound: u64, most: u64) -> io::Result<u64> {
        let bound = bound.min(self.room_on_host()?);
        let (step, free) = (bound / STEPS, bound / STEPS * STEPS_FREE);
        let allowed = step.max(most);
        match bound.checked_sub(free + allowed) {
            Some(left) => self.cache.trim(left).map(|()| allowed),
            None => self.cache.trim(bound.saturating_sub(free)).map(|()| 0),
        }
    }

    /// What a user allows; it may have changed.
    fn bound(&self) -> u64 {
        let settings = self.remote.as_ref().map(RemoteDir::settings);
        let set = settings.and_then(|settings| settings.ok()?.cache);
        set.unwrap_or(CACHE_BYTES)
    }

    /// What the cache may take without others having too little.
    fn room_on_host(&self) -> io::Result<u64> {
        let stat = match statvfs(self.cache.dir()) {
            // It is made when something is put there.
            Err(rustix::io::Errno::NOENT) => return Ok(u64::MAX),
            stat => stat?,
        };
        let all = stat.f_blocks.saturating_mul(stat.f_frsize);
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let spared = FREE_BYTES.min(all / 20);
        Ok((self.cache.bytes() + free).saturating_sub(spared))
    }

    /// Whether the remote is one still: after it was removed nothing is to be left.
    fn is_wanted(&self) -> bool {
        self.remote.as_ref().is_some_and(RemoteDir::is_there)
    }

    fn path_of(&self, place: &FarPlace) -> PathBuf {
        self.cache.dir().join(cache_file_name(place))
    }
}

/// A file that is damaged, or cannot be read or written, goes: what it held is fetched again.
fn give_up(path: &Path, error: &io::Error) {
    log::debug!("{} is given up: {error}", path.display());
    if let Err(error) = fs::remove_file(path) {
        log::debug!("{} stays: {error}", path.display());
    }
}
