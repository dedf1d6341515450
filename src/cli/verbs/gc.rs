//! `cask gc`.

use crate::control::{Answer, Op};
use crate::server;
use crate::volume::Seal;

use crate::cli::format::human_bytes;
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::{CliError, Kind, Result, output};

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
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    for volume in &arguments.volumes {
        let (located, config) = root.open(volume)?;
        if config.seal == Seal::Sealed {
            return Err(refused(&located));
        }
        let done = server::perform(&located.dir, &Op::Collect).map_err(|e| located.explain(e))?;
        if let (Answer::Collected(done), false) = (done, arguments.quiet) {
            let freed = done.removed_bytes.saturating_sub(done.moved_bytes);
            output::line(&format!(
                "{}: {} reclaimed",
                volume.typed(),
                human_bytes(freed)
            ))?;
        }
    }
    Ok(())
}

fn refused(located: &Located) -> CliError {
    let message = format!("{located} is sealed: nothing in it changes, and nothing is given back");
    let hint = "remove it whole with `cask rm`, or `cask clone` it and change the clone";
    CliError::new(Kind::Failed, message).hint(hint)
}
