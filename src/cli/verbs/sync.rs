//! `cask sync`.

use crate::control::Op;
use crate::server;

use crate::cli::Result;
use crate::cli::locate::{Root, VolumeRef};

pub(in crate::cli) use crate::commands::flush::flush;

/// Make what was written to volumes durable
///
/// What a program has closed or fsynced, and every change of names and attributes, is on the disk when
/// this returns. Data of files that are still open may be in the kernel's memory: their writer's fsync
/// is what makes it durable.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes
    #[arg(required = true, value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    arguments
        .volumes
        .iter()
        .try_for_each(|volume| sync(volume, root))
}

fn sync(volume: &VolumeRef, root: &Root) -> Result<()> {
    let (located, _) = root.open(volume)?;
    flush(&located)?;
    let synced = server::perform(&located.dir, &Op::Sync);
    synced.map(|_| ()).map_err(|e| located.explain(e))
}
