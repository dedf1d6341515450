//! A state of a volume to read out of: through its server where one has the volume open, else through the volume
//! itself.

mod opened;
mod rows;
mod served;
mod tree;
mod walk;

pub(super) use rows::with_rows;
pub(super) use tree::{BLOCK_BYTES, Entry, Failure, Source, Xattr, find, read_block, runs};
pub(super) use walk::{Place, Visitor, walk};

use crate::control::FaultKind;
use crate::server::{self, read_served, with_closed};
use crate::volume::Reading;

use crate::cli::locate::{Located, Root};
use crate::cli::state_ref::{StateRef, explain};
use crate::cli::verbs::sync;
use crate::cli::{CliError, Kind, Result};

/// Does `work` with a state of a volume.
pub(super) fn with_source<T>(
    state: &StateRef,
    root: &Root,
    work: impl Fn(&Located, &dyn Source) -> Result<T>,
) -> Result<T> {
    let (located, _) = root.open(&state.volume)?;
    if state.snapshot.is_none() {
        sync::flush(&located)?;
    }
    let served = read_served(&located.dir, state.snapshot.as_ref());
    match served.map_err(|e| unreachable(e, &located, state))? {
        Some(served) => work(&located, &served),
        None => {
            let worked = with_closed(&located.dir, |volume| {
                let reading = match &state.snapshot {
                    None => Reading::Head(volume),
                    Some(name) => Reading::Frozen(volume.frozen(volume.snapshot(name)?.epoch)),
                };
                Ok(work(&located, &opened::Opened(reading)))
            });
            worked.map_err(|e| unreachable(e, &located, state))?
        }
    }
}

fn unreachable(error: server::Error, located: &Located, state: &StateRef) -> CliError {
    match (error, &state.snapshot) {
        (server::Error::Fault(fault), _) if fault.kind == FaultKind::Refused => {
            let message = format!("the server of {located} does not know how to read it out");
            CliError::new(Kind::Failed, message)
                .because(fault)
                .hint("it is of an older cask: run cask upgrade")
        }
        (error, Some(name)) => explain(error, located, name),
        (error, None) => located.explain(error),
    }
}
