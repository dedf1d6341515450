//! `cask snapshot`: taken here; listed, removed, held and pruned in the files below.

mod afterwards;
mod around;
mod hold;
mod listed;
mod ls;
mod naming;
mod prune;
mod rm;
mod together;

pub(in crate::cli) use afterwards::{Arguments as AfterwardsArguments, run as afterwards};
pub(in crate::cli) use listed::list;
pub(in crate::cli) use naming::name_by_time;
pub(in crate::cli) use rm::{remove, users};

use around::Around;
use clap::Subcommand;

use crate::control::{FaultKind, Op};
use crate::server::{self, perform};
use crate::types::SnapshotName;

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{StateRef, explain, typed};
use crate::cli::verbs::sync;
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
        .run(&volumes, || match request.states.as_slice() {
            [state] => take_one(state, &volumes[0], &request.label),
            states => together::take(states, &request.label, root),
        })
}

fn take_one(state: &StateRef, located: &Located, label: &str) -> Result<()> {
    // Before the name is made: it shall be the time of the snapshot, and not of the wait before it.
    sync::flush(located)?;
    let taken = match &state.snapshot {
        Some(name) => take_named(located, name, label).map_err(|e| (e, name.clone())),
        None => take_unnamed(located, label),
    };
    let name = taken.map_err(|(error, name)| explain(error, located, &name))?;
    output::line(&typed(&state.volume, &name))
}

fn take_named(located: &Located, name: &SnapshotName, label: &str) -> server::Result<SnapshotName> {
    let op = Op::TakeSnapshot {
        name: name.clone(),
        label: label.to_owned(),
    };
    perform(&located.dir, &op).map(|_| name.clone())
}

/// Takes one that is named by the time. Others may take snapshots in the same millisecond.
pub(in crate::cli) fn take_unnamed(
    located: &Located,
    label: &str,
) -> std::result::Result<SnapshotName, (server::Error, SnapshotName)> {
    let mut attempt = 1;
    loop {
        let name = name_by_time("");
        match take_named(located, &name, label) {
            Err(server::Error::Fault(fault))
                if fault.kind == FaultKind::SnapshotExists && attempt < naming::ATTEMPTS =>
            {
                attempt += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            outcome => return outcome.map_err(|error| (error, name)),
        }
    }
}
