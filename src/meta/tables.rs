//! Rows of the head and how they change, one file a table. Column lists come from `schema::columns`.

pub(super) mod chunk;
pub(super) mod copying;
pub(super) mod dedup;
pub(super) mod dentry;
pub(super) mod extent;
pub(super) mod far;
mod fragmented;
pub(super) mod inode;
mod orphan;
pub(super) mod pending;
pub(super) mod refused;
pub(super) mod setting;
pub(super) mod snapshot;
mod xattr;
