//! `cask set`.

use crate::control::Op;
use crate::server;
use crate::types::{Compression, Schedule, ScrubRate};
use crate::volume::{Config, Life, Protection, Seal, store};

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::{CliError, Kind, Result};

/// Change what is recorded of a volume, mounted or not
///
/// `label.KEY=VALUE` sets a label, `label.KEY=` removes it. `compress=none|lz4|zstd|zstd:LEVEL` is how chunks are
/// compressed from now on; what is stored already changes when it is moved. `protect=on` keeps the volume from being
/// removed, by whatever command, until `protect=off`. `scrub-rate=10M` has the server of the mounted volume read all that
/// is stored again and again, at so many bytes a second at most, and report damage before anybody meets it; `off` is the
/// default. `schedule="hourly=24 daily=7 weekly=4 monthly=12"` has snapshots taken by themselves, named after the hour (or
/// the shortest period that is named) in UTC, and keeps so many of each; `off` is the default, and removes none.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// What to set
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

enum Change {
    Label(String, String),
    NoLabel(String),
    Compress(Compression),
    Scrub(ScrubRate),
    Protect(Protection),
    Schedule(Schedule),
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let changes: Vec<Change> = arguments
        .settings
        .iter()
        .map(|s| parse(s))
        .collect::<Result<_>>()?;
    let (located, config) = root.open(&arguments.volume)?;
    refuse_ephemeral(&changes, &located, &config)?;
    refuse_sealed(&changes, &located, &config)?;
    for change in changes {
        apply(change, &located)?;
    }
    Ok(())
}

/// What is to go by itself cannot be kept from going. A volume is ephemeral from the first, or never.
fn refuse_ephemeral(changes: &[Change], located: &Located, config: &Config) -> Result<()> {
    let is_protection = |change: &Change| matches!(change, Change::Protect(Protection::On));
    if config.life == Life::Lasting || !changes.iter().any(is_protection) {
        return Ok(());
    }
    let message =
        format!("{located} is ephemeral: it goes with its last mount, and cannot be protected");
    let hint = "`cask clone` it, and protect the clone";
    Err(CliError::new(Kind::Failed, message).hint(hint))
}

/// What never changes has one state only.
fn refuse_sealed(changes: &[Change], located: &Located, config: &Config) -> Result<()> {
    let is_schedule = |change: &Change| matches!(change, Change::Schedule(to) if !to.is_off());
    if config.seal == Seal::Open || !changes.iter().any(is_schedule) {
        return Ok(());
    }
    let message = format!("{located} is sealed: it never changes, and has no snapshots taken");
    let hint = "`cask clone` it, and give the clone a schedule";
    Err(CliError::new(Kind::Failed, message).hint(hint))
}

fn apply(change: Change, located: &Located) -> Result<()> {
    // Whoever has the volume open must know.
    let told = match change {
        Change::Compress(compression) => Some(Op::Compress { compression }),
        Change::Scrub(rate) => Some(Op::Scrub { rate }),
        _ => None,
    };
    if let Some(op) = told {
        let done = server::perform(&located.dir, &op);
        return done.map(drop).map_err(|e| located.explain(e));
    }
    let edited = store::edit(&located.dir, |config| match change {
        Change::Label(key, value) => drop(config.labels.insert(key, value)),
        Change::NoLabel(key) => drop(config.labels.remove(&key)),
        Change::Protect(protection) => config.protection = protection,
        // A server looks for it now and then.
        Change::Schedule(schedule) => config.schedule = schedule,
        Change::Compress(_) | Change::Scrub(_) => {}
    });
    edited.map_err(|e| located.explain_volume(e))
}

fn parse(setting: &str) -> Result<Change> {
    let unknown = || {
        CliError::new(Kind::Usage, format!("unknown setting \"{setting}\""))
            .hint("what can be set is label.KEY=VALUE, compress=HOW, scrub-rate=BYTES|off, protect=on|off and \
             schedule=\"hourly=N daily=N weekly=N monthly=N\"|off")
    };
    let (key, value) = setting.split_once('=').ok_or_else(unknown)?;
    if key == "compress" {
        let compression = value.parse::<Compression>();
        return compression
            .map(Change::Compress)
            .map_err(|e| CliError::new(Kind::Usage, format!("cannot set \"{setting}\": {e}")));
    }
    if key == "scrub-rate" {
        let rate = value.parse::<ScrubRate>();
        return rate
            .map(Change::Scrub)
            .map_err(|e| CliError::new(Kind::Usage, format!("cannot set \"{setting}\": {e}")));
    }
    if key == "schedule" {
        let schedule = value.parse::<Schedule>();
        return schedule
            .map(Change::Schedule)
            .map_err(|e| CliError::new(Kind::Usage, format!("cannot set \"{setting}\": {e}")));
    }
    if key == "protect" {
        return protection(value).ok_or_else(|| {
            CliError::new(Kind::Usage, format!("cannot set \"{setting}\"")).hint("it is on or off")
        });
    }
    let label = key.strip_prefix("label.").filter(|label| !label.is_empty());
    let label = label.ok_or_else(unknown)?.to_owned();
    Ok(if value.is_empty() {
        Change::NoLabel(label)
    } else {
        Change::Label(label, value.to_owned())
    })
}

fn protection(value: &str) -> Option<Change> {
    match value {
        "on" => Some(Change::Protect(Protection::On)),
        "off" => Some(Change::Protect(Protection::Off)),
        _ => None,
    }
}
