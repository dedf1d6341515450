//! Names of snapshots that nobody names.

use crate::types::SnapshotName;

/// How often a name made from the time may be taken already.
pub(super) const ATTEMPTS: usize = 5;

/// The present as a name that sorts by time, behind `prefix`.
pub(in crate::cli) fn name_by_time(prefix: &str) -> SnapshotName {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.3fZ");
    let name = format!("{prefix}{now}").parse();
    name.unwrap_or_else(|_| unreachable!("digits and dashes are a name"))
}
