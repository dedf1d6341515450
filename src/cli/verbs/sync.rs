//! `cask sync`.

use crate::control::Op;
use crate::server::{self, ServerState, mounts};

use crate::cli::Result;
use crate::cli::locate::{Located, Root, VolumeRef};

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

/// Has the kernel write back what it holds of a volume that is mounted here, and the server take it. Nobody
/// was promised that: what comes slowly is not waited for.
pub(in crate::cli) fn flush(located: &Located) -> Result<()> {
    let server_state = server::server_state(&located.dir).map_err(|e| located.explain(e))?;
    let ServerState::Served(status, mounted) = server_state else {
        return Ok(());
    };
    let is_head = |mount: &&mounts::Mount| Some(mount.device) == status.device;
    if let Some(mount) = mounted.iter().find(is_head) {
        mounts::flush(mount);
    }
    // What it is done for will meet the same failure, and say so.
    if let Err(e) = server::perform(&located.dir, &Op::Drain) {
        log::debug!("{located} was not drained: {e}");
    }
    Ok(())
}
