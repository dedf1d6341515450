//! `cask snapshot prune`: keeps what the rules say, as restic's `forget` does.

use crate::control::{Op, SnapshotInfo};

use super::rm::{remove, users};
use crate::cli::locate::{Root, VolumeRef};
use crate::cli::retention::{Hold, Looks, Rules};
use crate::cli::state_ref::typed;
use crate::cli::{CliError, Kind, Result, output};
use crate::commands::snapshot::list;

/// Remove the snapshots that no rule keeps, and print their names
///
/// A snapshot stays if any rule keeps it, or if it is held or mounted. The rules look at the snapshots from the
/// newest to the oldest: --keep-last N keeps the last N, --keep-hourly N the newest of each of the last N
/// hours that have one, and so on; hours, days, ISO weeks and months are those of UTC. A rule that has
/// not run out keeps the oldest one, too.
#[derive(Debug, clap::Args)]
#[command(mut_group("Rules", |rules| rules.required(true)))]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    #[command(flatten)]
    rules: Rules,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.rules.keep_nothing() {
        return Err(
            CliError::new(Kind::Usage, "these rules would keep no snapshot at all")
                .hint("use `cask snapshot rm` to remove them all"),
        );
    }
    let (located, _) = root.open(&arguments.volume)?;
    for snapshot in unwanted(&arguments.rules, list(&located, &Op::Snapshots)?) {
        if !users(&located, &snapshot.name)?.is_empty() {
            continue;
        }
        if !arguments.dry_run {
            remove(&located, &snapshot.name)?;
        }
        output::line(&typed(&arguments.volume, &snapshot.name))?;
    }
    Ok(())
}

fn unwanted(rules: &Rules, all: Vec<SnapshotInfo>) -> Vec<SnapshotInfo> {
    rules.unwanted(all, |one| Looks {
        created: one.created,
        held: if one.held { Hold::Held } else { Hold::Free },
    })
}
