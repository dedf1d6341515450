//! `cask push`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::locate::{Located, Root};
use crate::cli::quantity::{parse_duration, parse_rate};
use crate::cli::remotes::{choose, explain, explain_transfer, open};
use crate::cli::source::with_rows;
use crate::cli::state_ref::{SnapshotRef, StateRef, explain as explain_state, no_snapshot};
use crate::cli::transferring::{Told, Transferring};
use crate::cli::verbs::{snapshot, sync};
use crate::cli::{CliError, Kind, Result};
use crate::control::{Op, SnapshotInfo};
use crate::remote::{
    ObjectId, PushState, RemoteDir, RemoteSnapshot, Repository, VolumeAbout, VolumeFacts,
};
use crate::transfer::{Push, Pushed};
use crate::types::{RemoteName, SnapshotName};
use crate::volume::{Config, NamedChunks};

/// Send a snapshot of a volume to a remote, and print its name there
///
/// Without a snapshot one is taken. Only chunks are sent that the repository lacks, from whatever volume or
/// host they came; all of it is compressed and encrypted. A push that was killed goes on where it was when it
/// is begun again; several may run at once, on any hosts.
///
/// Exit code 7: the store could not be reached.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume, or a snapshot of it
    #[arg(value_name = "NAME[@SNAP]", value_parser = StateRef::parser())]
    state: StateRef,
    /// The remote; not needed where there is only one
    remote: Option<RemoteName>,
    /// Bytes a second that are sent at most, such as 20M
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    limit: Option<u64>,
    /// How long a store that cannot be reached is asked again, such as 1h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// text, or json: an object a line, how far it is once a second, and at the end what was done
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Told::parse)]
    format: Told,
}

/// What was done: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    snapshot: String,
    inodes: u64,
    bytes: u64,
    sent: u64,
    objects: u64,
    seconds: f64,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, config) = root.open(&arguments.state.volume)?;
    let dir = choose(root, arguments.remote.as_ref())?;
    let started = Instant::now();
    let repository = opened(arguments, &dir)?;
    let taken = snapshot_of(arguments, &located)?;
    let name = format!("{}:{}@{}", dir.name(), volume_name(&located), taken.name);
    let watch = Transferring::start(arguments.format, "pushing");
    if arguments.state.snapshot.is_some() && is_there(&repository, &config, &taken, &dir, &name)? {
        let nothing = Pushed {
            inodes: 0,
            bytes: 0,
            sent: 0,
            objects: 0,
        };
        return watch.end(&name, &View::of(&name, nothing, started));
    }
    // Before it is there: what can be pulled can be named.
    tell_about(&repository, &dir, &located, &config)?;
    let wanted = intended(&config, &taken)?;
    let pushed = push(
        arguments,
        (&located, &taken.name),
        (&dir, &repository),
        &watch,
        &wanted,
    )?;
    watch.end(&name, &View::of(&name, pushed, started))
}

fn opened(arguments: &Arguments, dir: &RemoteDir) -> Result<Repository> {
    let until = arguments.wait.map(|wait| Instant::now() + wait);
    let mut repository = loop {
        match open(dir) {
            Err(error)
                if error.kind() == Kind::Unreachable
                    && until.is_some_and(|until| Instant::now() < until) =>
            {
                std::thread::sleep(Duration::from_secs(1));
            }
            opened => break opened?,
        }
    };
    if let Some(until) = until {
        repository = repository.persistent(until);
    }
    if let Some(limit) = arguments.limit {
        repository = repository.paced(limit);
    }
    Ok(repository)
}

/// The snapshot that was named, or one that is taken now.
fn snapshot_of(arguments: &Arguments, located: &Located) -> Result<SnapshotInfo> {
    let name = match &arguments.state.snapshot {
        Some(name) => name.clone(),
        None => {
            sync::flush(located)?;
            let taken = snapshot::take_unnamed(located, "");
            taken.map_err(|(error, name)| explain_state(error, located, &name))?
        }
    };
    let list = snapshot::list(located, &Op::Snapshots)?;
    let found = list.into_iter().find(|one| one.name == name);
    found.ok_or_else(|| {
        no_snapshot(&SnapshotRef {
            volume: arguments.state.volume.clone(),
            name,
        })
    })
}

/// Whether this very snapshot was pushed before.
fn is_there(
    repository: &Repository,
    config: &Config,
    taken: &SnapshotInfo,
    dir: &RemoteDir,
    name: &str,
) -> Result<bool> {
    let snapshots = repository.snapshots(config.uuid);
    let snapshots = snapshots.map_err(|e| explain(e, dir.name()))?;
    let mut named = snapshots
        .whole
        .iter()
        .filter(|one| one.name == taken.name && one.state == PushState::Published);
    match named.next() {
        None => Ok(false),
        Some(one) if one.created == taken.created => Ok(true),
        Some(_) => Err(
            CliError::new(Kind::Exists, format!("there is another {name} already"))
                .hint("take a snapshot of another name, and push that"),
        ),
    }
}

fn intended(config: &Config, taken: &SnapshotInfo) -> Result<RemoteSnapshot> {
    let id = ObjectId::random().map_err(|e| CliError::new(Kind::Failed, e.to_string()))?;
    Ok(RemoteSnapshot {
        state: PushState::Pending,
        id,
        volume: config.uuid,
        name: taken.name.clone(),
        created: taken.created,
        label: taken.label.clone(),
        host: host(),
        started: jiff::Timestamp::now().to_string(),
        facts: VolumeFacts {
            chunk_bytes: config.chunk_bytes,
            compression: config.compression,
            labels: config.labels.clone(),
        },
        numbers: 0,
        inodes: 0,
        bytes: 0,
        runs: Vec::new(),
    })
}

fn push(
    arguments: &Arguments,
    (located, name): (&Located, &SnapshotName),
    (dir, repository): (&RemoteDir, &Repository),
    watch: &Transferring,
    wanted: &RemoteSnapshot,
) -> Result<Pushed> {
    let chunks = NamedChunks::open(&located.dir).map_err(|e| located.explain_volume(e))?;
    let cache = dir.cache();
    with_rows(located, (&arguments.state, name), |state| {
        let push = Push {
            repository,
            cache: &cache,
            state,
            chunks: &chunks,
            watch,
        };
        push.run(wanted.clone()).map_err(|error| {
            explain_transfer(error, dir.name(), |error| {
                CliError::new(Kind::Failed, format!("cannot push {located}"))
                    .because(error)
                    .hint("`cask check` tells what is damaged; nothing was changed")
            })
        })
    })
}

/// Says what the volume is called, where that is news.
fn tell_about(
    repository: &Repository,
    dir: &RemoteDir,
    located: &Located,
    config: &Config,
) -> Result<()> {
    let about = VolumeAbout {
        volume: config.uuid,
        name: volume_name(located),
        host: host(),
    };
    let told = dir.tell_about(repository, &about);
    told.map_err(|e| explain(e, dir.name()))
}

/// A volume that is named by its directory is called by the last part of it.
fn volume_name(located: &Located) -> String {
    let last = located.dir.file_name().unwrap_or(located.dir.as_os_str());
    last.to_string_lossy().into_owned()
}

fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

impl View {
    fn of(snapshot: &str, pushed: Pushed, started: Instant) -> Self {
        Self {
            snapshot: snapshot.to_owned(),
            inodes: pushed.inodes,
            bytes: pushed.bytes,
            sent: pushed.sent,
            objects: pushed.objects,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}
