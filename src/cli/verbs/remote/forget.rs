//! `cask remote forget`.

use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain, open};
use crate::cli::retention::{Hold, Looks, Rules};
use crate::cli::{CliError, Kind, Result, output};
use crate::remote::{DELETED_AT_ONCE, PushState, RemoteRef, RemoteSnapshot};

/// Remove snapshots of a volume from a repository, and print their names
///
/// With REMOTE:NAME@SNAP that one goes; with REMOTE:NAME those that no rule keeps, as in `cask snapshot prune`.
/// Their space comes back with `cask remote gc`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// A snapshot, or a volume
    #[arg(value_name = "REMOTE:NAME[@SNAP]", value_parser = str::parse::<RemoteRef>)]
    from: RemoteRef,
    #[command(flatten)]
    rules: Option<Rules>,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let from = &arguments.from;
    let dir = choose(root, Some(&from.remote))?;
    let repository = open(&dir)?;
    let unwanted = match (&from.snapshot, &arguments.rules) {
        (Some(_), Some(_)) => {
            let message = "a snapshot and rules are named";
            return Err(CliError::new(Kind::Usage, message).hint("name the one or the other"));
        }
        (Some(_), None) => {
            let found = from.find_snapshot(&repository);
            vec![found.map_err(|e| explain(e, dir.name()))?]
        }
        (None, Some(rules)) if !rules.keep_nothing() => {
            let found = from.find_volume(&repository);
            let all = found.and_then(|found| repository.snapshots(found.volume));
            unwanted(rules, all.map_err(|e| explain(e, dir.name()))?.whole)
        }
        (None, _) => {
            let message = "nothing says which snapshots are to stay";
            return Err(CliError::new(Kind::Usage, message)
                .hint("give a rule such as --keep-daily 7, or name one snapshot"));
        }
    };
    for some in unwanted.chunks(DELETED_AT_ONCE) {
        if !arguments.dry_run {
            let removed = repository.withdraw_all(some);
            removed.map_err(|e| explain(e, dir.name()))?;
        }
        for snapshot in some {
            let name = format!("{}:{}@{}", from.remote, from.volume, snapshot.name);
            output::line(&name)?;
        }
    }
    Ok(())
}

/// One that is being pushed stays: its push, or a collection, ends it.
fn unwanted(rules: &Rules, mut all: Vec<RemoteSnapshot>) -> Vec<RemoteSnapshot> {
    all.retain(|one| one.state == PushState::Published);
    rules.unwanted(all, |one| Looks {
        created: one.created,
        held: Hold::Free,
    })
}
