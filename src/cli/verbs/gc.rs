//! `cask gc`.

use serde::Serialize;

use crate::control::{Answer, Op};
use crate::types::Collected;
use crate::volume::Seal;

use crate::cli::format::human_bytes;
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::progress::{Lines, Progress, Told};
use crate::cli::working::watched;
use crate::cli::{CliError, Kind, Result};

/// Give back the space of what was removed and overwritten, mounted or not
///
/// A mounted volume does so by itself, before dead bytes are more than a fifth of all (and 256 MiB); this does not wait
/// for that. What snapshots hold is not dead.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes
    #[arg(required = true, value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
    /// text, or json: an object a line, how far it is once a second, and at the end of each volume what was done
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Told::parse)]
    format: Told,
}

/// What was done: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    volume: String,
    reclaimed: u64,
    removed: u64,
    moved: u64,
    segments: u64,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    for volume in &arguments.volumes {
        let (located, config) = root.open(volume)?;
        if config.seal == Seal::Sealed {
            return Err(refused(&located));
        }
        let progress = (!arguments.quiet).then(|| Progress::wait(arguments.format, "collecting"));
        let done = watched(&located.dir, &Op::Collect, progress.as_ref());
        let done = done.map_err(|e| located.explain(e))?;
        drop(progress);
        if let (Answer::Collected(done), false) = (done, arguments.quiet) {
            let view = View::of(&volume.typed(), done);
            let words = format!("{}: {} reclaimed", view.volume, human_bytes(view.reclaimed));
            Lines::of(arguments.format).end(&words, &view)?;
        }
    }
    Ok(())
}

impl View {
    fn of(volume: &str, done: Collected) -> Self {
        Self {
            volume: volume.to_owned(),
            reclaimed: done.removed_bytes.saturating_sub(done.moved_bytes),
            removed: done.removed_bytes,
            moved: done.moved_bytes,
            segments: done.segments,
        }
    }
}

fn refused(located: &Located) -> CliError {
    let message = format!("{located} is sealed: nothing in it changes, and nothing is given back");
    let hint = "remove it whole with `cask rm`, or `cask clone` it and change the clone";
    CliError::new(Kind::Failed, message).hint(hint)
}
