//! `cask sync`.

use crate::control::Op;
use crate::server::{self, Standing, mounts};

use super::Result;
use super::locate::{Located, Root, VolumeRef};

/// Make what was written to volumes durable
///
/// What a program has closed or fsynced, and every change of names and attributes, is on the disk when
/// this returns. Data of files that are still open may be in the kernel's memory: their writer's fsync
/// is what makes it durable.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The volumes
    #[arg(required = true, value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
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

/// Has the kernel begin to write back what it holds of a volume that is mounted here.
pub(super) fn flush(located: &Located) -> Result<()> {
    let standing = server::standing(&located.dir).map_err(|e| located.explain(e))?;
    if let Standing::Served(status, mounted) = standing
        && let Some(mount) = mounted
            .iter()
            .find(|mount| Some(mount.device) == status.device)
    {
        mounts::flush(mount);
    }
    Ok(())
}
