//! `cask remote rm`.

use crate::cli::caches::unneeded;
use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain};
use crate::cli::{Result, output};
use crate::types::RemoteName;

/// Let this host forget a remote; what is stored there stays, what is kept of it in the cache goes
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote
    remote: RemoteName,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let dir = choose(root, Some(&arguments.remote))?;
    let repository = dir.settings().ok().map(|settings| settings.repository);
    dir.remove().map_err(|e| explain(e, dir.name()))?;
    // After it: a server of a volume puts nothing there any more.
    let caches = unneeded(root).into_iter();
    for cache in caches.filter(|cache| Some(cache.repository()) == repository) {
        if let Err(error) = cache.remove() {
            let dir = cache.dir().display();
            output::warn(&format!("{dir} is left, see `cask prune`: {error}"));
        }
    }
    Ok(())
}
