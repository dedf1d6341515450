//! `cask remote key`.

use clap::Subcommand;

use super::secret::Secret;
use crate::cli::Result;
use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain, open};
use crate::types::RemoteName;

/// Manage what opens a repository
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let one more key file or passphrase open a repository
    Add {
        /// The remote
        remote: RemoteName,
        #[command(flatten)]
        secret: Secret,
    },
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let Command::Add { remote, secret } = &arguments.command;
    let source = secret.read()?;
    let dir = choose(root, Some(remote))?;
    let added = open(&dir)?.add_key(&source);
    added.map_err(|e| explain(e, dir.name()))
}
