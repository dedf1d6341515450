//! The chunk caches of the root: whose they are, what they take, and which nobody needs any more.

use std::collections::BTreeMap;

use crate::cli::locate::Root;
use crate::cli::remotes::remotes;
use crate::remote::CACHE_BYTES;
use crate::types::VolumeId;
use crate::volume::ChunkCache;

/// A cache as it is shown.
#[derive(Debug)]
pub(super) struct Kept {
    /// The remotes of its repository; its uuid where there is none.
    pub(super) remote: String,
    /// Bytes on the disk.
    pub(super) bytes: u64,
    /// What it may take.
    pub(super) bytes_max: u64,
}

/// A repository, as the remotes of the root have it.
#[derive(Debug, Default)]
struct Known {
    names: Vec<String>,
    /// The least that one of them allows.
    bytes_max: Option<u64>,
}

/// All that there are. What cannot be read is left out.
pub(super) fn kept(root: &Root) -> Vec<Kept> {
    let known = known(root).unwrap_or_default();
    let caches = ChunkCache::all(root.path()).unwrap_or_default();
    let kept = caches.into_iter().map(|cache| {
        let repository = cache.repository();
        let known = known.get(&repository);
        Kept {
            remote: known.map_or_else(|| repository.to_string(), |one| one.names.join(", ")),
            bytes: cache.bytes(),
            bytes_max: known.and_then(|one| one.bytes_max).unwrap_or(CACHE_BYTES),
        }
    });
    kept.collect()
}

/// Those of repositories that no remote of the root has. None where a remote cannot be read: it may be that one's.
pub(super) fn unneeded(root: &Root) -> Vec<ChunkCache> {
    let Some(known) = known(root) else {
        return Vec::new();
    };
    let caches = ChunkCache::all(root.path()).unwrap_or_default().into_iter();
    caches
        .filter(|cache| !known.contains_key(&cache.repository()))
        .collect()
}

fn known(root: &Root) -> Option<BTreeMap<VolumeId, Known>> {
    let mut known: BTreeMap<VolumeId, Known> = BTreeMap::new();
    for dir in remotes(root).all().ok()? {
        let settings = dir.settings().ok()?;
        let one = known.entry(settings.repository).or_default();
        one.names.push(dir.name().to_string());
        let bounds = one.bytes_max.into_iter().chain(settings.cache);
        one.bytes_max = bounds.min();
    }
    Some(known)
}
