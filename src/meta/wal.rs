//! The write-ahead log: how long it is, how it moves into the database, and what a power cut leaves of it.

mod beside;
mod checkpoint;
pub(super) mod companion;
pub(super) mod file;
pub(super) mod gate;
pub(super) mod growth;
pub(super) mod progress;
pub(super) mod recovery;
