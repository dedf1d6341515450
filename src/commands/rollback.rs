//! Making a volume what it was.

use crate::commands::Result;
use crate::commands::locate::Located;
use crate::commands::mounted::refuse_used;
use crate::commands::snapshot::name_by_time;
use crate::commands::state_ref::explain;
use crate::server::with_closed;
use crate::types::SnapshotName;

/// Rolls the volume back to its snapshot `name`. Returns the name of the snapshot that has what the volume was before.
pub(crate) fn roll_back(located: &Located, name: &SnapshotName) -> Result<SnapshotName> {
    refuse_used(located)?;
    let safety = name_by_time("before-rollback-");
    // Looked at above for the message only: the volume's lock keeps everybody out while it is changed.
    let done = with_closed(&located.dir, |volume| volume.rollback(name, &safety));
    done.map_err(|error| explain(error, located, name))?;
    Ok(safety)
}
