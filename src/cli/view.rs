//! A volume as `ls` and `inspect` show it: the field names are published, in JSON and in templates.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::server::{self, ServerState, VolumeStatus, mounts::Mount};
use crate::types::Usage;
use crate::volume::{
    ChunkCache, Config, Life, Origin, Prefetch, Protection, Scrubbed, Seal, Trouble, store,
};

use crate::cli::containers::Containers;
use crate::cli::locate::Located;
use crate::cli::schedule_view::ScheduleView;

/// What can be told of a volume without opening it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct View {
    pub(super) name: String,
    pub(super) status: VolumeStatus,
    pub(super) mountpoints: Vec<String>,
    /// Where its snapshots are mounted, and which.
    pub(super) snapshot_mounts: BTreeMap<String, String>,
    /// The names of containers that have one of these.
    pub(super) containers: Vec<String>,
    /// What its files hold, in bytes, each as often as it is in a file; `None` where that is not known without opening it.
    pub(super) logical_bytes: Option<u64>,
    /// Bytes on the host.
    pub(super) physical_bytes: u64,
    pub(super) created: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) dir: String,
    /// Of one that has a schedule.
    pub(super) schedule: Option<ScheduleView>,
    /// What is wrong, if the volume cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Everything that can be told of a volume.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspection {
    #[serde(flatten)]
    pub(super) view: View,
    pub(super) uuid: String,
    pub(super) format: u32,
    pub(super) chunk_bytes: u32,
    pub(super) compression: String,
    pub(super) ephemeral: bool,
    pub(super) sealed: bool,
    pub(super) protected: bool,
    pub(super) server: Option<ServerView>,
    /// Why no server is started any more.
    pub(super) down: Option<String>,
    pub(super) mounts: Vec<MountView>,
    pub(super) usage: Option<UsageView>,
    pub(super) limits: LimitsView,
    pub(super) scrub: ScrubView,
    /// Where chunks are that it does not have yet.
    pub(super) origin: Option<OriginView>,
}

/// A repository that a volume fetches chunks from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OriginView {
    snapshot: String,
    prefetch: String,
    /// Chunks that are there still, and what is stored of them; null when the volume cannot be opened to count.
    chunks: Option<u64>,
    bytes: Option<u64>,
    /// What the cache of the repository takes, which is this volume's and others'; null for one that keeps its chunks.
    cache_bytes: Option<u64>,
    /// Why they cannot be fetched.
    error: Option<String>,
}

impl OriginView {
    fn of(origin: &Origin, dir: &Path, usage: Option<&Usage>) -> Self {
        let trouble = Trouble::load(dir);
        Self {
            snapshot: origin.snapshot.clone(),
            prefetch: origin.prefetch.to_string(),
            chunks: usage.map(|usage| usage.elsewhere_chunks),
            bytes: usage.map(|usage| usage.elsewhere_bytes),
            cache_bytes: (origin.prefetch == Prefetch::None)
                .then(|| ChunkCache::below(&origin.root, origin.repository).bytes()),
            error: match trouble {
                Ok(trouble) => trouble.map(|trouble| trouble.error),
                Err(error) => Some(error.to_string()),
            },
        }
    }
}

/// A volume's server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServerView {
    pid: u32,
    device: Option<String>,
    /// The process that starts another when this one dies.
    #[serde(rename = "Keeper")]
    supervisor: Option<u32>,
    version: String,
    /// The I/O error after which the volume is read-only until it is mounted again.
    stopped: Option<String>,
}

/// A mount of this namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountView {
    path: String,
    options: String,
    /// What it shows, if not the volume as it is.
    snapshot: Option<String>,
}

/// What a volume holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UsageView {
    inodes: u64,
    extents: u64,
    logical_bytes: u64,
    unique_bytes: u64,
    snapshot_bytes: u64,
    dead_bytes: u64,
    shared_bytes: u64,
    physical_bytes: u64,
    host_free_bytes: u64,
    dedup_ratio: f64,
    compression_ratio: f64,
}

impl UsageView {
    /// `physical_bytes` is what its directory takes on the host.
    pub(super) fn of(usage: &Usage, physical_bytes: u64) -> Self {
        Self {
            inodes: usage.inodes,
            extents: usage.extents,
            logical_bytes: usage.logical_bytes,
            unique_bytes: usage.live_bytes,
            snapshot_bytes: usage.snapshot_bytes,
            dead_bytes: usage.dead_bytes,
            shared_bytes: usage.shared_bytes,
            physical_bytes,
            host_free_bytes: usage.host_free_bytes,
            dedup_ratio: usage.dedup_ratio(),
            compression_ratio: usage.compression_ratio(),
        }
    }
}

/// What a volume may hold; null where there is no limit.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LimitsView {
    bytes: Option<u64>,
    inodes: Option<u64>,
}

/// The reading again of what is stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScrubView {
    /// Bytes a second; 0 when it is off.
    rate: u64,
    /// How often all was read.
    rounds: u64,
    /// When that was last, in seconds since 1970.
    finished: Option<i64>,
    /// Bytes that were read since then.
    bytes: u64,
    /// What was found.
    damage: Vec<String>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ScrubView {
    fn of(located: &Located, config: &Config) -> Self {
        let (done, error) = match Scrubbed::load(&located.dir) {
            Ok(done) => (done, None),
            Err(error) => (Scrubbed::default(), Some(error.to_string())),
        };
        Self {
            rate: config.scrub_rate.bytes(),
            rounds: done.rounds,
            finished: done.finished,
            bytes: done.bytes,
            damage: done.damage(),
            error,
        }
    }
}

