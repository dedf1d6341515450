//! What the kernel still holds of a mounted volume, brought to its server.

use crate::commands::Result;
use crate::commands::locate::Located;
use crate::control::Op;
use crate::server::{self, ServerState, mounts};

/// Has the kernel write back what it holds of a volume that is mounted here, and the server take it. Nobody
/// was promised that: what comes slowly is not waited for.
pub(crate) fn flush(located: &Located) -> Result<()> {
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
