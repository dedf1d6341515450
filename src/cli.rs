//! The command line: one file a verb, and what the verbs share.
//!
//! The only code that prints or decides how the program exits. Reaches a volume through its server, or
//! opens it for a moment; knows neither SQL nor FUSE.

mod caches;
mod command;
mod confirm;
mod contents;
mod error;
mod filter;
mod format;
mod helper;
mod logging;
mod options;
mod output;
mod packaging;
mod parsers;
mod progress;
mod pulled;
mod quantity;
mod reference;
mod remotes;
mod remount;
mod retention;
mod schedule_view;
mod source;
mod transferring;
mod verbs;
mod view;
mod working;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use crate::commands::Kind;
pub(crate) use crate::commands::{archive, containers, host, locate, state_ref, usage};
pub use error::{CliError, Result};
pub use packaging::packaging;
pub use reference::reference;

use crate::server;
use command::{Arguments, Command};
use locate::Root;
use verbs::docker::plugin::{self, Wanted};
use verbs::{
    check, clone, completions, cp, create, df, diff, docker, doctor, export, gc, import, inspect,
    log, ls, man, metrics, mount, prune, pull, push, receive, remote, rename, resize, restore,
    restore_volume, rm, rollback, schedule, send, serve, set, snapshot, sync, top, umount, upgrade,
    web,
};

/// Runs the command that these arguments, the program's name first, ask for.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    server::take_usual_signals();
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    match plugin::wanted(&arguments) {
        Some(Wanted::Metadata) => return ended(plugin::introduce()),
        Some(Wanted::Command(command)) => arguments = command,
        None => {}
    }
    let outcome = match helper::arguments_of(&arguments) {
        Some(rest) => helper::run(rest),
        None => match Arguments::try_parse_from(arguments) {
            Ok(parsed) => dispatch(parsed),
            Err(error) => return output::usage(error),
        },
    };
    ended(outcome.and_then(|()| output::flush()))
}

fn ended(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            error::exit_code(error.kind())
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<()> {
    logging::start(&arguments.command);
    match arguments.command {
        Command::Keep(arguments) => serve::run_supervisor(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Poke(arguments) => serve::poke(&arguments),
        Command::FlushFiles => serve::flush_files(),
        Command::Afterwards(arguments) => snapshot::afterwards(&arguments),
        Command::Buffer(arguments) => serve::buffer(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, &mut Arguments::command()),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
        command => dispatch_in(&Root::find(arguments.root)?, command),
    }
}

/// What is done in a root of volumes.
fn dispatch_in(root: &Root, command: Command) -> Result<()> {
    match command {
        Command::Create(arguments) => create::run(&arguments, root),
        Command::Ls(arguments) => ls::run(&arguments, root),
        Command::Inspect(arguments) => inspect::run(&arguments, root),
        Command::Log(arguments) => log::run(&arguments, root),
        Command::Mount(arguments) => mount::run(&arguments, root),
        Command::Umount(arguments) => umount::run(&arguments, root),
        Command::Rm(arguments) => rm::run(&arguments, root),
        Command::RestoreVolume(arguments) => restore_volume::run(&arguments, root),
        Command::Rename(arguments) => rename::run(&arguments, root),
        Command::Set(arguments) => set::run(&arguments, root),
        Command::Resize(arguments) => resize::run(&arguments, root),
        Command::Check(arguments) => check::run(&arguments, root),
        Command::Df(arguments) => df::run(&arguments, root),
        Command::Stats(arguments) => df::run_stats(&arguments, root),
        Command::Metrics(arguments) => metrics::run(&arguments, root),
        Command::Prune(arguments) => prune::run(&arguments, root),
        Command::Gc(arguments) => gc::run(&arguments, root),
        Command::Sync(arguments) => sync::run(&arguments, root),
        Command::Snapshot(arguments) => snapshot::run(&arguments, root),
        Command::Web(arguments) => web::run(&arguments, root),
        Command::Top(arguments) => top::run(&arguments, root),
        Command::Schedule(arguments) => schedule::run(&arguments, root),
        Command::Diff(arguments) => diff::run(&arguments, root),
        Command::Clone(arguments) => clone::run(&arguments, root),
        Command::Export(arguments) => export::run(&arguments, root),
        Command::Import(arguments) => import::run(&arguments, root),
        Command::Remote(arguments) => remote::run(&arguments, root),
        Command::Push(arguments) => push::run(&arguments, root),
        Command::Pull(arguments) => pull::run(&arguments, root),
        Command::Send(arguments) => send::run(&arguments, root),
        Command::Receive(arguments) => receive::run(&arguments, root),
        Command::Cp(arguments) => cp::run(&arguments, root),
        Command::Restore(arguments) => restore::run(&arguments, root),
        Command::Upgrade(arguments) => upgrade::run(&arguments, root),
        Command::Doctor(arguments) => doctor::run(&arguments, root),
        Command::Docker(arguments) => docker::run(&arguments, root),
        Command::Rollback(arguments) => rollback::run(&arguments, root),
        Command::Completions(_)
        | Command::Man(_)
        | Command::Keep(_)
        | Command::Serve(_)
        | Command::Poke(_)
        | Command::Buffer(_)
        | Command::Afterwards(_)
        | Command::FlushFiles => Ok(()),
    }
}
