//! `cask remote inspect`.

use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain};
use crate::cli::{Result, format, output};
use crate::types::RemoteName;

/// Show what this host knows of a remote, as JSON; the store is not asked, and no secret is told
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote
    remote: RemoteName,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let dir = choose(root, Some(&arguments.remote))?;
    let settings = dir.settings().map_err(|e| explain(e, dir.name()))?;
    output::line(&format::json(&settings)?)
}
