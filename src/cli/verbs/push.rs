//! `cask push`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::locate::{Located, Root};
use crate::cli::progress::Told;
use crate::cli::quantity::{parse_duration, parse_rate};
use crate::cli::remotes::{choose, explain, explain_transfer, open_within};
use crate::cli::source::with_rows;
use crate::cli::state_ref::{SnapshotRef, StateRef, explain as explain_state, no_snapshot};
use crate::cli::transferring::Transferring;
use crate::cli::verbs::{snapshot, sync};
use crate::cli::{CliError, Kind, Result};
use crate::control::{Op, SnapshotInfo};
use crate::remote::{
    ObjectId, PushState, PushedBase, PushedBases, RemoteDir, RemoteSnapshot, Repository,
    VolumeAbout, VolumeFacts,
};
use crate::transfer::{Push, Pushed};
use crate::types::RemoteName;
use crate::volume::{Config, NamedChunks};

/// Send a snapshot of a volume to a remote, and print its name there
///
/// Without a snapshot one is taken. Only chunks are sent that the repository lacks, from whatever volume or
/// host they came, and what tells of files that changed since the last snapshot that was pushed from here, while that is
/// here and there; all of it is compressed and encrypted. A push that was killed goes on where it was when it
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
    /// Send all snapshots that the remote lacks, the oldest first
    #[arg(long)]
    all_snapshots: bool,
    /// Bytes a second that are sent at most, such as 20M
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    limit: Option<u64>,
    /// How long a store that cannot be reached is asked again, such as 1h; otherwise until nothing came of it for 30 s
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
    if arguments.all_snapshots && arguments.state.snapshot.is_some() {
        let message = "a snapshot is named, and all are asked for";
        return Err(CliError::new(Kind::Usage, message).hint("name the volume only"));
    }
    let (located, config) = root.open(&arguments.state.volume)?;
    let dir = choose(root, arguments.remote.as_ref())?;
    let repository = opened(arguments, &dir)?;
    let pushing = Pushing {
        arguments,
        located: &located,
        config: &config,
        dir: &dir,
        repository: &repository,
    };
    let Wanted { snapshots, all } = pushing.wanted()?;
    for (taken, news) in snapshots {
        pushing.push(&taken, news, &all)?;
    }
    Ok(())
}

/// Whether a snapshot may have been pushed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// It was taken for this.
    Fresh,
    /// It was there.
    Perhaps,
}

/// What is to be pushed.
struct Wanted {
    snapshots: Vec<(SnapshotInfo, News)>,
    /// All snapshots that the volume has.
    all: Vec<SnapshotInfo>,
}

/// What is pushed, and where to.
struct Pushing<'a> {
    arguments: &'a Arguments,
    located: &'a Located,
    config: &'a Config,
    dir: &'a RemoteDir,
    repository: &'a Repository,
}

