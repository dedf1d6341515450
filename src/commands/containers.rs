//! Which containers use a volume, as far as a Docker engine on this host tells.
//!
//! Podman is not asked: it has no daemon, and its command takes longer than all that `cask ls` does.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::commands::{CommandError, Kind, Result};
use crate::docker::engine::{self, Container, DOCKER_SOCKET};
use crate::server::mounts::{Mount, read_table};

/// An engine that is slower is left out: nobody waits for `cask ls`.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// The containers that run, and the mounts that they were given.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    list: Vec<Container>,
    table: Vec<Mount>,
}

impl Containers {
    /// What the engine tells just now; nothing if there is none.
    pub(crate) fn ask() -> Self {
        let Some(socket) = engine_socket() else {
            return Self::default();
        };
        let list = engine::containers_within(&socket, WAIT_MAX);
        if list.is_empty() {
            return Self::default();
        }
        Self {
            list,
            table: read_table().unwrap_or_default(),
        }
    }

    /// What the engine behind `socket` tells, and all mounts.
    ///
    /// # Errors
    /// When it does not answer, or the mounts cannot be read.
    pub(crate) fn of(socket: &Path) -> std::result::Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self {
            list: engine::containers(socket)?,
            table: read_table()?,
        })
    }

    /// Where the engine is to be asked.
    ///
    /// # Errors
    /// When it is on another host.
    pub(crate) fn engine() -> Result<PathBuf> {
        engine_socket().ok_or_else(|| {
            CommandError::new(
                Kind::Usage,
                "the engine that $DOCKER_HOST names is on another host",
            )
            .hint("ask that of this host: DOCKER_HOST=unix:///var/run/docker.sock")
        })
    }

    /// The names of those that have something of the mounts at these places.
    pub(crate) fn using(&self, mountpoints: &[&Path]) -> Vec<String> {
        let users = self.with_any(mountpoints).into_iter();
        let mut names: Vec<_> = users.map(|one| one.name.clone()).collect();
        names.sort();
        names
    }

    /// Those that have something of the mounts at these places.
    pub(crate) fn with_any(&self, mountpoints: &[&Path]) -> Vec<&Container> {
        let uses = |source: &PathBuf| {
            let mount = self.mount_of(source);
            mount.is_some_and(|mount| mountpoints.contains(&mount))
        };
        let users = self.list.iter();
        users.filter(|one| one.sources.iter().any(uses)).collect()
    }

    /// Those, and those that were given a directory above one of these places, or a link to one.
    pub(crate) fn reaching(&self, mountpoints: &[&Path]) -> Vec<&Container> {
        let reaches = |source: &PathBuf| {
            let source = source.canonicalize().unwrap_or_else(|_| source.clone());
            let is_above = mountpoints.iter().any(|place| place.starts_with(&source));
            is_above
                || self
                    .mount_of(&source)
                    .is_some_and(|mount| mountpoints.contains(&mount))
        };
        let users = self.list.iter();
        users
            .filter(|one| one.sources.iter().any(reaches))
            .collect()
    }

    /// The mount that `source` is in.
    fn mount_of(&self, source: &Path) -> Option<&Path> {
        let places = self.table.iter().map(|mount| mount.mountpoint.as_path());
        let above = places.filter(|place| source.starts_with(place));
        // Of mounts below each other the longest path is the one that is seen there.
        above.max_by_key(|place| place.as_os_str().len())
    }
}

/// Where the `docker` command would find the engine; nothing if that is another host.
fn engine_socket() -> Option<PathBuf> {
    let address = env::var("DOCKER_HOST").unwrap_or_default();
    if address.is_empty() {
        return Some(PathBuf::from(DOCKER_SOCKET));
    }
    address.strip_prefix("unix://").map(PathBuf::from)
}
