//! File contents, as operations and background work share them: chunks are cut, hashed, appended and mapped; extents
//! are read back.

pub(super) mod extents;
pub(super) mod incoming;
mod named;
pub(super) mod read;
pub(super) mod write;

pub use incoming::{SetIdBits, WriteBack, WriteOrigin};
pub use named::NamedChunks;
pub(super) use write::sharing_of;
