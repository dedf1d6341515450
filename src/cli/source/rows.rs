//! The rows of a snapshot, whoever has the volume open.

use crate::cli::Result;
use crate::cli::locate::Located;
use crate::cli::source::unreachable;
use crate::cli::state_ref::StateRef;
use crate::server::{Served, read_served, with_closed};
use crate::transfer::{State, StateError};
use crate::types::{RowCursor, RowPage, SnapshotName};
use crate::volume::Frozen;

impl State for Served {
    fn rows(&self, after: &RowCursor) -> std::result::Result<RowPage, StateError> {
        Ok(Self::rows(self, after)?)
    }
}

struct Opened<'v>(Frozen<'v>);

impl State for Opened<'_> {
    fn rows(&self, after: &RowCursor) -> std::result::Result<RowPage, StateError> {
        Ok(self.0.rows(after)?)
    }
}

/// Does `work` with a snapshot of a volume.
pub(in crate::cli) fn with_rows<T>(
    located: &Located,
    (state, name): (&StateRef, &SnapshotName),
    work: impl Fn(&dyn State) -> Result<T>,
) -> Result<T> {
    let served = read_served(&located.dir, Some(name));
    match served.map_err(|e| unreachable(e, located, state))? {
        Some(served) => work(&served),
        None => {
            let worked = with_closed(&located.dir, |volume| {
                let found = volume.snapshot(name)?;
                Ok(work(&Opened(volume.frozen(found.epoch))))
            });
            worked.map_err(|e| unreachable(e, located, state))?
        }
    }
}
