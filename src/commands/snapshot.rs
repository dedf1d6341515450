//! Taking and listing the snapshots of a volume, and names of those that nobody names.

use crate::commands::flush::flush;
use crate::commands::locate::Located;
use crate::commands::state_ref::explain;
use crate::commands::{CommandError, Kind, Result};
use crate::control::{Answer, FaultKind, Op, SnapshotInfo};
use crate::server::{self, perform};
use crate::types::SnapshotName;

/// How often a name made from the time may be taken already.
pub(crate) const ATTEMPTS: usize = 5;

/// The present as a name that sorts by time, behind `prefix`.
pub(crate) fn name_by_time(prefix: &str) -> SnapshotName {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.3fZ");
    let name = format!("{prefix}{now}").parse();
    name.unwrap_or_else(|_| unreachable!("digits and dashes are a name"))
}

/// Takes a snapshot of what the volume is now, named by the time if it has no name, and returns its name.
pub(crate) fn take(
    located: &Located,
    name: Option<&SnapshotName>,
    label: &str,
) -> Result<SnapshotName> {
    // Before the name is made: it shall be the time of the snapshot, and not of the wait before it.
    flush(located)?;
    let taken = match name {
        Some(name) => take_named(located, name, label).map_err(|e| (e, name.clone())),
        None => take_unnamed(located, label),
    };
    taken.map_err(|(error, name)| explain(error, located, &name))
}

fn take_named(located: &Located, name: &SnapshotName, label: &str) -> server::Result<SnapshotName> {
    let op = Op::TakeSnapshot {
        name: name.clone(),
        label: label.to_owned(),
    };
    perform(&located.dir, &op).map(|_| name.clone())
}

/// Takes one that is named by the time. Others may take snapshots in the same millisecond.
pub(crate) fn take_unnamed(
    located: &Located,
    label: &str,
) -> std::result::Result<SnapshotName, (server::Error, SnapshotName)> {
    let mut attempt = 1;
    loop {
        let name = name_by_time("");
        match take_named(located, &name, label) {
            Err(server::Error::Fault(fault))
                if fault.kind == FaultKind::SnapshotExists && attempt < ATTEMPTS =>
            {
                attempt += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            outcome => return outcome.map_err(|error| (error, name)),
        }
    }
}

/// The snapshots of a volume, the oldest first.
pub(crate) fn list(located: &Located, op: &Op) -> Result<Vec<SnapshotInfo>> {
    match perform(&located.dir, op).map_err(|e| located.explain(e))? {
        Answer::Snapshots { list } => Ok(list),
        _ => Err(CommandError::new(
            Kind::Failed,
            format!("the server of {located} answered something else than was asked"),
        )),
    }
}
