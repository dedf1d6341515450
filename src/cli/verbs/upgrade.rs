//! `cask upgrade`.

use crate::server::{self, Upgraded};

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::{CliError, Kind, Result, output};

/// Have this program serve volumes that an older one serves, while they stay mounted
///
/// Whoever uses them waits for a moment. Prints the names of the volumes that were upgraded. If the new server cannot
/// start, the old program goes on; not once a volume was of an older format, and the new one has begun to bring it to its own.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser(), required_unless_present = "all")]
    volumes: Vec<VolumeRef>,
    /// All volumes below the root
    #[arg(long, conflicts_with = "volumes")]
    all: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let mut volumes = arguments.volumes.clone();
    if arguments.all {
        let names = root.store().names().map_err(|e| {
            CliError::new(Kind::Failed, "cannot list the volumes")
                .because(e)
                .hint("name them")
        })?;
        volumes = names.into_iter().map(VolumeRef::Name).collect();
    }
    volumes
        .iter()
        .try_for_each(|volume| upgrade(&root.open(volume)?.0))
}

fn upgrade(located: &Located) -> Result<()> {
    let shown = located.reference.typed();
    match server::upgrade(&located.dir) {
        Ok(Upgraded::Done) => output::line(&shown),
        Ok(Upgraded::Already) => {
            output::warn(&format!("{shown} is served by this program already"));
            Ok(())
        }
        Ok(Upgraded::NotServed) => {
            // The next mount uses this program anyhow, and of all volumes few may be mounted.
            Ok(())
        }
        Err(server::Error::NotUpgraded) => Err(CliError::new(
            Kind::Failed,
            format!("{located} could not be upgraded, and is served by the old program"),
        )
        .hint(format!(
            "{} tells why the new one did not start",
            located.dir.join("server.log").display()
        ))),
        Err(server::Error::Down(reason)) => Err(CliError::new(
            Kind::Failed,
            format!("{located} is down: {reason}"),
        )
        .hint(format!("`cask umount {shown}`, then mount it again"))),
        Err(error) => Err(located.explain(error)),
    }
}
