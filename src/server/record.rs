//! Which mounts are a volume's.
//!
//! A living server is asked. Of a dead one there is `server.json` in the volume's directory: the
//! superblocks that it served last, and in which boot of the host.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::mounts::{Mount, Silence, dead_mounts, read_table};
use super::retry::connect;
use super::{Error, Result};
use crate::control::{Device, Phase, Status};
use crate::durable;
use crate::types::SnapshotName;

const FILE: &str = "server.json";
/// By which the root of a mount tells the directory of its volume.
const DIR_ATTRIBUTE: &str = "trusted.cask.dir";
/// How long a server that takes over may need until its socket listens.
const SUCCESSION: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);
/// More than any path.
const PATH_BYTES_MAX: usize = 8192;

/// What a server leaves behind when it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The superblocks it served.
    pub devices: Vec<Device>,
    /// Why no server is started any more, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<String>,
    boot: String,
}

impl Record {
    /// Notes that a server of the volume in `dir` serves `devices`.
    pub(super) fn store(dir: &Path, devices: Vec<Device>) -> io::Result<()> {
        Self::write(dir, devices, None)
    }

    /// Notes that nobody serves `devices` any more, and why.
    pub(super) fn store_down(dir: &Path, devices: Vec<Device>, reason: &str) -> io::Result<()> {
        Self::write(dir, devices, Some(reason.to_owned()))
    }

    fn write(dir: &Path, devices: Vec<Device>, down: Option<String>) -> io::Result<()> {
        let boot = boot()?;
        let bytes = serde_json::to_vec(&Self {
            devices,
            down,
            boot,
        })?;
        durable::replace_file(&dir.join(FILE), &bytes)
    }

    /// What the last server of the volume in `dir` left, if it died in this boot.
    #[must_use]
    pub fn load(dir: &Path) -> Option<Self> {
        let bytes = fs::read(dir.join(FILE)).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        (record.boot == boot().ok()?).then_some(record)
    }

    /// How the mounts that are left answer.
    pub(super) const fn silence(&self) -> Silence {
        match self.down {
            Some(_) => Silence::Refused,
            None => Silence::Disconnected,
        }
    }

    /// Whether a server of the volume in `dir` has begun to show it and never ended in order, in whatever boot.
    #[must_use]
    pub fn is_left_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Forgets a server that ended in order.
    pub(super) fn remove(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim_end()
        .to_owned())
}

/// Why no server of the volume in `dir` is started any more, if that is so.
#[must_use]
pub fn down_reason(dir: &Path) -> Option<String> {
    Record::load(dir)?.down
}

/// How a volume stands with respect to being mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// No server, no mounts.
    Unmounted,
    /// A server runs; these are its mounts in this namespace.
    Served(Status, Vec<Mount>),
    /// A server has it open, and nothing is mounted: somebody is about to mount it, or reads out of it.
    Open(Status),
    /// The server died and left these mounts in this namespace.
    Dead(Vec<Mount>),
}

/// Finds out how the volume in `dir` stands.
///
/// # Errors
/// No permission; a server that does not answer.
pub fn server_state(dir: &Path) -> Result<ServerState> {
    let since = Instant::now();
    loop {
        let served = match ask(dir)? {
            Some(status) if status.phase != Phase::Open => {
                let mounts = mounts_of(&status.devices())?;
                return Ok(ServerState::Served(status, mounts));
            }
            served => served,
        };
        let without = || served.map_or(ServerState::Unmounted, ServerState::Open);
        let Some(left) = Record::load(dir) else {
            return Ok(without());
        };
        let dead = dead_mounts(&left.devices, left.silence());
        let dead = dead.map_err(|e| Error::io("cannot read the mount table", e))?;
        if !dead.is_empty() {
            return Ok(ServerState::Dead(dead));
        }
        // Mounts that answer have a server, which has just taken over from one that died.
        if mounts_of(&left.devices)?.is_empty() || since.elapsed() > SUCCESSION {
            return Ok(without());
        }
        thread::sleep(PAUSE);
    }
}

fn ask(dir: &Path) -> Result<Option<Status>> {
    let Some(mut client) = connect(dir)? else {
        return Ok(None);
    };
    match client.status().map_err(Error::from) {
        Ok(status) => Ok(Some(status)),
        Err(e) if e.is_passing() => Ok(None),
        Err(e) => Err(e),
    }
}

/// The snapshot that `mount`, of a volume whose server says `status`, shows, if it shows one.
#[must_use]
pub fn snapshot_shown(status: &Status, mount: &Mount) -> Option<SnapshotName> {
    if status.snapshots == Some(mount.device) {
        return mount.snapshot();
    }
    status.snapshot_at(mount.device).cloned()
}

/// The mounts of these superblocks in this namespace.
///
/// # Errors
/// When the mount table cannot be read.
pub fn mounts_of(devices: &[Device]) -> Result<Vec<Mount>> {
    let mut mounts = read_table().map_err(|e| Error::io("cannot read the mount table", e))?;
    mounts.retain(|mount| devices.contains(&mount.device) && mount.is_cask());
    Ok(mounts)
}

/// The directory of the volume that `mount` shows: as its root tells, else the one of `candidates`
/// whose server serves it. `None` for a mount whose server died.
#[must_use]
pub fn volume_of(mount: &Mount, candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let mut value = vec![0; PATH_BYTES_MAX];
    // Whoever may not read the root directory may not read its attributes either.
    if let Ok(length) = rustix::fs::getxattr(&mount.mountpoint, DIR_ATTRIBUTE, value.as_mut_slice())
    {
        return Some(PathBuf::from(OsStr::from_bytes(&value[..length])));
    }
    candidates.into_iter().find(|dir| {
        matches!(ask(dir), Ok(Some(status))
            if status.devices().contains(&mount.device) && status.phase == Phase::Serving)
    })
}
