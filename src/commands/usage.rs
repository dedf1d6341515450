//! What a volume holds, asked of its server or counted here.

use crate::control::{Answer, Op};
use crate::server;
use crate::types::Usage;

use crate::commands::locate::Located;
use crate::commands::{CommandError, Kind, Result};

/// Asks, whether the volume is mounted or not. What it takes on the disk is looked up afterwards: a volume that is
/// opened to be asked takes more at that time.
pub(crate) fn of(located: &Located) -> Result<Usage> {
    match server::perform(&located.dir, &Op::Usage).map_err(|e| located.explain(e))? {
        Answer::Usage(usage) => Ok(usage),
        _ => Err(CommandError::new(
            Kind::Failed,
            format!("the server of {located} answered something else than was asked"),
        )),
    }
}
