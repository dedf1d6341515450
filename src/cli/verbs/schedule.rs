//! `cask schedule`.

mod round;

use clap::Subcommand;
use jiff::Timestamp;

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::state_ref::typed;
use crate::cli::{CliError, Kind, Result, output};
use crate::server::{ServerState, server_state};
use crate::volume::Config;

/// Take the snapshots that are due by the schedules of volumes
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
}

/// Take what is due now, remove what no rule keeps any more, and print the names of what was taken
///
/// The server of a mounted volume does this by itself; for volumes that are not mounted, have cron or a timer of systemd do
/// it every hour or so. Where nothing has changed since the last snapshot of the schedule, none is taken. What others took,
/// and what is held or mounted, is never removed.
#[derive(Debug, clap::Args)]
struct Run {
    /// The volumes; default: all in the root that have a schedule
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// As if this were the time: RFC 3339
    #[arg(long, value_name = "TIME", hide = true)]
    at: Option<Timestamp>,
    /// Only of those that are mounted
    #[arg(long, hide = true)]
    if_served: bool,
}

impl Run {
    fn now(&self) -> Timestamp {
        self.at.unwrap_or_else(Timestamp::now)
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let Command::Run(run) = &arguments.command;
    if run.volumes.is_empty() {
        return run_all(run.now(), root);
    }
    let mut failure = None;
    for volume in &run.volumes {
        let done = run_one(volume, run, root);
        failure = failure.or(done.err());
    }
    failure.map_or(Ok(()), Err)
}

fn run_one(volume: &VolumeRef, run: &Run, root: &Root) -> Result<()> {
    let (located, config) = root.open(volume)?;
    if run.if_served && !is_served(&located)? {
        return Ok(());
    }
    if config.schedule.is_off() {
        let message = format!("{located} has no schedule");
        let hint = format!(
            "give it one: `cask set {} schedule=\"hourly=24 daily=7\"`",
            volume.typed()
        );
        return Err(CliError::new(Kind::Usage, message).hint(hint));
    }
    see_to(&located, &config, run.now())
}

/// A server that asks for this may be about to close: nobody opens the volume in its place.
fn is_served(located: &Located) -> Result<bool> {
    let state = server_state(&located.dir).map_err(|e| located.explain(e))?;
    Ok(matches!(state, ServerState::Served(..)))
}

/// One that cannot be seen to keeps no other from it.
fn run_all(now: Timestamp, root: &Root) -> Result<()> {
    let mut failed = 0;
    for volume in root.volumes()? {
        let Ok((located, config)) = root.open(&volume) else {
            // Broken, or gone since: `cask doctor` tells, and no schedule can be known.
            continue;
        };
        if config.schedule.is_off() {
            continue;
        }
        if let Err(error) = see_to(&located, &config, now) {
            output::warn(&error.to_string());
            failed += 1;
        }
    }
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} volumes could not be seen to");
    Err(CliError::new(Kind::Failed, message)
        .hint("mend what is said above; the next run tries again"))
}

fn see_to(located: &Located, config: &Config, now: Timestamp) -> Result<()> {
    match round::see_to(located, config.schedule, now)? {
        Some(name) => output::line(&typed(&located.reference, &name)),
        None => Ok(()),
    }
}