impl View {
    /// Looks at a volume, whatever state it is in.
    pub(super) fn of(located: &Located) -> Self {
        let config = Config::load(&located.dir).map_err(|e| e.to_string());
        let server_state = server::server_state(&located.dir);
        match (config, server_state) {
            (Ok(config), Ok(server_state)) => Self::assemble(located, &server_state, &config),
            // A damaged configuration does not hide where the volume is mounted.
            (Err(error), server_state) => Self::broken(
                located,
                &server_state.unwrap_or(ServerState::Unmounted),
                error,
            ),
            (Ok(_), Err(error)) => {
                let error = located.explain(error).to_string();
                Self::broken(located, &ServerState::Unmounted, error)
            }
        }
    }

    /// Whether a container can use it.
    pub(super) fn is_mounted(&self) -> bool {
        !self.mountpoints.is_empty() || !self.snapshot_mounts.is_empty()
    }

    /// Adds who of `all` uses it.
    pub(super) fn note_containers(&mut self, all: &Containers) {
        let places = self.mountpoints.iter().chain(self.snapshot_mounts.keys());
        let places: Vec<_> = places.map(Path::new).collect();
        self.containers = all.using(&places);
    }

    fn broken(located: &Located, server_state: &ServerState, error: String) -> Self {
        Self {
            name: located.reference.typed(),
            status: VolumeStatus::Broken,
            mountpoints: mountpoints(server_state),
            snapshot_mounts: snapshot_mounts(server_state),
            containers: Vec::new(),
            logical_bytes: None,
            physical_bytes: store::host_bytes(&located.dir),
            created: None,
            labels: BTreeMap::new(),
            dir: shown(&located.dir),
            schedule: None,
            error: Some(error),
        }
    }

    fn assemble(located: &Located, server_state: &ServerState, config: &Config) -> Self {
        Self {
            name: located.reference.typed(),
            status: VolumeStatus::of(server_state),
            mountpoints: mountpoints(server_state),
            snapshot_mounts: snapshot_mounts(server_state),
            containers: Vec::new(),
            logical_bytes: logical_bytes(located, server_state),
            physical_bytes: store::host_bytes(&located.dir),
            created: Some(config.created.clone()),
            labels: config.labels.clone(),
            dir: shown(&located.dir),
            schedule: ScheduleView::of(located, config.schedule),
            error: None,
        }
    }
}

impl Inspection {
    /// Puts together what was found out about a volume.
    pub(super) fn of(
        located: &Located,
        config: &Config,
        server_state: &ServerState,
        usage: Option<Usage>,
    ) -> Self {
        let view = View::assemble(located, server_state, config);
        Self {
            limits: LimitsView {
                bytes: config.limits.bytes,
                inodes: config.limits.inodes,
            },
            scrub: ScrubView::of(located, config),
            origin: config
                .origin
                .as_ref()
                .map(|origin| OriginView::of(origin, &located.dir, usage.as_ref())),
            uuid: config.uuid.to_string(),
            format: config.format,
            chunk_bytes: config.chunk_bytes,
            compression: config.compression.to_string(),
            ephemeral: config.life == Life::Ephemeral,
            sealed: config.seal == Seal::Sealed,
            protected: config.protection == Protection::On,
            usage: usage.map(|usage| UsageView::of(&usage, view.physical_bytes)),
            view,
            server: match server_state {
                ServerState::Served(status, _) | ServerState::Open(status) => Some(ServerView {
                    pid: status.pid,
                    device: status.device.map(|device| device.to_string()),
                    supervisor: status.supervisor,
                    version: status.program.version.clone(),
                    stopped: status.stopped.clone(),
                }),
                ServerState::Unmounted | ServerState::Dead(_) => None,
            },
            down: match server_state {
                ServerState::Dead(_) => server::down_reason(&located.dir),
                ServerState::Unmounted | ServerState::Served(..) | ServerState::Open(_) => None,
            },
            mounts: mounts(server_state)
                .iter()
                .map(|mount| MountView::of(mount, server_state))
                .collect(),
        }
    }
}

impl MountView {
    fn of(mount: &Mount, server_state: &ServerState) -> Self {
        Self {
            snapshot: snapshot_of(mount, server_state),
            path: shown(&mount.mountpoint),
            options: mount.options.clone(),
        }
    }
}

/// Asked of whoever has it open; else what was noted when it was closed.
fn logical_bytes(located: &Located, server_state: &ServerState) -> Option<u64> {
    match server_state {
        ServerState::Served(status, _) | ServerState::Open(status) => status.logical_bytes,
        ServerState::Unmounted => store::logical_bytes(&located.dir),
        ServerState::Dead(_) => None,
    }
}

fn mountpoints(server_state: &ServerState) -> Vec<String> {
    mounts(server_state)
        .iter()
        .filter(|mount| snapshot_of(mount, server_state).is_none())
        .map(|mount| shown(&mount.mountpoint))
        .collect()
}

fn snapshot_mounts(server_state: &ServerState) -> BTreeMap<String, String> {
    let mounts = mounts(server_state).iter().filter_map(|mount| {
        let snapshot = snapshot_of(mount, server_state)?;
        Some((shown(&mount.mountpoint), snapshot))
    });
    mounts.collect()
}

/// The snapshot that `mount` shows, if it shows one.
fn snapshot_of(mount: &Mount, server_state: &ServerState) -> Option<String> {
    match server_state {
        ServerState::Served(status, _) => server::snapshot_shown(status, mount).map(String::from),
        ServerState::Unmounted | ServerState::Open(_) | ServerState::Dead(_) => None,
    }
}

fn mounts(server_state: &ServerState) -> &[Mount] {
    match server_state {
        ServerState::Unmounted | ServerState::Open(_) => &[],
        ServerState::Served(_, mounts) | ServerState::Dead(mounts) => mounts,
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
