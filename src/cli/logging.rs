//! The log: standard error, which is `server.log` for a server of its own.

use std::io::Write;

use log::LevelFilter;

use super::Command;

/// Starts the log of a server, which tells what it does, or of a command, which only tells what is
/// amiss. `RUST_LOG` overrides.
pub(super) fn start(command: &Command) {
    let is_server = match command {
        Command::Keep(_) | Command::Serve(_) => true,
        Command::Mount(arguments) => arguments.foreground,
        Command::Docker(arguments) => arguments.is_serving(),
        Command::Create(_)
        | Command::Ls(_)
        | Command::Inspect(_)
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
        | Command::Poke(_)
        | Command::Upgrade(_)
        | Command::Stats(_)
        | Command::Snapshot(_)
        | Command::Diff(_)
        | Command::Clone(_)
        | Command::Rollback(_)
        | Command::Cp(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::RestoreVolume(_)
        | Command::Prune(_)
        | Command::Completions(_) => false,
    };
    if is_server {
        start_for_server();
    } else {
        start_for_command();
    }
}

fn start_for_server() {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Info);
    builder.format(|out, record| {
        let now = jiff::Timestamp::now();
        writeln!(out, "{now:.3} {} {}", record.level(), record.args())
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
        writeln!(out, "cask: {level}: {}", record.args())
    });
    // A process that runs several commands has a logger already.
    drop(builder.parse_default_env().try_init());
}
