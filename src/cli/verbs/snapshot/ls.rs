//! `cask snapshot ls`.

use serde::Serialize;

use crate::control::{Op, SnapshotInfo};

use crate::cli::format::{self, Format, human_bytes};
use crate::cli::locate::{Root, VolumeRef};
use crate::cli::{Result, output};
use crate::commands::snapshot::list;

/// List the snapshots of a volume, the oldest first
///
/// Fields for templates and in JSON: Name, Created, Unique (stored bytes that come back when it is
/// removed, and no other), Referenced (bytes of its files that data is stored for), Held, Label.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
    /// table, json (an object a line), or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse)]
    format: Format,
}

/// A snapshot as it is shown: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    name: String,
    created: String,
    unique: u64,
    referenced: u64,
    held: bool,
    label: String,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, _) = root.open(&arguments.volume)?;
    if arguments.quiet {
        let list = list(&located, &Op::Snapshots)?;
        return list
            .iter()
            .try_for_each(|one| output::line(one.name.as_str()));
    }
    let list = list(&located, &Op::MeasuredSnapshots)?;
    let views: Vec<View> = list.into_iter().map(View::of).collect();
    output::listed(&arguments.format, &views, table)
}

impl View {
    fn of(snapshot: SnapshotInfo) -> Self {
        let created = jiff::Timestamp::from_second(snapshot.created).unwrap_or_default();
        Self {
            name: snapshot.name.into(),
            created: created.to_string(),
            unique: snapshot.bytes.map_or(0, |bytes| bytes.unique),
            referenced: snapshot.bytes.map_or(0, |bytes| bytes.referenced),
            held: snapshot.held,
            label: snapshot.label,
        }
    }
}

fn table(views: &[View]) -> String {
    let heads = ["NAME", "CREATED", "UNIQUE", "REFERENCED", "HELD", "LABEL"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(views.iter().map(|view| {
        let held = if view.held { "yes" } else { "-" };
        [
            view.name.clone(),
            view.created.clone(),
            human_bytes(view.unique),
            human_bytes(view.referenced),
            held.to_owned(),
            // A note may have several lines.
            view.label.escape_debug().to_string(),
        ]
    }));
    format::columns(&rows)
}
