//! `cask remote check`.

use serde::Serialize;

use crate::cli::locate::Root;
use crate::cli::progress::Told;
use crate::cli::remotes::{choose, explain, explain_transfer, open};
use crate::cli::transferring::Transferring;
use crate::cli::{CliError, Kind, Result, output};
use crate::remote::{PushedBases, rewrite_index};
use crate::transfer::{Depth, Verified, verify};
use crate::types::RemoteName;

/// Verify that a repository has all that its snapshots need
///
/// Keys and the rows of all snapshots are read, and it is looked up that their packs are there and long enough; with
/// --read-data every pack is read and every chunk verified. What is wrong is printed, a line each, and then the
/// exit code is 6; a push sends again what is in packs that are damaged, and
/// what its volume is called where that is lost.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote; not needed where there is only one
    remote: Option<RemoteName>,
    /// Read all packs
    #[arg(long)]
    read_data: bool,
    /// text, or json: an object a line, how far it is once a second, and at the end what was found
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Told::parse)]
    format: Told,
}

/// What was found: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View<'a> {
    snapshots: u64,
    pending: u64,
    unfinished: u64,
    keys: u64,
    packs: u64,
    bytes: u64,
    faults: &'a [String],
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let dir = choose(root, arguments.remote.as_ref())?;
    let repository = open(&dir)?;
    let depth = if arguments.read_data {
        Depth::Data
    } else {
        Depth::Metadata
    };
    let watch = Transferring::start(arguments.format, "checking");
    let found = verify(&repository, depth, &watch).map_err(|error| {
        explain_transfer(error, dir.name(), |error| {
            CliError::new(
                Kind::Failed,
                format!("cannot check remote \"{}\"", dir.name()),
            )
            .because(error)
            .hint("try again")
        })
    })?;
    if arguments.format == Told::People {
        found
            .faults
            .iter()
            .try_for_each(|fault| output::sentence(fault))?;
    }
    watch.end(&summary(&found), &view(&found))?;
    if found.faults.is_empty() {
        return Ok(());
    }
    // What is damaged is sent again by whoever does not build on it.
    let forgotten = PushedBases::forget_all(&dir.cache());
    forgotten.map_err(|e| explain(e, dir.name()))?;
    for volume in &found.unnamed {
        let forgotten = dir.forget_told(*volume);
        forgotten.map_err(|e| explain(e, dir.name()))?;
    }
    if !found.bad_packs.is_empty() {
        // Else a push would take for there what is damaged. Who may not delete can tell of it still.
        if let Err(error) = rewrite_index(&repository, &dir.cache(), &found.bad_packs) {
            output::warn(&format!("a push takes it for whole: {error}"));
        }
    }
    let message = format!(
        "remote \"{}\" is damaged: {} faults",
        dir.name(),
        found.faults.len()
    );
    Err(CliError::new(Kind::Damaged, message)
        .hint("push the volumes that this host has: what is damaged is sent again; snapshots that are not named are whole; `cask remote key rm` and `key add` replace keys"))
}

fn summary(found: &Verified) -> String {
    let whole = format!(
        "{} snapshots, {} packs, {} pushes that have not ended",
        found.snapshots, found.packs, found.pending
    );
    match found.unfinished {
        0 => whole,
        unfinished => format!("{whole}, {unfinished} objects that were not finished"),
    }
}

fn view(found: &Verified) -> View<'_> {
    View {
        snapshots: found.snapshots,
        pending: found.pending,
        unfinished: found.unfinished,
        keys: found.keys,
        packs: found.packs,
        bytes: found.bytes,
        faults: &found.faults,
    }
}
