//! `cask remote ls`.

use serde::Serialize;

use crate::cli::format::{self, Format, human_bytes};
use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain, open, remotes};
use crate::cli::{CliError, Kind, Result, output};
use crate::remote::{PushState, RemoteDir, RemoteSnapshot, VolumeAbout};
use crate::types::RemoteName;

/// List the remotes, or the snapshots in one
///
/// Fields for templates and in JSON, of remotes: Name, Url, Repository; of snapshots: Volume, Uuid (the volume's),
/// Snapshot, Created, State (published, pending while it is pushed, or abandoned), Inodes, Bytes, Host, Label.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote whose snapshots are listed
    remote: Option<RemoteName>,
    /// table, json (an object a line), or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse)]
    format: Format,
}

/// A remote as it is shown: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RemoteView {
    name: String,
    url: String,
    repository: String,
}

/// A snapshot as it is shown: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    volume: String,
    uuid: String,
    snapshot: String,
    created: String,
    state: PushState,
    inodes: u64,
    bytes: u64,
    host: String,
    label: String,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    match &arguments.remote {
        None => list_remotes(&arguments.format, root),
        Some(name) => list_snapshots(&choose(root, Some(name))?, &arguments.format),
    }
}

fn list_remotes(format: &Format, root: &Root) -> Result<()> {
    let all = remotes(root).all().map_err(|error| {
        CliError::new(Kind::Failed, "cannot list remotes")
            .because(error)
            .hint("name another root with --root, or run as its owner")
    })?;
    let views = all.iter().map(|dir| {
        let settings = dir.settings().map_err(|e| explain(e, dir.name()))?;
        Ok(RemoteView {
            name: dir.name().to_string(),
            url: settings.url,
            repository: settings.repository.to_string(),
        })
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    output::listed(format, &views, |views| {
        let mut rows = vec![["NAME", "URL"].map(str::to_owned)];
        rows.extend(
            views
                .iter()
                .map(|view| [view.name.clone(), view.url.clone()]),
        );
        format::columns(&rows)
    })
}

fn list_snapshots(dir: &RemoteDir, format: &Format) -> Result<()> {
    let failed = |e| explain(e, dir.name());
    let repository = open(dir)?;
    let mut views = Vec::new();
    let volumes = repository.volumes().map_err(failed)?;
    for error in &volumes.damaged {
        output::warn(&error.to_string());
    }
    let mut volumes = volumes.whole;
    volumes.sort_by(|a, b| (&a.name, a.volume).cmp(&(&b.name, b.volume)));
    for volume in volumes {
        let found = repository.snapshots(volume.volume).map_err(failed)?;
        for error in &found.damaged {
            output::warn(&error.to_string());
        }
        views.extend(found.whole.into_iter().map(|one| View::of(&volume, one)));
    }
    output::listed(format, &views, table)
}

impl View {
    fn of(volume: &VolumeAbout, snapshot: RemoteSnapshot) -> Self {
        let created = jiff::Timestamp::from_second(snapshot.created).unwrap_or_default();
        Self {
            volume: volume.name.clone(),
            uuid: volume.volume.to_string(),
            snapshot: snapshot.name.into(),
            created: created.to_string(),
            state: snapshot.state,
            inodes: snapshot.inodes,
            bytes: snapshot.bytes,
            host: snapshot.host,
            label: snapshot.label,
        }
    }
}

fn table(views: &[View]) -> String {
    let heads = [
        "VOLUME", "SNAPSHOT", "CREATED", "STATE", "INODES", "SIZE", "HOST",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(views.iter().map(|view| {
        let state = match view.state {
            PushState::Published => "published",
            PushState::Pending => "pending",
            PushState::Abandoned => "abandoned",
        };
        [
            // Whoever has the key may have written anything.
            view.volume.escape_debug().to_string(),
            view.snapshot.clone(),
            view.created.clone(),
            state.to_owned(),
            view.inodes.to_string(),
            human_bytes(view.bytes),
            view.host.escape_debug().to_string(),
        ]
    }));
    format::columns(&rows)
}
