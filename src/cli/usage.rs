//! What a volume holds, asked of its server or counted here.

use crate::control::{Answer, Op};
use crate::server;
use crate::types::Usage;
use crate::volume::store;

use super::locate::Located;
use super::{CliError, Kind, Result};

/// Asks, whether the volume is mounted or not.
pub(super) fn of(located: &Located) -> Result<Usage> {
    match server::perform(&located.dir, &Op::Usage).map_err(|e| located.explain(e))? {
        Answer::Usage(usage) => Ok(Usage {
            // A volume that was opened to be asked took more at that time than it does.
            physical_bytes: store::host_bytes(&located.dir),
            ..usage
        }),
        _ => Err(CliError::new(
            Kind::Failed,
            format!("the server of {located} answered something else than was asked"),
        )),
    }
}
