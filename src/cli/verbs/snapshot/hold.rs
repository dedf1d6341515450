//! `cask snapshot hold` and `cask snapshot release`.

use crate::control::Op;
use crate::server::perform;

use crate::cli::Result;
use crate::cli::locate::Root;
use crate::cli::state_ref::{SnapshotRef, explain};

/// Keep snapshots from being removed or pruned
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct HoldArguments {
    /// The snapshots
    #[arg(required = true, value_name = "NAME@SNAP", value_parser = SnapshotRef::parser())]
    snapshots: Vec<SnapshotRef>,
}

/// Let snapshots that were held be removed again
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReleaseArguments {
    /// The snapshots
    #[arg(required = true, value_name = "NAME@SNAP", value_parser = SnapshotRef::parser())]
    snapshots: Vec<SnapshotRef>,
}

pub(super) fn hold(arguments: &HoldArguments, root: &Root) -> Result<()> {
    each(&arguments.snapshots, root, |name| Op::HoldSnapshot { name })
}

pub(super) fn release(arguments: &ReleaseArguments, root: &Root) -> Result<()> {
    each(&arguments.snapshots, root, |name| Op::ReleaseSnapshot {
        name,
    })
}

fn each(
    snapshots: &[SnapshotRef],
    root: &Root,
    op: impl Fn(crate::types::SnapshotName) -> Op,
) -> Result<()> {
    for snapshot in snapshots {
        let (located, _) = root.open(&snapshot.volume)?;
        let done = perform(&located.dir, &op(snapshot.name.clone()));
        done.map_err(|error| explain(error, &located, &snapshot.name))?;
    }
    Ok(())
}
