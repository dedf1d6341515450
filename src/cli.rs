//! The command line: one file a verb, and what the verbs share.
//!
//! The only code that prints or decides how the program exits. Reaches a mounted volume through its
//! server and a closed one by opening it; knows neither SQL nor FUSE.

mod archive;
mod check;
mod clone;
mod completions;
mod confirm;
mod containers;
mod contents;
mod cp;
mod create;
mod df;
mod diff;
mod docker;
mod doctor;
mod error;
mod export;
mod filter;
mod format;
mod gc;
mod helper;
mod host;
mod import;
mod inspect;
mod locate;
mod logging;
mod ls;
mod mount;
mod options;
mod output;
mod progress;
mod prune;
mod quantity;
mod reference;
mod remount;
mod rename;
mod resize;
mod restore_volume;
mod rm;
mod rollback;
mod serve;
mod set;
mod snapshot;
mod source;
mod state_ref;
mod sync;
mod umount;
mod upgrade;
mod usage;
mod view;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::{CliError, Kind};
pub use reference::reference;

use crate::server;
use docker::plugin::Wanted;
use locate::Root;

/// The result of a command.
pub type Result<T> = std::result::Result<T, CliError>;

/// A volume filesystem for containers.
///
/// A volume is a directory that holds content-addressed chunks and a database. `cask mount` shows it
/// as an ordinary filesystem, at as many places as you like.
#[derive(Debug, Parser)]
#[command(name = "cask", version, max_term_width = 100)]
struct Arguments {
    /// Where named volumes lie
    ///
    /// Otherwise $CASK_ROOT, otherwise /var/lib/cask for root and $XDG_DATA_HOME/cask
    /// (~/.local/share/cask) for others.
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Arguments),
    #[command(visible_alias = "list")]
    Ls(ls::Arguments),
    Inspect(inspect::Arguments),
    Mount(mount::Arguments),
    #[command(visible_alias = "unmount")]
    Umount(umount::Arguments),
    Rm(rm::Arguments),
    RestoreVolume(restore_volume::Arguments),
    Rename(rename::Arguments),
    Set(set::Arguments),
    Resize(resize::Arguments),
    Sync(sync::Arguments),
    Gc(gc::Arguments),
    Check(check::Arguments),
    Df(df::Arguments),
    Stats(df::StatsArguments),
    Prune(prune::Arguments),
    Snapshot(snapshot::Arguments),
    Diff(diff::Arguments),
    Clone(clone::Arguments),
    Rollback(rollback::Arguments),
    Cp(cp::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Docker(docker::Arguments),
    Doctor(doctor::Arguments),
    Upgrade(upgrade::Arguments),
    Completions(completions::Arguments),
    #[command(hide = true)]
    Keep(serve::Arguments),
    #[command(hide = true)]
    Serve(serve::Arguments),
    #[command(hide = true)]
    Poke(serve::Poke),
    #[command(hide = true)]
    Buffer(serve::Buffer),
    #[command(hide = true)]
    FlushFiles,
}

/// Runs the command that these arguments, the program's name first, ask for.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    server::take_usual_signals();
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    match docker::plugin::wanted(&arguments) {
        Some(Wanted::Metadata) => return ended(docker::plugin::introduce()),
        Some(Wanted::Command(command)) => arguments = command,
        None => {}
    }
    let outcome = match helper::arguments_of(&arguments) {
        Some(rest) => helper::run(rest),
        None => match Arguments::try_parse_from(arguments) {
            Ok(parsed) => dispatch(parsed),
            Err(error) => return output::usage(&error),
        },
    };
    ended(outcome.and_then(|()| output::settle()))
}

fn ended(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            error.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<()> {
    logging::start(&arguments.command);
    if let Command::Keep(arguments) = arguments.command {
        return serve::run_keeper(&arguments);
    }
    if let Command::Serve(arguments) = arguments.command {
        return serve::run(&arguments);
    }
    if let Command::Poke(arguments) = arguments.command {
        return serve::poke(&arguments);
    }
    if let Command::FlushFiles = arguments.command {
        return serve::flush_files();
    }
    if let Command::Buffer(arguments) = arguments.command {
        return serve::buffer(&arguments);
    }
    if let Command::Completions(arguments) = arguments.command {
        return completions::run(&arguments);
    }
    let root = Root::find(arguments.root)?;
    match arguments.command {
        Command::Create(arguments) => create::run(&arguments, &root),
        Command::Ls(arguments) => ls::run(&arguments, &root),
        Command::Inspect(arguments) => inspect::run(&arguments, &root),
        Command::Mount(arguments) => mount::run(&arguments, &root),
        Command::Umount(arguments) => umount::run(&arguments, &root),
        Command::Rm(arguments) => rm::run(&arguments, &root),
        Command::RestoreVolume(arguments) => restore_volume::run(&arguments, &root),
        Command::Rename(arguments) => rename::run(&arguments, &root),
        Command::Set(arguments) => set::run(&arguments, &root),
        Command::Resize(arguments) => resize::run(&arguments, &root),
        Command::Check(arguments) => check::run(&arguments, &root),
        Command::Df(arguments) => df::run(&arguments, &root),
        Command::Stats(arguments) => df::run_stats(&arguments, &root),
        Command::Prune(arguments) => prune::run(&arguments, &root),
        Command::Gc(arguments) => gc::run(&arguments, &root),
        Command::Sync(arguments) => sync::run(&arguments, &root),
        Command::Snapshot(arguments) => snapshot::run(&arguments, &root),
        Command::Diff(arguments) => diff::run(&arguments, &root),
        Command::Clone(arguments) => clone::run(&arguments, &root),
        Command::Export(arguments) => export::run(&arguments, &root),
        Command::Import(arguments) => import::run(&arguments, &root),
        Command::Cp(arguments) => cp::run(&arguments, &root),
        Command::Upgrade(arguments) => upgrade::run(&arguments, &root),
        Command::Doctor(arguments) => doctor::run(&arguments, &root),
        Command::Docker(arguments) => docker::run(&arguments, &root),
        Command::Rollback(arguments) => rollback::run(&arguments, &root),
        Command::Completions(_)
        | Command::Keep(_)
        | Command::Serve(_)
        | Command::Poke(_)
        | Command::Buffer(_)
        | Command::FlushFiles => Ok(()),
    }
}
