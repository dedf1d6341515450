//! States of the past: looking at them, comparing them, going back to one.

pub(super) mod changes;
mod restore;
mod rows;
mod run;
pub(super) mod since;
pub(super) mod snapshot_bytes;
pub(super) mod view;
