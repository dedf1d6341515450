//! `cask snapshot rm`.

use crate::control::Op;
use crate::server::mounts::{Mount, namespaces_where};
use crate::server::{ServerState, perform, server_state, snapshot_shown};
use crate::types::SnapshotName;

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{SnapshotRef, explain};
use crate::cli::{CliError, Kind, Result, output};

/// Remove snapshots and print their names
///
/// Their space comes back in the background. One that is held, or mounted, stays.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The snapshots
    #[arg(required = true, value_name = "NAME@SNAP", value_parser = SnapshotRef::parser())]
    snapshots: Vec<SnapshotRef>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    for snapshot in &arguments.snapshots {
        let (located, _) = root.open(&snapshot.volume)?;
        remove(&located, &snapshot.name)?;
        output::line(&snapshot.typed())?;
    }
    Ok(())
}

/// Removes one snapshot.
pub(in crate::cli) fn remove(located: &Located, name: &SnapshotName) -> Result<()> {
    let users = users(located, name)?;
    if !users.is_empty() {
        let snapshot = SnapshotRef {
            volume: located.reference.clone(),
            name: name.clone(),
        };
        let message = format!("{snapshot} is mounted {}", users.join(", "));
        return Err(CliError::new(Kind::InUse, message).hint(format!(
            "unmount it first: `cask umount {}`",
            snapshot.typed()
        )));
    }
    let op = Op::RemoveSnapshot { name: name.clone() };
    let removed = perform(&located.dir, &op).map(|_| ());
    removed.map_err(|error| explain(error, located, name))
}

/// Where a snapshot is mounted, in this mount namespace and in others.
pub(in crate::cli) fn users(located: &Located, name: &SnapshotName) -> Result<Vec<String>> {
    let server_state = server_state(&located.dir).map_err(|e| located.explain(e))?;
    let ServerState::Served(status, mounts) = server_state else {
        return Ok(Vec::new());
    };
    let shows = |mount: &Mount| snapshot_shown(&status, mount).as_ref() == Some(name);
    let here = mounts
        .iter()
        .filter(|mount| shows(mount))
        .map(|mount| format!("at {}", mount.mountpoint.display()));
    let elsewhere = namespaces_where(shows)
        .into_iter()
        .map(|holder| format!("in the mount namespace of {holder}"));
    Ok(here.chain(elsewhere).collect())
}
