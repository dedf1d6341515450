//! `cask set`.

use crate::commands::settings::{Setting, set};
use crate::types::{Compression, Schedule, ScrubRate};
use crate::volume::Protection;

use crate::cli::locate::{Root, VolumeRef};
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

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let settings: Vec<Setting> = arguments
        .settings
        .iter()
        .map(|s| parse(s))
        .collect::<Result<_>>()?;
    let (located, config) = root.open(&arguments.volume)?;
    set(settings, &located, &config)
}

fn parse(setting: &str) -> Result<Setting> {
    let unknown = || {
        CliError::new(Kind::Usage, format!("unknown setting \"{setting}\""))
            .hint("what can be set is label.KEY=VALUE, compress=HOW, scrub-rate=BYTES|off, protect=on|off and \
             schedule=\"hourly=N daily=N weekly=N monthly=N\"|off")
    };
    let (key, value) = setting.split_once('=').ok_or_else(unknown)?;
    if key == "compress" {
        let compression = value.parse::<Compression>();
        return compression
            .map(Setting::Compress)
            .map_err(|e| CliError::new(Kind::Usage, format!("cannot set \"{setting}\": {e}")));
    }
    if key == "scrub-rate" {
        let rate = value.parse::<ScrubRate>();
        return rate
            .map(Setting::Scrub)
            .map_err(|e| CliError::new(Kind::Usage, format!("cannot set \"{setting}\": {e}")));
    }
    if key == "schedule" {
        let schedule = value.parse::<Schedule>();
        return schedule
            .map(Setting::Schedule)
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
        Setting::NoLabel(label)
    } else {
        Setting::Label(label, value.to_owned())
    })
}

fn protection(value: &str) -> Option<Setting> {
    match value {
        "on" => Some(Setting::Protect(Protection::On)),
        "off" => Some(Setting::Protect(Protection::Off)),
        _ => None,
    }
}
