//! `cask snapshot`: taken here; listed, removed, held and pruned in the files below.

mod afterwards;
mod around;
mod hold;
mod ls;
mod prune;
mod rm;
mod together;

pub(in crate::cli) use crate::commands::snapshot::{list, name_by_time, take_unnamed};
pub(in crate::cli) use afterwards::{Arguments as AfterwardsArguments, run as afterwards};
pub(in crate::cli) use rm::{remove, users};

use around::Around;
use clap::Subcommand;

use crate::commands;

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{StateRef, typed};
use crate::cli::{Result, output};

/// Take a snapshot of a volume, mounted or not, and print its name
///
/// Of several volumes it is one cut: what programs do to them waits for the moment of it, so that no
/// snapshot holds an effect without its cause in another. There are snapshots of all of them, or of none.
///
/// It holds every change of names and attributes, and all data whose fsync or close had returned. What
/// programs have written and not closed is asked for, and waited for a moment: it is in the snapshot or not.
///
/// Nothing is copied: the cost does not depend on the size of the volume.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    take: Take,
}

#[derive(Debug, clap::Args)]
struct Take {
    /// The volumes, each with a name for its snapshot; without one it gets the time, in UTC
    #[arg(required = true, value_name = "NAME[@SNAP]", value_parser = StateRef::parser())]
    states: Vec<StateRef>,
    /// A note to keep with it
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    #[command(flatten)]
    around: Around,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(visible_alias = "list")]
    Ls(ls::Arguments),
    Rm(rm::Arguments),
    Hold(hold::HoldArguments),
    Release(hold::ReleaseArguments),
    Prune(prune::Arguments),
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    match &arguments.command {
        None => take(&arguments.take, root),
        Some(Command::Ls(arguments)) => ls::run(arguments, root),
        Some(Command::Rm(arguments)) => rm::run(arguments, root),
        Some(Command::Hold(arguments)) => hold::hold(arguments, root),
        Some(Command::Release(arguments)) => hold::release(arguments, root),
        Some(Command::Prune(arguments)) => prune::run(arguments, root),
    }
}

fn take(request: &Take, root: &Root) -> Result<()> {
    let volumes = request.states.iter().map(|state| root.open(&state.volume));
    let volumes: Vec<_> = volumes
        .map(|opened| opened.map(|(located, _)| located))
        .collect::<Result<_>>()?;
    request
        .around
        .run(root, &volumes, || match request.states.as_slice() {
            [state] => take_one(state, &volumes[0], &request.label),
            states => together::take(states, &request.label, root),
        })
}

fn take_one(state: &StateRef, located: &Located, label: &str) -> Result<()> {
    let name = commands::snapshot::take(located, state.snapshot.as_ref(), label)?;
    output::line(&typed(&state.volume, &name))
}
