//! `cask remote rm`.

use crate::cli::Result;
use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain};
use crate::types::RemoteName;

/// Let this host forget a remote; what is stored there stays
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote
    remote: RemoteName,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let dir = choose(root, Some(&arguments.remote))?;
    dir.remove().map_err(|e| explain(e, dir.name()))
}
