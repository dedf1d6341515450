//! `cask remote`: repositories that this host knows, in the files below.

mod add;
mod check;
mod forget;
mod gc;
mod inspect;
mod key;
mod ls;
mod rm;
mod secret;
mod set;

use clap::Subcommand;

use crate::cli::Result;
use crate::cli::locate::Root;

/// Manage remotes: repositories in an object store or a directory, which volumes are pushed to and pulled from
///
/// All that is stored there is compressed, encrypted and authenticated; who has the store sees sizes, times
/// and how much there is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(add::Arguments),
    #[command(visible_alias = "list")]
    Ls(ls::Arguments),
    Inspect(inspect::Arguments),
    Set(set::Arguments),
    Rm(rm::Arguments),
    Check(check::Arguments),
    Forget(forget::Arguments),
    Gc(gc::Arguments),
    Key(key::Arguments),
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    match &arguments.command {
        Command::Add(arguments) => add::run(arguments, root),
        Command::Ls(arguments) => ls::run(arguments, root),
        Command::Inspect(arguments) => inspect::run(arguments, root),
        Command::Set(arguments) => set::run(arguments, root),
        Command::Rm(arguments) => rm::run(arguments, root),
        Command::Check(arguments) => check::run(arguments, root),
        Command::Forget(arguments) => forget::run(arguments, root),
        Command::Gc(arguments) => gc::run(arguments, root),
        Command::Key(arguments) => key::run(arguments, root),
    }
}
