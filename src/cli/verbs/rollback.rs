//! `cask rollback`.

use crate::commands::rollback::roll_back;

use crate::cli::locate::Root;
use crate::cli::state_ref::{SnapshotRef, typed};
use crate::cli::{Result, output};

/// Make a volume what it was at a snapshot
///
/// First takes a snapshot of what the volume is now, and prints its name: rolling back to that one undoes
/// it. Newer snapshots stay. The volume must not be mounted anywhere.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The snapshot to go back to
    #[arg(value_name = "NAME@SNAP", value_parser = SnapshotRef::parser())]
    snapshot: SnapshotRef,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, _) = root.open(&arguments.snapshot.volume)?;
    let safety = roll_back(&located, &arguments.snapshot.name)?;
    output::line(&typed(&arguments.snapshot.volume, &safety))
}
