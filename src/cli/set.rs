//! `cask set`.

use crate::volume::store;

use super::locate::{Root, VolumeRef};
use super::{CliError, Kind, Result};

/// Change what is recorded of a volume, mounted or not
///
/// `label.KEY=VALUE` sets a label, `label.KEY=` removes it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
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
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let changes: Vec<Change> = arguments
        .settings
        .iter()
        .map(|s| parse(s))
        .collect::<Result<_>>()?;
    let (located, _) = root.open(&arguments.volume)?;
    let edited = store::edit(&located.dir, |config| {
        for change in changes {
            match change {
                Change::Label(key, value) => config.labels.insert(key, value),
                Change::NoLabel(key) => config.labels.remove(&key),
            };
        }
    });
    edited.map_err(|e| located.explain_volume(e))
}

fn parse(setting: &str) -> Result<Change> {
    let unknown = || {
        CliError::new(Kind::Usage, format!("unknown setting \"{setting}\""))
            .hint("what can be set is label.KEY=VALUE")
    };
    let (key, value) = setting.split_once('=').ok_or_else(unknown)?;
    let label = key.strip_prefix("label.").filter(|label| !label.is_empty());
    let label = label.ok_or_else(unknown)?.to_owned();
    Ok(if value.is_empty() {
        Change::NoLabel(label)
    } else {
        Change::Label(label, value.to_owned())
    })
}
