//! `cask snapshot rm`.

use crate::control::Op;
use crate::server::perform;
use crate::types::SnapshotName;

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{SnapshotRef, explain};
use crate::cli::{Result, output};

/// Remove snapshots and print their names
///
/// Their space comes back in the background. One that is held stays.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The snapshots
    #[arg(required = true, value_name = "NAME@SNAP", value_parser = SnapshotRef::parser())]
    snapshots: Vec<SnapshotRef>,
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    for snapshot in &arguments.snapshots {
        let (located, _) = root.open(&snapshot.volume)?;
        remove(&located, &snapshot.name)?;
        output::line(&snapshot.typed())?;
    }
    Ok(())
}

/// Removes one snapshot.
pub(super) fn remove(located: &Located, name: &SnapshotName) -> Result<()> {
    let op = Op::RemoveSnapshot { name: name.clone() };
    let removed = perform(&located.dir, &op).map(|_| ());
    removed.map_err(|error| explain(error, located, name))
}
