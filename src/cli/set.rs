//! `cask set`.

use crate::control::Op;
use crate::server;
use crate::types::Compression;
use crate::volume::store;

use super::locate::{Located, Root, VolumeRef};
use super::{CliError, Kind, Result};

/// Change what is recorded of a volume, mounted or not
///
/// `label.KEY=VALUE` sets a label, `label.KEY=` removes it. `compress=none|lz4|zstd|zstd:LEVEL` is how chunks are
/// compressed from now on; what is stored already changes when it is moved.
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
    Compress(Compression),
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let changes: Vec<Change> = arguments
        .settings
        .iter()
        .map(|s| parse(s))
        .collect::<Result<_>>()?;
    let (located, _) = root.open(&arguments.volume)?;
    for change in changes {
        apply(change, &located)?;
    }
    Ok(())
}

fn apply(change: Change, located: &Located) -> Result<()> {
    if let Change::Compress(compression) = change {
        // Whoever has the volume open must know.
        let done = server::perform(&located.dir, &Op::Compress { compression });
        return done.map(drop).map_err(|e| located.explain(e));
    }
    let edited = store::edit(&located.dir, |config| match change {
        Change::Label(key, value) => drop(config.labels.insert(key, value)),
        Change::NoLabel(key) => drop(config.labels.remove(&key)),
        Change::Compress(_) => {}
    });
    edited.map_err(|e| located.explain_volume(e))
}

fn parse(setting: &str) -> Result<Change> {
    let unknown = || {
        CliError::new(Kind::Usage, format!("unknown setting \"{setting}\""))
            .hint("what can be set is label.KEY=VALUE and compress=HOW")
    };
    let (key, value) = setting.split_once('=').ok_or_else(unknown)?;
    if key == "compress" {
        let compression = value.parse::<Compression>();
        return compression
            .map(Change::Compress)
            .map_err(|e| CliError::new(Kind::Usage, format!("cannot set \"{setting}\": {e}")));
    }
    let label = key.strip_prefix("label.").filter(|label| !label.is_empty());
    let label = label.ok_or_else(unknown)?.to_owned();
    Ok(if value.is_empty() {
        Change::NoLabel(label)
    } else {
        Change::Label(label, value.to_owned())
    })
}
