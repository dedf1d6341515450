//! The calls of the protocol. Each can be repeated: whoever lost an answer asks again.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use serde_json::{Value, json};

use super::idle_unmounts::{Delays, IdleUnmounts};
use super::mounted::Mounted;
use super::name_locks::NameLocks;
use super::options::{self, MountRequest, Origin};
use super::protocol::ServedConnection;
use super::pulling::pull_into;
use super::references::References;
use super::target::Target;
use super::{Engine, Error, Result};
use crate::control::{Answer, Bytes, Op};
use crate::remote::Remotes;
use crate::server::mounts::{Attributes, How, Mount, Shows, Spec, answers, topmost_at};
use crate::server::{self, ServerState, perform, server_state};
use crate::types::VolumeName;
use crate::volume::store::{self, Store};
use crate::volume::{self, Config, Seal};

/// Unmounts at once: one waits for its server, which may be slow, or busy with what it has to write.
const UNMOUNTERS: usize = 16;

/// The plugin of one root of volumes.
#[derive(Debug)]
pub struct Plugin {
    store: Store,
    remotes: Remotes,
    /// Where volumes are mounted for engines, each in a directory of its name.
    mounts: PathBuf,
    references: Mutex<References>,
    idle: IdleUnmounts,
    delays: Delays,
    locks: NameLocks,
    /// What was shown of a volume last: shown again while it cannot be looked at.
    seen: Mutex<HashMap<String, ServedConnection>>,
}

