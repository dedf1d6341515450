//! `cask pull`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::locate::{Root, VolumeRef};
use crate::cli::progress::Told;
use crate::cli::pulled::{Trouble, build, explain};
use crate::cli::quantity::parse_duration;
use crate::cli::remotes::{choose, explain as explain_remote, open_within};
use crate::cli::transferring::Transferring;
use crate::cli::{CliError, Kind, Result};
use crate::remote::{RemoteRef, RemoteSnapshot, Repository};
use crate::server::VolumeChunks;
use crate::transfer;
use crate::types::VolumeNameError;
use crate::volume::ChunkSource;

/// Make a volume of a snapshot in a remote, and print its name
///
/// The volume is all that was pushed: inode numbers, hard links, holes, extended attributes and ACLs, times
/// and owners. Every byte is verified. It appears under its name when all of it is there; if anything fails there
/// is no new volume. Chunks that other volumes of this root have are copied from them, and not fetched.
///
/// Exit code 7: the store could not be reached.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The snapshot; without a name the newest
    #[arg(value_name = "REMOTE:NAME[@SNAP]", value_parser = str::parse::<RemoteRef>)]
    from: RemoteRef,
    /// The new volume: a name, or a directory; otherwise what it is called there
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: Option<VolumeRef>,
    /// Make all snapshots that are there snapshots of the new volume, with their names, times and labels; the newest is
    /// what it holds
    #[arg(long)]
    all_snapshots: bool,
    /// How long a store that cannot be reached is asked again, such as 1h; otherwise until nothing came of it for 30 s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// text, or json: an object a line, how far it is once a second, and at the end what was made
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Told::parse)]
    format: Told,
}

/// What was made: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    volume: String,
    snapshot: String,
    inodes: u64,
    bytes: u64,
    seconds: f64,
}

/// What is pulled, the newest last.
fn wanted(arguments: &Arguments, repository: &Repository) -> Result<Vec<RemoteSnapshot>> {
    let from = &arguments.from;
    if !arguments.all_snapshots {
        let found = from.find_snapshot(repository).map(|one| vec![one]);
        return found.map_err(|e| explain_remote(e, &from.remote));
    }
    if from.snapshot.is_some() {
        let message = "a snapshot is named, and all are asked for";
        return Err(CliError::new(Kind::Usage, message).hint("name the volume only"));
    }
    let found = from.find_snapshots(repository);
    found.map_err(|e| explain_remote(e, &from.remote))
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let from = &arguments.from;
    let started = Instant::now();
    let dir = choose(root, Some(&from.remote))?;
    let repository = open_within(&dir, arguments.wait)?;
    let snapshots = wanted(arguments, &repository)?;
    let missing = || CliError::new(Kind::NotFound, format!("there is no {from}"));
    let snapshot = snapshots.last().ok_or_else(missing)?;
    let volume = match &arguments.volume {
        Some(volume) => volume.clone(),
        None => named(from, &repository)?,
    };
    let config = transfer::config_of(snapshot);
    let config = config.map_err(|e| explain(Trouble::From(e), from, &volume, root))?;
    let watch = Transferring::start(arguments.format, "pulling");
    let volumes: Vec<_> = root.dirs().into_iter().map(VolumeChunks::of).collect();
    let near: Vec<&dyn ChunkSource> = volumes.iter().map(|one| one as &dyn ChunkSource).collect();
    build(from, &volume, root, |fresh| {
        let made = (fresh, &config);
        if arguments.all_snapshots {
            transfer::pull_all(&near, &repository, &snapshots, made, &watch)
        } else {
            transfer::pull_beside(&near, &repository, snapshot, made, &watch)
        }
    })?;
    let view = View {
        volume: volume.typed(),
        snapshot: format!("{}:{}@{}", from.remote, from.volume, snapshot.name),
        inodes: snapshot.inodes,
        bytes: snapshot.bytes,
        seconds: started.elapsed().as_secs_f64(),
    };
    watch.end(&volume.typed(), &view)
}

/// What the volume is called in the repository.
fn named(from: &RemoteRef, repository: &Repository) -> Result<VolumeRef> {
    let found = from.find_volume(repository);
    let name = found.map_err(|e| explain_remote(e, &from.remote))?.name;
    let parsed = name.parse().map(VolumeRef::Name);
    parsed.map_err(|error: VolumeNameError| {
        CliError::new(Kind::Usage, error.to_string()).hint("give the new volume a name")
    })
}
