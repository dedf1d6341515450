//! Who has what mounted, as the engines tell it.
//!
//! An engine gives each mount of a container an id, and mounts the same id again, as for `docker cp`: so mounts are
//! counted for each volume and id. A dockerd that crashed never unmounts what it had, and uses its ids again: when
//! it introduces itself anew, the ids of its last life hold nothing any more, and the next mount of one counts from
//! the beginning. The kernel keeps what running containers have mounted in any case.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::durable;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// dockerd: introduces itself once in its life.
    Docker,
    /// Podman: each command introduces itself, and counts by itself.
    Podman,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// How often dockerd introduced itself.
    generation: u64,
    volumes: BTreeMap<String, BTreeMap<String, Reference>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reference {
    count: u64,
    engine: Engine,
    generation: u64,
}

/// The counts, kept in a file that a restart of the plugin finds, and a restart of the host does not.
#[derive(Debug)]
pub(super) struct References {
    path: PathBuf,
    content: Content,
}

impl References {
    /// Loads the counts; a file that cannot be understood counts as none.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let content = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|e| {
                log::warn!("{} is ignored: {e}", path.display());
                Content::default()
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(e) => return Err(Error::io(format!("read {}", path.display()), e)),
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    /// dockerd introduced itself: its earlier ids hold nothing.
    pub(super) fn begin_generation(&mut self) -> Result<()> {
        self.content.generation += 1;
        self.store()
    }

    /// Counts a mount.
    pub(super) fn add(&mut self, volume: &str, id: &str, engine: Engine) -> Result<()> {
        let generation = self.content.generation;
        let ids = self.content.volumes.entry(volume.to_owned()).or_default();
        match ids.get_mut(id) {
            Some(known) if !is_stale(known, generation) => known.count += 1,
            _ => {
                let first = Reference {
                    count: 1,
                    engine,
                    generation,
                };
                ids.insert(id.to_owned(), first);
            }
        }
        self.store()
    }

    /// Counts a mount less; one that is not known is none.
    pub(super) fn remove(&mut self, volume: &str, id: &str) -> Result<()> {
        let generation = self.content.generation;
        let Some(ids) = self.content.volumes.get_mut(volume) else {
            return Ok(());
        };
        if let Some(known) = ids.get_mut(id) {
            known.count = known.count.saturating_sub(1);
            if known.count == 0 || is_stale(known, generation) {
                ids.remove(id);
            }
        }
        if ids.is_empty() {
            self.content.volumes.remove(volume);
        }
        self.store()
    }

    /// Forgets a volume that is gone.
    pub(super) fn forget(&mut self, volume: &str) -> Result<()> {
        match self.content.volumes.remove(volume) {
            Some(_) => self.store(),
            None => Ok(()),
        }
    }

    /// How many ids hold the volume.
    pub(super) fn holders(&self, volume: &str) -> usize {
        let ids = self.content.volumes.get(volume).into_iter().flatten();
        ids.filter(|(_, known)| !is_stale(known, self.content.generation))
            .count()
    }

    fn store(&self) -> Result<()> {
        let bytes = serde_json::to_vec(&self.content)
            .map_err(|e| Error::io("encode the references", e.into()))?;
        durable::replace_file(&self.path, &bytes)
            .map_err(|e| Error::io(format!("write {}", self.path.display()), e))
    }
}

fn is_stale(known: &Reference, generation: u64) -> bool {
    known.engine == Engine::Docker && known.generation < generation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(dir: &tempfile::TempDir) -> References {
        References::load(&dir.path().join("references.json")).unwrap()
    }

    #[test]
    fn mounts_are_counted_by_id_and_survive_a_restart_of_the_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let mut references = load(&dir);
        for _ in 0..2 {
            references.add("db", "a", Engine::Docker).unwrap();
        }
        references.add("db", "b", Engine::Docker).unwrap();
        let mut references = load(&dir);
        assert_eq!(references.holders("db"), 2);
        references.remove("db", "a").unwrap();
        assert_eq!(references.holders("db"), 2);
        references.remove("db", "a").unwrap();
        references.remove("db", "never").unwrap();
        references.remove("other", "a").unwrap();
        assert_eq!(references.holders("db"), 1);
    }

    #[test]
    fn what_a_dockerd_had_that_crashed_holds_nothing_and_its_ids_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut references = load(&dir);
        references.add("db", "a", Engine::Docker).unwrap();
        references.add("db", "p", Engine::Podman).unwrap();
        references.begin_generation().unwrap();
        assert_eq!(references.holders("db"), 1);
        references.add("db", "a", Engine::Docker).unwrap();
        references.remove("db", "a").unwrap();
        references.remove("db", "p").unwrap();
        assert_eq!(references.holders("db"), 0);
    }
}
