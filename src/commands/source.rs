//! A state of a volume to read out of, through a server that has it open.

mod served;
mod tree;
mod walk;

pub(crate) use tree::{
    BLOCK_BYTES, Entry, Failure, Source, Xattr, find, kind_of, read_block, runs,
};
pub(crate) use walk::{Place, Visitor, walk};

use crate::commands::flush::flush;
use crate::commands::locate::{Located, Root};
use crate::commands::state_ref::{StateRef, explain};
use crate::commands::{CommandError, Kind, Result};
use crate::control::FaultKind;
use crate::server::{self, with_served};

/// Does `work` with a state of a volume.
pub(crate) fn with_source<T>(
    state: &StateRef,
    root: &Root,
    work: impl Fn(&Located, &dyn Source) -> Result<T>,
) -> Result<T> {
    let (located, _) = root.open(&state.volume)?;
    if state.snapshot.is_none() {
        flush(&located)?;
    }
    let worked = with_served(&located.dir, state.snapshot.as_ref(), |served| {
        work(&located, served)
    });
    worked.map_err(|e| unreachable(e, &located, state))?
}

pub(crate) fn unreachable(
    error: server::Error,
    located: &Located,
    state: &StateRef,
) -> CommandError {
    match (error, &state.snapshot) {
        (server::Error::Fault(fault), _) if fault.kind == FaultKind::Refused => {
            let message = format!("the server of {located} does not know how to read it out");
            CommandError::new(Kind::Failed, message)
                .because(fault)
                .hint("it is of an older cask: run cask upgrade")
        }
        (error, Some(name)) => explain(error, located, name),
        (error, None) => located.explain(error),
    }
}
