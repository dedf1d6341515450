//! `cask keep`, which `cask mount` starts, and `cask serve`, which that starts; not for people.

use std::path::PathBuf;

use crate::server;

use super::Result;
use super::locate::{Located, VolumeRef};

/// Serve a volume, for the process at standard input
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The volume's directory
    #[arg(long, value_name = "DIR")]
    volume: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    server::run_server(&arguments.volume).map_err(|e| located(arguments).explain(e))
}

pub(super) fn run_keeper(arguments: &Arguments) -> Result<()> {
    server::run_keeper(&arguments.volume).map_err(|e| located(arguments).explain(e))
}

fn located(arguments: &Arguments) -> Located {
    Located {
        reference: VolumeRef::Dir(arguments.volume.clone()),
        dir: arguments.volume.clone(),
    }
}
