//! What `cask prune` removes, and how each kind of it is found.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::Result;
use crate::cli::caches::unneeded;
use crate::cli::locate::{Located, Root, VolumeRef, cannot_list};
use crate::cli::verbs::ls::trashed;
use crate::server::{self, Record, ServerState};
use crate::types::{VolumeId, VolumeName};
use crate::volume;
use crate::volume::store::{self, DirLock, Footprint, Trashed};
use crate::volume::{ChunkCache, Config, Life};

/// Something that nobody needs any more.
#[derive(Debug)]
pub(super) struct Garbage {
    what: What,
    footprint: Footprint,
}

#[derive(Debug)]
enum What {
    /// It is in the trash, and due.
    Trashed(Trashed),
    /// It was to go with its last mount, and its server was killed.
    Ephemeral(VolumeName, VolumeId),
    /// A killed command left it half made, or half removed.
    Unfinished(PathBuf),
    /// What was kept of a repository that no remote of the root has any more.
    Cache(ChunkCache),
}

/// All that there is now.
pub(super) fn find(root: &Root) -> Result<Vec<Garbage>> {
    let mut found = due(root)?;
    found.extend(ephemeral(root)?);
    let unfinished = root.store().unfinished().map_err(cannot_list)?;
    found.extend(unfinished.into_iter().map(What::Unfinished));
    found.extend(unneeded(root).into_iter().map(What::Cache));
    let garbage = found.into_iter().map(|what| Garbage {
        footprint: Footprint::of(&what.dir(root)),
        what,
    });
    Ok(garbage.collect())
}

fn due(root: &Root) -> Result<Vec<What>> {
    let now = Timestamp::now();
    let due = trashed(root)?.into_iter().filter(|one| one.due <= now);
    let due = due.filter(|one| is_unused(&one.dir));
    Ok(due.map(What::Trashed).collect())
}

/// One that was never mounted still waits for its first mount.
fn ephemeral(root: &Root) -> Result<Vec<What>> {
    let store = root.store();
    let names = store.names().map_err(cannot_list)?;
    let left = names.into_iter().filter_map(|name| {
        let dir = store.dir_of(&name);
        // What cannot be read may be a volume that is to last: it stays.
        let config = Config::load(&dir).ok()?;
        let is_left = config.life == Life::Ephemeral && Record::is_left_in(&dir);
        (is_left && is_unused(&dir)).then_some(What::Ephemeral(name, config.uuid))
    });
    Ok(left.collect())
}

/// Whether nobody has the volume, and nobody wants it kept.
fn is_unused(dir: &Path) -> bool {
    matches!(server::server_state(dir), Ok(ServerState::Unmounted))
        && !Config::is_protected(dir)
        // Given back at once: this only says what to show. `remove` takes the lock itself.
        && DirLock::take(dir).is_ok()
}

impl What {
    fn dir(&self, root: &Root) -> PathBuf {
        match self {
            Self::Trashed(trashed) => trashed.dir.clone(),
            Self::Ephemeral(name, _) => root.store().dir_of(name),
            Self::Unfinished(dir) => dir.clone(),
            Self::Cache(cache) => cache.dir().to_owned(),
        }
    }
}

impl Garbage {
    /// Removes it, if it still is what it was.
    pub(super) fn remove(&self, root: &Root) -> Result<()> {
        let volumes = root.store();
        let removed = match &self.what {
            What::Trashed(trashed) => volumes.remove_trashed(trashed),
            What::Ephemeral(name, uuid) => volumes.remove_known(name, *uuid),
            What::Unfinished(dir) => store::remove_unfinished(dir),
            What::Cache(cache) => {
                let removed = cache.remove();
                let cannot = || format!("cannot remove {}", cache.dir().display());
                removed.map_err(|e| volume::Error::storage(cannot(), e))
            }
        };
        removed.map_err(|e| self.located(root).explain_volume(e))
    }

    fn located(&self, root: &Root) -> Located {
        let dir = self.what.dir(root);
        let reference = match &self.what {
            What::Ephemeral(name, _) => VolumeRef::Name(name.clone()),
            What::Trashed(_) | What::Unfinished(_) | What::Cache(_) => VolumeRef::Dir(dir.clone()),
        };
        Located { reference, dir }
    }

    /// What it takes.
    pub(super) const fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// The word for why it goes.
    pub(super) const fn kind(&self) -> &'static str {
        match self.what {
            What::Trashed(_) => "trashed",
            What::Ephemeral(..) => "ephemeral",
            What::Unfinished(_) => "unfinished",
            What::Cache(_) => "cache",
        }
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        match &self.what {
            What::Trashed(trashed) => trashed.name.to_string(),
            What::Ephemeral(name, _) => name.to_string(),
            What::Unfinished(dir) => {
                let name = dir.file_name().unwrap_or(dir.as_os_str());
                name.to_string_lossy().into_owned()
            }
            What::Cache(cache) => cache.repository().to_string(),
        }
    }
}
