//! `cask serve`: what `cask mount` starts; not for people.

use std::path::PathBuf;

use crate::server;

use super::Result;
use super::locate::{Located, VolumeRef};

/// Serve a volume, with the process that asks for it at standard input
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The volume's directory
    #[arg(long, value_name = "DIR")]
    volume: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let located = Located {
        reference: VolumeRef::Dir(arguments.volume.clone()),
        dir: arguments.volume.clone(),
    };
    server::run_spawned(&arguments.volume).map_err(|e| located.explain(e))
}
