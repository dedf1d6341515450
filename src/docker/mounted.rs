//! What is mounted for engines, by one look at the mount table: a host may have thousands of volumes and of mounts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::server::mounts::read_table;

/// The mountpoints below the plugin's directory.
#[derive(Debug)]
pub(super) struct Mounted {
    dir: PathBuf,
    places: HashSet<PathBuf>,
}

impl Mounted {
    /// Looks at what is mounted in `dir`, an absolute path without symbolic links. A table that cannot be read shows
    /// nothing.
    pub(super) fn below(dir: &Path) -> Self {
        let table = read_table().unwrap_or_else(|e| {
            log::warn!("cannot read the mount table: {e}");
            Vec::new()
        });
        let mountpoints = table.into_iter().map(|mount| mount.mountpoint);
        Self {
            dir: dir.to_owned(),
            places: mountpoints.filter(|at| at.parent() == Some(dir)).collect(),
        }
    }

    /// Where the volume is mounted for engines; nothing while it is not.
    pub(super) fn mountpoint(&self, name: &str) -> String {
        let place = self.dir.join(name);
        if self.places.contains(&place) {
            return place.display().to_string();
        }
        String::new()
    }
}
