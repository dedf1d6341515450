//! `cask ls`.

mod trash;

pub(in crate::cli) use trash::trashed;

use crate::cli::containers::Containers;
use crate::cli::filter::Filter;
use crate::cli::format::{self, Format, human_bytes};
use crate::cli::locate::Root;
use crate::cli::schedule_view::ScheduleView;
use crate::cli::view::View;
use crate::cli::{Result, output};

/// List the volumes of the root
///
/// Used is what the files hold, each byte as often as it is in a file, as in `cask df`; `-` where that is not known
/// without opening the volume: its server was killed, or it was cloned or pulled and not used yet.
///
/// Snapshot, where there are schedules, is when it was last seen to that there is one.
///
/// Fields for templates and in JSON: Name, Status, Mountpoints, SnapshotMounts (by mountpoint), Containers (the names of those of a Docker engine that have one of the mounts; Podman is not asked), LogicalBytes (Used; null where
/// it is not known), PhysicalBytes (on the disk), Created (RFC 3339), Labels, Dir, Schedule (Keep, Last, Taken, SeenTo, Next, Failures and Error; null where there is none), and Error where a volume is broken; with --trash: Name, Trashed and Due (when it came there, and until when it
/// is kept), PhysicalBytes, Dir.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
    /// List what `cask rm --trash` put aside instead, with when each is due
    #[arg(long, conflicts_with = "filters")]
    trash: bool,
    /// Show only what matches: name=TEXT (a part of it), label=KEY, label=KEY=VALUE,
    /// mounted=true|false; may be given more than once, and all must match
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = Filter::parse)]
    filters: Vec<Filter>,
    /// table, json (an object a line), or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse)]
    format: Format,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.trash {
        let told = if arguments.quiet {
            trash::Told::Names
        } else {
            trash::Told::All
        };
        return trash::run(told, &arguments.format, root);
    }
    let mut views = matching(&arguments.filters, root)?;
    if arguments.quiet {
        return views.iter().try_for_each(|view| output::line(&view.name));
    }
    note_containers(&mut views);
    output::listed(&arguments.format, &views, table)
}

/// An engine is asked only if it can matter.
fn note_containers(views: &mut [View]) {
    if !views.iter().any(View::is_mounted) {
        return;
    }
    let containers = Containers::ask();
    for view in views {
        view.note_containers(&containers);
    }
}

fn matching(filters: &[Filter], root: &Root) -> Result<Vec<View>> {
    let mut views = Vec::new();
    for volume in root.volumes()? {
        // One that was removed meanwhile is not there.
        if let Ok(located) = root.locate(&volume) {
            views.push(View::of(&located));
        }
    }
    views.retain(|view| filters.iter().all(|filter| filter.matches(view)));
    Ok(views)
}

/// What the schedules did is a column only where there are some.
fn table(views: &[View]) -> String {
    let has_schedules = views.iter().any(|view| view.schedule.is_some());
    let mut head = vec!["NAME", "STATUS", "MOUNTS", "CONTAINERS", "USED", "CREATED"];
    head.extend(has_schedules.then_some("SNAPSHOT"));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(views.iter().map(|view| {
        let mut row = vec![
            view.name.clone(),
            view.status.word().to_owned(),
            or_dash(places(view)),
            or_dash(view.containers.join(",")),
            or_dash(view.logical_bytes.map(human_bytes).unwrap_or_default()),
            or_dash(view.created.as_deref().map(format::ago).unwrap_or_default()),
        ];
        let word = view.schedule.as_ref().map(ScheduleView::word);
        row.extend(has_schedules.then(|| or_dash(word.unwrap_or_default())));
        row
    }));
    format::columns(&rows)
}

/// A snapshot is named behind its place.
fn places(view: &View) -> String {
    let snapshots = view.snapshot_mounts.iter();
    let snapshots = snapshots.map(|(place, snapshot)| format!("{place}@{snapshot}"));
    let places = view.mountpoints.iter().cloned().chain(snapshots);
    places.collect::<Vec<_>>().join(",")
}

fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}
