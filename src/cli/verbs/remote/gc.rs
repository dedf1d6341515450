//! `cask remote gc`.

use serde::Serialize;

use crate::cli::format::human_bytes;
use crate::cli::locate::Root;
use crate::cli::progress::Told;
use crate::cli::remotes::{choose, explain_transfer, open};
use crate::cli::transferring::Transferring;
use crate::cli::{CliError, Kind, Result};
use crate::transfer::{Collect, Collected, Extent, Waits, collect};
use crate::types::RemoteName;

/// Remove from a repository what no snapshot needs
///
/// Pushes and pulls may run meanwhile, on any host. A push that has said nothing for ten minutes is given up:
/// should it come back, it cannot publish. Where the store cannot decide that, what is to go is marked, and goes when it
/// is marked for a day. Of packs of which less than half is needed the rest is stored anew before they go, unless the
/// credentials do not allow to delete. A collection that was killed is gone on with by the next one. In a directory what killed pushes
/// have left half written goes as well, when that is a day old by the clock of whoever keeps the directory.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote; not needed where there is only one
    remote: Option<RemoteName>,
    /// Only look what would be removed
    #[arg(long)]
    dry_run: bool,
    /// text, or json: an object a line, how far it is once a second, and at the end what was done
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Told::parse)]
    format: Told,
}

/// What was done: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    packs: u64,
    runs: u64,
    repacked: u64,
    bytes: u64,
    abandoned: u64,
    marked: u64,
    unfinished: u64,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let dir = choose(root, arguments.remote.as_ref())?;
    let repository = open(&dir)?;
    let watch = Transferring::start(arguments.format, "collecting");
    let extent = if arguments.dry_run {
        Extent::Look
    } else {
        Extent::Remove
    };
    let collected = collect(&Collect {
        repository: &repository,
        cache: &dir.cache(),
        watch: &watch,
        extent,
        waits: Waits::default(),
    });
    let collected = collected.map_err(|error| {
        explain_transfer(error, dir.name(), |error| {
            let message = format!("cannot collect in remote \"{}\"", dir.name());
            CliError::new(Kind::Failed, message)
                .because(error)
                .hint("try again")
        })
    })?;
    watch.end(&summary(&collected, extent), &View::of(&collected))
}

fn summary(collected: &Collected, extent: Extent) -> String {
    let unfinished = match collected.unfinished {
        0 => String::new(),
        unfinished => format!(", {unfinished} objects that were not finished"),
    };
    let repacked = match collected.repacked {
        0 => String::new(),
        repacked => format!(", most of {repacked} packs"),
    };
    let what = format!(
        "{} packs and {} runs{repacked}{unfinished}, {}",
        collected.packs,
        collected.runs,
        human_bytes(collected.bytes)
    );
    let done = match extent {
        Extent::Look => format!("would remove {what}"),
        Extent::Remove => format!("removed {what}"),
    };
    match collected.marked {
        0 => done,
        marked => format!("{done}; {marked} objects are marked, and may go in a day"),
    }
}

impl View {
    const fn of(collected: &Collected) -> Self {
        Self {
            packs: collected.packs,
            runs: collected.runs,
            repacked: collected.repacked,
            bytes: collected.bytes,
            abandoned: collected.abandoned,
            marked: collected.marked,
            unfinished: collected.unfinished,
        }
    }
}
