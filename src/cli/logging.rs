//! The log: standard error, which is `server.log` for a server of its own.

use std::io::Write;
use std::path::PathBuf;

use log::LevelFilter;

use crate::cli::command::Command;
use crate::commands::words::harmless;
use crate::server::bound_log;

/// Starts the log of a server, which tells what it does, or of a command, which only tells what is
/// amiss. `RUST_LOG` overrides.
pub(super) fn start(command: &Command) {
    let is_server = match command {
        Command::Keep(arguments) | Command::Serve(arguments) => {
            return start_for_server(Some(arguments.volume.clone()));
        }
        Command::Mount(arguments) => arguments.foreground,
        Command::Docker(arguments) => arguments.is_serving(),
        Command::Create(_)
        | Command::Ls(_)
        | Command::Inspect(_)
        | Command::Log(_)
        | Command::Umount(_)
        | Command::Rm(_)
        | Command::Rename(_)
        | Command::Set(_)
        | Command::Sync(_)
        | Command::Resize(_)
        | Command::Gc(_)
        | Command::Check(_)
        | Command::Df(_)
        | Command::Doctor(_)
        | Command::Top(_)
        | Command::Web(_)
        | Command::Poke(_)
        | Command::Upgrade(_)
        | Command::Stats(_)
        | Command::Metrics(_)
        | Command::Snapshot(_)
        | Command::Schedule(_)
        | Command::Diff(_)
        | Command::Clone(_)
        | Command::Rollback(_)
        | Command::Cp(_)
        | Command::Restore(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::RestoreVolume(_)
        | Command::Prune(_)
        | Command::Remote(_)
        | Command::Push(_)
        | Command::Pull(_)
        | Command::Send(_)
        | Command::Receive(_)
        | Command::Buffer(_)
        | Command::FlushFiles
        | Command::Afterwards(_)
        | Command::Man(_)
        | Command::Completions(_) => false,
    };
    if is_server {
        start_for_server(None);
    } else {
        start_for_command();
    }
}

/// The log of a server; standard error is a file in `volume`, if that is given, which is not to grow for ever.
fn start_for_server(volume: Option<PathBuf>) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Info);
    builder.format(move |out, record| {
        if let Some(Err(e)) = volume.as_deref().map(bound_log) {
            writeln!(out, "cannot begin a new log: {e}")?;
        }
        let now = jiff::Timestamp::now();
        let said = harmless(&record.args().to_string());
        writeln!(out, "{now:.3} {} {said}", record.level())
    });
    // A process that runs several commands has a logger already.
    drop(builder.parse_default_env().try_init());
}

/// Starts the log of a command.
pub(super) fn start_for_command() {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Warn);
    builder.format(|out, record| {
        let level = if record.level() == log::Level::Warn {
            "warning".to_owned()
        } else {
            record.level().as_str().to_ascii_lowercase()
        };
        writeln!(
            out,
            "cask: {level}: {}",
            harmless(&record.args().to_string())
        )
    });
    // A process that runs several commands has a logger already.
    drop(builder.parse_default_env().try_init());
}