impl Pushing<'_> {
    /// The snapshot that was named, all, or one that is taken now.
    fn wanted(&self) -> Result<Wanted> {
        let state = &self.arguments.state;
        let (name, news) = match &state.snapshot {
            Some(name) => (name.clone(), News::Perhaps),
            None if self.arguments.all_snapshots => {
                let all = snapshot::list(self.located, &Op::Snapshots)?;
                let wanted = all.iter().map(|one| (one.clone(), News::Perhaps));
                let snapshots = wanted.collect();
                return Ok(Wanted { snapshots, all });
            }
            None => {
                sync::flush(self.located)?;
                let taken = snapshot::take_unnamed(self.located, "");
                let taken =
                    taken.map_err(|(error, name)| explain_state(error, self.located, &name))?;
                (taken, News::Fresh)
            }
        };
        let all = snapshot::list(self.located, &Op::Snapshots)?;
        let found = all.iter().find(|one| one.name == name).cloned();
        let missing = || {
            no_snapshot(&SnapshotRef {
                volume: state.volume.clone(),
                name,
            })
        };
        let snapshots = vec![(found.ok_or_else(missing)?, news)];
        Ok(Wanted { snapshots, all })
    }

    fn push(&self, taken: &SnapshotInfo, news: News, all: &[SnapshotInfo]) -> Result<()> {
        let started = Instant::now();
        let volume = volume_name(self.located);
        let name = format!("{}:{volume}@{}", self.dir.name(), taken.name);
        let watch = Transferring::start(self.arguments.format, "pushing");
        if news == News::Perhaps && self.is_there(taken, &name)? {
            let nothing = Pushed {
                inodes: 0,
                bytes: 0,
                sent: 0,
                objects: 0,
                packs: 0,
            };
            return watch.end(&name, &View::of(&name, nothing, started));
        }
        let (about, failed) = (self.about(), |e| explain(e, self.dir.name()));
        // Before it is there: what can be pulled can be named.
        let told = self.dir.tell_about(self.repository, &about);
        told.map_err(failed)?;
        let base = self.base(taken, all);
        let pushed = self.send(base.as_ref(), &watch, &self.intended(taken)?)?;
        // A push that has nothing to send is to stay as cheap as it is.
        if pushed.packs > 0 {
            let mended = self.dir.mend_about(self.repository, &about);
            mended.map_err(failed)?;
        }
        watch.end(&name, &View::of(&name, pushed, started))
    }

    /// Whether this very snapshot was pushed before.
    fn is_there(&self, taken: &SnapshotInfo, name: &str) -> Result<bool> {
        let snapshots = self.repository.snapshots(self.config.uuid);
        let snapshots = snapshots.map_err(|e| explain(e, self.dir.name()))?;
        let mut named = snapshots
            .whole
            .iter()
            .filter(|one| one.name == taken.name && one.state == PushState::Published);
        match named.next() {
            None => Ok(false),
            Some(one) if (one.created, one.epoch) == (taken.created, taken.epoch) => Ok(true),
            Some(_) => Err(
                CliError::new(Kind::Exists, format!("there is another {name} already"))
                    .hint("take a snapshot of another name, and push that"),
            ),
        }
    }

    /// The newest snapshot before this one that was pushed from here, and that is here still.
    fn base(&self, taken: &SnapshotInfo, all: &[SnapshotInfo]) -> Option<PushedBase> {
        let bases = PushedBases::in_cache(&self.dir.cache(), self.config.uuid);
        let is_same = |one: &RemoteSnapshot, known: &SnapshotInfo| {
            let pushed = (one.epoch, one.created, &one.name);
            pushed == (known.epoch, known.created, &known.name)
        };
        // A server that does not say which snapshot is which says 0.
        bases.newest(|one| {
            (1..taken.epoch).contains(&one.epoch) && all.iter().any(|known| is_same(one, known))
        })
    }

    fn intended(&self, taken: &SnapshotInfo) -> Result<RemoteSnapshot> {
        let id = ObjectId::random().map_err(|e| explain(e, self.dir.name()))?;
        Ok(RemoteSnapshot {
            state: PushState::Pending,
            id,
            volume: self.config.uuid,
            volume_name: volume_name(self.located),
            name: taken.name.clone(),
            created: taken.created,
            epoch: taken.epoch,
            label: taken.label.clone(),
            host: host(),
            started: jiff::Timestamp::now().as_second(),
            facts: VolumeFacts {
                chunk_bytes: self.config.chunk_bytes,
                compression: self.config.compression,
                labels: self.config.labels.clone(),
            },
            numbers: 0,
            inodes: 0,
            bytes: 0,
            beats: 0,
            runs: Vec::new(),
            deltas: Vec::new(),
        })
    }

    fn send(
        &self,
        base: Option<&PushedBase>,
        watch: &Transferring,
        wanted: &RemoteSnapshot,
    ) -> Result<Pushed> {
        let (located, name) = (self.located, &wanted.name);
        let chunks = NamedChunks::open(&located.dir).map_err(|e| located.explain_volume(e))?;
        let cache = self.dir.cache();
        with_rows(located, (&self.arguments.state, name), |state| {
            let push = Push {
                repository: self.repository,
                cache: &cache,
                state,
                chunks: &chunks,
                base,
                watch,
            };
            push.run(wanted.clone()).map_err(|error| {
                explain_transfer(error, self.dir.name(), |error| {
                    CliError::new(Kind::Failed, format!("cannot push {located}"))
                        .because(error)
                        .hint("`cask check` tells what is damaged; nothing was changed")
                })
            })
        })
    }

    /// What is said of the volume.
    fn about(&self) -> VolumeAbout {
        VolumeAbout {
            volume: self.config.uuid,
            name: volume_name(self.located),
            host: host(),
        }
    }
}

fn opened(arguments: &Arguments, dir: &RemoteDir) -> Result<Repository> {
    let mut repository = open_within(dir, arguments.wait)?;
    if let Some(limit) = arguments.limit {
        repository = repository.paced(limit);
    }
    Ok(repository)
}

/// A volume that is named by its directory is called by the last part of it.
pub(in crate::cli) fn volume_name(located: &Located) -> String {
    let last = located.dir.file_name().unwrap_or(located.dir.as_os_str());
    last.to_string_lossy().into_owned()
}

pub(in crate::cli) fn host() -> String {
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
