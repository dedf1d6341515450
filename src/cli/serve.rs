//! `cask keep`, which `cask mount` starts, `cask serve`, which that starts, and `cask poke`, which that starts; not for
//! people.

use std::path::PathBuf;

use crate::control::Device;
use crate::server::{self, mounts::answers};

use super::locate::{Located, VolumeRef};
use super::{CliError, Kind, Result};

/// Serve a volume, for the process at standard input
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The volume's directory
    #[arg(long, value_name = "DIR")]
    pub(super) volume: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    server::run_server(&arguments.volume).map_err(|e| located(arguments).explain(e))
}

pub(super) fn run_keeper(arguments: &Arguments) -> Result<()> {
    server::run_keeper(&arguments.volume).map_err(|e| located(arguments).explain(e))
}

/// Ask something of the mounts of a superblock
#[derive(Debug, clap::Args)]
pub(super) struct Poke {
    /// Its device number
    device: Device,
}

pub(super) fn poke(arguments: &Poke) -> Result<()> {
    let mounts = server::mounts_of(&[arguments.device]).map_err(|e| {
        CliError::new(Kind::Failed, "cannot find the mounts")
            .because(e)
            .hint("is /proc mounted?")
    })?;
    // One is enough, and any answer will do.
    mounts.first().map(|mount| answers(&mount.mountpoint));
    Ok(())
}

fn located(arguments: &Arguments) -> Located {
    Located {
        reference: VolumeRef::Dir(arguments.volume.clone()),
        dir: arguments.volume.clone(),
    }
}