impl Plugin {
    /// Loads what an earlier plugin left in `run`, a directory that does not outlive the host's boot.
    ///
    /// # Errors
    /// I/O errors.
    pub fn open(root: &Path, run: &Path, delays: Delays) -> Result<Arc<Self>> {
        let mounts = run.join("mounts");
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o711).create(&mounts);
        made.map_err(|e| Error::io(format!("make {}", mounts.display()), e))?;
        let plugin = Arc::new(Self {
            store: Store::below(root),
            remotes: Remotes::below(root),
            references: Mutex::new(References::load(&run.join("references.json"))?),
            mounts: mounts
                .canonicalize()
                .map_err(|e| Error::io(format!("reach {}", mounts.display()), e))?,
            idle: IdleUnmounts::default(),
            delays,
            locks: NameLocks::default(),
            seen: Mutex::default(),
        });
        plugin.release_unused(delays.stale);
        for _ in 0..UNMOUNTERS {
            let unmounter = Arc::clone(&plugin);
            thread::spawn(move || {
                loop {
                    let name = unmounter.idle.next();
                    unmounter.unmount_unused(&name);
                }
            });
        }
        Ok(plugin)
    }

    pub(super) fn activate(&self, engine: Engine) -> Result<()> {
        if engine == Engine::Docker {
            self.references().begin_generation()?;
            self.release_unused(self.delays.stale);
        }
        Ok(())
    }

    pub(super) fn create(&self, name: &str, options: &BTreeMap<String, String>) -> Result<()> {
        let target = Target::parse(name)?;
        let _call = self.locks.begin(name);
        if self.exists(&target)? {
            return Ok(());
        }
        if let Some(snapshot) = &target.snapshot {
            return Err(Error::BadName(format!(
                "{name} would be a snapshot: take it with `cask snapshot {name}`, or choose a name without @{snapshot}"
            )));
        }
        let request = options::parse(options)?;
        match self.build(&target.volume, &request) {
            // Somebody else was faster.
            Err(Error::Make(volume::Error::Exists)) => Ok(()),
            outcome => outcome,
        }
    }

    fn build(&self, name: &VolumeName, request: &MountRequest) -> Result<()> {
        match &request.from {
            None => Ok(self.store.create(name, &request.config, request.owner)?),
            Some(Origin::Here(from)) => self.clone_of(from, name, request),
            Some(Origin::Remote(from)) => self
                .store
                .build(name, |fresh| pull_into(fresh, &self.remotes, from, request)),
        }
    }

    fn clone_of(&self, from: &Target, name: &VolumeName, request: &MountRequest) -> Result<()> {
        let origin = self.store.dir_of(&from.volume);
        if !self.exists(from)? {
            return Err(Error::NoVolume(from.to_string()));
        }
        self.store.build(name, |fresh| {
            let op = Op::Clone {
                from: from.snapshot.clone(),
                dir: Bytes(fresh.as_os_str().as_bytes().to_vec()),
            };
            perform(&origin, &op).map_err(Error::server(from))?;
            let edited = store::edit(fresh, |config| {
                config.labels.clone_from(&request.config.labels);
                config.life = request.config.life;
                config.limits = request.limits;
                config.schedule = request.config.schedule;
            });
            edited.map_err(Error::volume(name))
        })
    }

    pub(super) fn get(&self, name: &str) -> Result<ServedConnection> {
        let target = Target::parse(name).map_err(|_| Error::NoVolume(name.to_owned()))?;
        if !self.exists(&target)? {
            self.seen().remove(name);
            return Err(Error::NoVolume(name.to_owned()));
        }
        let mut shown = self.show(name, &target, &self.mounted());
        shown.status = self.status(&target);
        Ok(shown)
    }

    /// Volumes, not their snapshots.
    pub(super) fn list(&self) -> Vec<ServedConnection> {
        let names = match self.store.names() {
            Ok(names) => names,
            Err(error) => {
                log::warn!("cannot list volumes: {error}");
                return self.seen().values().cloned().collect();
            }
        };
        let mounted = self.mounted();
        let show = |volume: VolumeName| {
            let target = Target {
                volume,
                snapshot: None,
            };
            self.show(&target.to_string(), &target, &mounted)
        };
        names.into_iter().map(show).collect()
    }

    pub(super) fn path(&self, name: &str) -> Result<String> {
        let target = Target::parse(name)?;
        if !self.exists(&target)? {
            return Err(Error::NoVolume(name.to_owned()));
        }
        Ok(self.mounted().mountpoint(name))
    }

    pub(super) fn mount(&self, name: &str, id: &str, engine: Engine) -> Result<String> {
        let target = Target::parse(name)?;
        let _call = self.locks.begin(name);
        if !self.exists(&target)? {
            return Err(Error::NoVolume(name.to_owned()));
        }
        // With the name locked: who unmounts what is idle looks for holders again under the same lock.
        self.idle.keep(name);
        let mounted = self.make_mount(&target);
        let counted = mounted.and_then(|place| {
            self.references().add(name, id, engine)?;
            Ok(place)
        });
        if counted.is_err() && self.references().holders(name) == 0 {
            self.idle.release(name, self.delays.unused);
        }
        Ok(counted?.display().to_string())
    }

    pub(super) fn unmount(&self, name: &str, id: &str) -> Result<()> {
        let _call = self.locks.begin(name);
        self.references().remove(name, id)?;
        if self.references().holders(name) == 0 {
            self.idle.release(name, self.delays.unused);
        }
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let target = Target::parse(name)?;
        let _call = self.locks.begin(name);
        let idle = match target.snapshot {
            None => self.snapshots_of(&target.volume),
            Some(_) => Vec::new(),
        };
        self.refuse_held(name)?;
        idle.iter()
            .try_for_each(|snapshot| self.refuse_held(snapshot))?;
        // What stays keeps its mount, too.
        if target.snapshot.is_none() && Config::is_protected(&self.store.dir_of(&target.volume)) {
            return Err(Error::Protected(name.to_owned()));
        }
        // Any of them would keep the volume's server, and so the volume.
        for snapshot in idle {
            self.take_idle(&snapshot)?;
        }
        self.take_mount(&target)?;
        if target.snapshot.is_none() {
            self.remove_volume(&target.volume)?;
        }
        self.seen().remove(name);
        self.references().forget(name)
    }

    /// Fails if an engine has it mounted.
    fn refuse_held(&self, name: &str) -> Result<()> {
        let holders = self.references().holders(name);
        if holders == 0 {
            return Ok(());
        }
        Err(Error::InUse {
            name: name.to_owned(),
            by: format!("{holders} containers have it mounted"),
        })
    }

    /// The snapshots of a volume that are, or were, mounted for engines, as these call them.
    fn snapshots_of(&self, volume: &VolumeName) -> Vec<String> {
        let of_volume = |name: &String| {
            let target = Target::parse(name);
            target.is_ok_and(|target| target.volume == *volume && target.snapshot.is_some())
        };
        self.places().filter(of_volume).collect()
    }

    /// Takes the mount of a snapshot away, which the volume's removal ends.
    fn take_idle(&self, name: &str) -> Result<()> {
        let _call = self.locks.begin(name);
        self.refuse_held(name)?;
        self.take_mount(&Target::parse(name)?)?;
        self.seen().remove(name);
        self.references().forget(name)
    }

    fn remove_volume(&self, name: &VolumeName) -> Result<()> {
        let in_use = |by: &str| Error::InUse {
            name: name.to_string(),
            by: by.to_owned(),
        };
        match self.store.remove(name) {
            Ok(()) | Err(volume::Error::NotFound) => Ok(()),
            Err(volume::Error::InUse { .. }) => Err(in_use(
                "it is mounted elsewhere, `cask inspect` says where; unmount it first",
            )),
            Err(volume::Error::Protected) => Err(Error::Protected(name.to_string())),
            Err(error) => Err(Error::volume(name)(error)),
        }
    }

    /// Whether there is such a volume, or snapshot. What cannot be found out just now counts as there: an engine
    /// forgets what it is told does not exist.
    fn exists(&self, target: &Target) -> Result<bool> {
        let dir = self.store.dir_of(&target.volume);
        match fs::symlink_metadata(dir.join("volume.json")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            _ => {}
        }
        let Some(name) = &target.snapshot else {
            return Ok(true);
        };
        match perform(&dir, &Op::Snapshots) {
            Ok(Answer::Snapshots { list }) => Ok(list.iter().any(|one| one.name == *name)),
            Ok(_) => Ok(true),
            Err(error) => {
                log::warn!("cannot look for {target}: {error}");
                Ok(true)
            }
        }
    }

    fn show(&self, name: &str, target: &Target, mounted: &Mounted) -> ServedConnection {
        let config = match Config::load(&self.store.dir_of(&target.volume)) {
            Ok(config) => config,
            Err(error) => {
                log::warn!("{target}: {error}");
                let seen = self.seen().get(name).cloned();
                return seen.unwrap_or_else(|| ServedConnection {
                    name: name.to_owned(),
                    mountpoint: mounted.mountpoint(name),
                    created_at: None,
                    status: BTreeMap::new(),
                });
            }
        };
        let shown = ServedConnection {
            name: name.to_owned(),
            mountpoint: mounted.mountpoint(name),
            created_at: Some(config.created),
            status: BTreeMap::new(),
        };
        self.seen().insert(name.to_owned(), shown.clone());
        shown
    }

    /// What `docker volume inspect` shows below `Status`. A volume that no server has open is not opened for it.
    fn status(&self, target: &Target) -> BTreeMap<String, Value> {
        let dir = self.store.dir_of(&target.volume);
        let mut status = BTreeMap::new();
        let mut put = |key: &str, value: Value| drop(status.insert(key.to_owned(), value));
        put("Dir", json!(dir.display().to_string()));
        if let Ok(config) = Config::load(&dir) {
            put("Labels", json!(config.labels));
            put("Compression", json!(config.compression.to_string()));
            put("LimitBytes", json!(config.limits.bytes));
            put("LimitInodes", json!(config.limits.inodes));
        }
        let health = match server_state(&dir) {
            Ok(ServerState::Served(..)) => {
                if let Ok(Answer::Usage(usage)) = perform(&dir, &Op::Usage) {
                    put("LogicalBytes", json!(usage.logical_bytes));
                    put("UniqueBytes", json!(usage.live_bytes));
                    put("SnapshotBytes", json!(usage.snapshot_bytes));
                    put("Inodes", json!(usage.inodes));
                }
                if let Ok(Answer::Snapshots { list }) = perform(&dir, &Op::Snapshots) {
                    let names: Vec<_> = list.iter().map(|one| one.name.as_str()).collect();
                    put("Snapshots", json!(names));
                }
                "served"
            }
            Ok(ServerState::Unmounted | ServerState::Open(_)) => "unmounted",
            Ok(ServerState::Dead(_)) => "its server died; the next mount starts another",
            Err(_) => "unknown",
        };
        put("Health", json!(health));
        put("PhysicalBytes", json!(store::host_bytes(&dir)));
        status
    }

    fn place(&self, name: &str) -> PathBuf {
        self.mounts.join(name)
    }

    /// What is mounted for engines.
    fn mounted(&self) -> Mounted {
        Mounted::below(&self.mounts)
    }

    fn mount_of(&self, name: &str) -> Option<Mount> {
        topmost_at(&self.place(name)).ok().flatten()
    }

    fn make_mount(&self, target: &Target) -> Result<PathBuf> {
        let name = target.to_string();
        let (dir, place) = (self.store.dir_of(&target.volume), self.place(&name));
        match DirBuilder::new().mode(0o700).create(&place) {
            // One that is there may be the mount of a server that died.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|e| Error::io(format!("make {}", place.display()), e))?,
        }
        let config = Config::load(&dir).map_err(Error::volume(&name))?;
        let attributes = Attributes::default();
        let spec = Spec {
            shows: match &target.snapshot {
                None => Shows::Head,
                Some(snapshot) => Shows::Snapshot(snapshot.clone()),
            },
            source: name.clone().into(),
            attributes: match config.seal {
                Seal::Sealed => attributes.read_only(),
                Seal::Open => attributes,
            },
            roots: self.store.places(),
        };
        let dir = dir
            .canonicalize()
            .map_err(|e| Error::io(format!("reach {}", dir.display()), e))?;
        match server::mount(&dir, &spec, &place) {
            Ok(()) | Err(server::Error::MountedThere(_)) => Ok(place),
            Err(error) => Err(Error::server(&name)(error)),
        }
    }

    /// Takes the mount of a volume away that nobody holds.
    fn take_mount(&self, target: &Target) -> Result<()> {
        let name = target.to_string();
        self.idle.keep(&name);
        if let Some(mount) = self.mount_of(&name) {
            let dir = self.store.dir_of(&target.volume);
            let how = if answers(&mount.mountpoint) {
                How::IfUnused
            } else {
                How::Lazily
            };
            match server::unmount(&[mount], Some(&dir), how) {
                // A container's own mount, or who reads the volume, keeps its server: the next mount here shows the same.
                Ok(()) | Err(server::Error::HeldElsewhere { .. } | server::Error::Read) => {}
                Err(error) => return Err(Error::server(&name)(error)),
            }
        }
        match fs::remove_dir(self.place(&name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                log::debug!("the mountpoint of {name} stays: {e}");
            }
            _ => {}
        }
        Ok(())
    }

    fn unmount_unused(&self, name: &str) {
        let _call = self.locks.begin(name);
        if self.references().holders(name) > 0 {
            return;
        }
        let taken = Target::parse(name).and_then(|target| self.take_mount(&target));
        match taken {
            Ok(()) => log::info!("unmounted {name}"),
            Err(error) => {
                log::info!("{name} stays mounted for now: {error}");
                self.idle.release(name, self.delays.stale);
            }
        }
    }

    /// Mounts that no id holds go after `delay`.
    fn release_unused(&self, delay: Duration) {
        for name in self.places() {
            if self.references().holders(&name) == 0 {
                self.idle.release(&name, delay);
            }
        }
    }

    /// What has a directory to be mounted at.
    fn places(&self) -> impl Iterator<Item = String> {
        let entries = fs::read_dir(&self.mounts).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    }

    fn references(&self) -> MutexGuard<'_, References> {
        self.references.lock()
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, ServedConnection>> {
        self.seen.lock()
    }
}
