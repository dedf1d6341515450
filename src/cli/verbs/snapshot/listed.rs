//! The snapshots that a volume has.

use crate::cli::locate::Located;
use crate::cli::{CliError, Kind, Result};
use crate::control::{Answer, Op, SnapshotInfo};
use crate::server::perform;

/// The snapshots of a volume, the oldest first.
pub(in crate::cli) fn list(located: &Located, op: &Op) -> Result<Vec<SnapshotInfo>> {
    match perform(&located.dir, op).map_err(|e| located.explain(e))? {
        Answer::Snapshots { list } => Ok(list),
        _ => Err(CliError::new(
            Kind::Failed,
            format!("the server of {located} answered something else than was asked"),
        )),
    }
}
