//! Snapshots that this host has pushed, as far as a later one may build on them: their runs, and the packs that those name.
//!
//! They only save work. Whoever builds on one looks whether it is there still, as it was, and with all that it names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::kept_names::{KeptNames, remove};
use super::{Error, ObjectId, RemoteSnapshot, Result};
use crate::durable;
use crate::types::VolumeId;

/// Where they are, in the cache of a remote.
const DIR: &str = "pushed";
/// How many of a volume are kept.
const KEPT: usize = 4;
/// How often they are removed anew while pushes keep others.
const TRIES: u32 = 5;
/// Bytes of the hash that a file begins with: what rotted must not be built on.
const SUM_BYTES: usize = 32;

/// A snapshot on which another can build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedBase {
    /// It, as it was published.
    pub snapshot: RemoteSnapshot,
    /// All packs that its runs name.
    pub packs: BTreeSet<ObjectId>,
}

/// Those of one volume.
#[derive(Debug, Clone)]
pub struct PushedBases {
    dir: PathBuf,
}

impl PushedBases {
    /// Those that are kept in the cache of a remote.
    #[must_use]
    pub fn in_cache(cache: &Path, volume: VolumeId) -> Self {
        Self {
            dir: cache.join(DIR).join(volume.to_string()),
        }
    }

    /// The newest that `is_known` says is the same on this host; the others are not looked at.
    pub fn newest(&self, is_known: impl Fn(&RemoteSnapshot) -> bool) -> Option<PushedBase> {
        let found = self.all().into_iter();
        let mut found: Vec<_> = found.filter(|(_, one)| is_known(&one.snapshot)).collect();
        found.sort_by_key(|(_, one)| one.snapshot.epoch);
        found.pop().map(|(_, one)| one)
    }

    /// Keeps one more, and a few of those before it.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn keep(&self, base: &PushedBase) -> Result<()> {
        let cannot = |e| Error::host(format!("write in {}", self.dir.display()), e);
        fs::create_dir_all(&self.dir).map_err(cannot)?;
        let body = serde_json::to_vec(base).map_err(|e| Error::Bug(e.to_string()))?;
        let mut bytes = blake3::hash(&body).as_bytes().to_vec();
        bytes.extend(body);
        let path = self.dir.join(base.snapshot.id.to_string());
        durable::replace_shared_file(&path, &bytes).map_err(cannot)?;
        let names = KeptNames::now_in(&self.dir).map_err(cannot)?;
        names.remove_unless(|_| true);
        let mut all = self.all();
        all.sort_by_key(|(_, one)| one.snapshot.epoch);
        let old = all.len().saturating_sub(KEPT);
        for (path, _) in &all[..old] {
            remove(path);
        }
        Ok(())
    }

    /// Forgets one: it is not there any more.
    pub fn forget(&self, base: &PushedBase) {
        remove(&self.dir.join(base.snapshot.id.to_string()));
    }

    /// Forgets all of all volumes: something in the repository is damaged, and what builds on it would be as well.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn forget_all(cache: &Path) -> Result<()> {
        let dir = cache.join(DIR);
        let mut tries = 1;
        loop {
            match fs::remove_dir_all(&dir) {
                // A push keeps one at the same time.
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty && tries < TRIES => {
                    tries += 1;
                }
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::host(format!("remove {}", dir.display()), e));
                }
                Ok(()) | Err(_) => return Ok(()),
            }
        }
    }

    /// What is not whole is none.
    fn all(&self) -> Vec<(PathBuf, PushedBase)> {
        let names = KeptNames::now_in(&self.dir);
        let found = names
            .iter()
            .flat_map(KeptNames::objects)
            .filter_map(|path| {
                let base = read(path);
                if base.is_none() {
                    remove(path);
                }
                Some((path.clone(), base?))
            });
        found.collect()
    }
}

fn read(path: &Path) -> Option<PushedBase> {
    let bytes = fs::read(path).ok()?;
    let (sum, body) = bytes.split_at_checked(SUM_BYTES)?;
    let is_whole = blake3::hash(body).as_bytes() == sum;
    is_whole.then(|| serde_json::from_slice(body).ok())?
}
