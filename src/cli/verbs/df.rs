//! `cask df` and `cask stats`.

use serde::Serialize;

use crate::at_once::ask_each;
use crate::types::Usage;
use crate::volume::store::Footprint;

use crate::cli::caches::{self, Kept};
use crate::cli::format::{self, Format, human_bytes};
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::view::UsageView;
use crate::cli::{Result, output, usage};

/// Volumes that are asked at once: one that no server has is opened for that, which waits for the host's disk.
const AT_ONCE: usize = 4;

/// Show what volumes hold and what they take, of all volumes or of these
///
/// Limit is what the files may hold; Used what they hold, each byte as often as it is in a file; Unique those bytes once, as
/// they are stored; Snapshots what only snapshots hold; Dead what nothing names any more and is given back in time;
/// Disk everything on the host. What clones share is in the Disk of each, and once in the total. With all volumes, the
/// table also has what is kept of remotes for volumes with --prefetch none.
///
/// Fields for templates and in JSON: Name, Limit (null without), Inodes, Extents, LogicalBytes (Used), UniqueBytes, SnapshotBytes, DeadBytes,
/// SharedBytes, PhysicalBytes (Disk), HostFreeBytes, DedupRatio, CompressionRatio.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes; all without one
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// table, json (an object a line), or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse)]
    format: Format,
}

/// Show all that is known of what one volume holds
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct StatsArguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// table, json, or a template such as '{{.DedupRatio}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse)]
    format: Format,
}

/// A volume as it is shown: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    name: String,
    limit: Option<u64>,
    #[serde(flatten)]
    usage: UsageView,
    #[serde(skip)]
    raw: Usage,
    #[serde(skip)]
    disk: Footprint,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let located = wanted(&arguments.volumes, root)?;
    let views = ask_each(AT_ONCE, &located, view, |_| false)
        .into_iter()
        .filter_map(|view| match view {
            Ok(view) => Some(Ok(view)),
            // One volume that cannot be used must not hide the others.
            Err(error) if arguments.volumes.is_empty() => {
                output::warn(&error.to_string());
                None
            }
            Err(error) => Some(Err(error)),
        });
    let views: Vec<View> = views.collect::<Result<_>>()?;
    let caches = if arguments.volumes.is_empty() {
        caches::kept(root)
    } else {
        Vec::new()
    };
    output::listed(&arguments.format, &views, |views| table(views, &caches))
}

pub(in crate::cli) fn run_stats(arguments: &StatsArguments, root: &Root) -> Result<()> {
    let view = view(&root.open(&arguments.volume)?.0)?;
    match &arguments.format {
        Format::Table => output::raw(&format::columns(&rows(&view))),
        Format::Json => output::line(&format::json(&view)?),
        Format::Template(template) => output::line(&template.render(&view)?),
    }
}

fn wanted(volumes: &[VolumeRef], root: &Root) -> Result<Vec<Located>> {
    if !volumes.is_empty() {
        let opened = volumes.iter().map(|volume| Ok(root.open(volume)?.0));
        return opened.collect();
    }
    let located = root.volumes()?.into_iter();
    // One that was removed meanwhile is not there.
    Ok(located.filter_map(|one| root.locate(&one).ok()).collect())
}

fn view(located: &Located) -> Result<View> {
    let raw = usage::of(located)?;
    let disk = Footprint::of(&located.dir);
    Ok(View {
        name: located.reference.typed(),
        limit: raw.limits.bytes,
        usage: UsageView::of(&raw, disk.bytes()),
        raw,
        disk,
    })
}

const HEADS: [&str; 9] = [
    "NAME",
    "LIMIT",
    "USED",
    "AVAIL",
    "UNIQUE",
    "SNAPSHOTS",
    "DEAD",
    "DISK",
    "RATIO",
];

fn table(views: &[View], caches: &[Kept]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(views.iter().map(|view| {
        let raw = &view.raw;
        let left = |limit: u64| limit.saturating_sub(raw.logical_bytes);
        let available = view.limit.map_or(raw.host_free_bytes, left);
        [
            view.name.clone(),
            view.limit.map_or_else(|| "-".to_owned(), human_bytes),
            human_bytes(raw.logical_bytes),
            human_bytes(available.min(raw.host_free_bytes)),
            human_bytes(raw.live_bytes),
            human_bytes(raw.snapshot_bytes),
            human_bytes(raw.dead_bytes),
            human_bytes(view.disk.bytes()),
            format!("{:.2}", raw.dedup_ratio() * raw.compression_ratio()),
        ]
    }));
    rows.extend(caches.iter().map(|cache| {
        let mut row = [(); HEADS.len()].map(|()| "-".to_owned());
        row[0] = format!("cache of {}", cache.remote);
        row[1] = human_bytes(cache.bytes_max);
        row[7] = human_bytes(cache.bytes);
        row
    }));
    if views.len() + caches.len() > 1 {
        let cached: u64 = caches.iter().map(|cache| cache.bytes).sum();
        let sum = |of: fn(&Usage) -> u64| human_bytes(views.iter().map(|v| of(&v.raw)).sum());
        rows.push([
            "TOTAL".to_owned(),
            "-".to_owned(),
            sum(|raw| raw.logical_bytes),
            "-".to_owned(),
            sum(|raw| raw.live_bytes),
            sum(|raw| raw.snapshot_bytes),
            sum(|raw| raw.dead_bytes),
            human_bytes(disk_bytes(views) + cached),
            "-".to_owned(),
        ]);
    }
    format::columns(&rows)
}

/// What the volumes take on the host, with files that several of them have counted once.
fn disk_bytes(views: &[View]) -> u64 {
    let mut together = Footprint::default();
    views.iter().for_each(|view| together.add(&view.disk));
    together.bytes()
}

fn rows(view: &View) -> Vec<[String; 2]> {
    let raw = &view.raw;
    let limit = |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), human_bytes);
    let inodes = raw.limits.inodes;
    let rows = [
        ("Name", view.name.clone()),
        ("Limit", limit(view.limit)),
        (
            "Limit of inodes",
            inodes.map_or_else(|| "none".to_owned(), |n| n.to_string()),
        ),
        ("Inodes", raw.inodes.to_string()),
        ("Extents", raw.extents.to_string()),
        ("Data in files", human_bytes(raw.logical_bytes)),
        (
            "The same, each byte once",
            human_bytes(raw.live_plain_bytes),
        ),
        ("The same, as it is stored", human_bytes(raw.live_bytes)),
        ("Only in snapshots", human_bytes(raw.snapshot_bytes)),
        ("Dead", human_bytes(raw.dead_bytes)),
        ("Shared with clones", human_bytes(raw.shared_bytes)),
        ("On the disk", human_bytes(view.disk.bytes())),
        ("Free on the disk", human_bytes(raw.host_free_bytes)),
        ("Deduplication", format!("{:.2}", raw.dedup_ratio())),
        ("Compression", format!("{:.2}", raw.compression_ratio())),
    ];
    rows.map(|(name, value)| [name.to_owned(), value]).to_vec()
}
