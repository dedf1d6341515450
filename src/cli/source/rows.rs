//! The rows of a snapshot, whoever has the volume open.

use crate::cli::Result;
use crate::cli::locate::Located;
use crate::cli::state_ref::StateRef;
use crate::commands::source::unreachable;
use crate::server::{Served, with_served};
use crate::transfer::{State, StateError};
use crate::types::{RowChange, RowCursor, RowPage, SnapshotName};

impl State for Served {
    fn rows(&self, after: &RowCursor) -> std::result::Result<RowPage, StateError> {
        Ok(Self::rows(self, after)?)
    }

    fn changes(
        &self,
        since: i64,
        after: &RowCursor,
    ) -> std::result::Result<Option<Vec<RowChange>>, StateError> {
        Ok(Self::changes(self, since, after)?)
    }
}

/// Does `work` with a snapshot of a volume.
pub(in crate::cli) fn with_rows<T>(
    located: &Located,
    (state, name): (&StateRef, &SnapshotName),
    work: impl Fn(&dyn State) -> Result<T>,
) -> Result<T> {
    let worked = with_served(&located.dir, Some(name), |served| work(served));
    worked.map_err(|e| unreachable(e, located, state))?
}
