//! Connections and transactions: one writer, a pool of readers, and the rule that stops all writing after an I/O error.

pub(super) mod connections;
mod duplicate;
mod held;
pub(super) mod reading;
pub(super) mod seen_inodes;
pub(super) mod session;
pub(super) mod stop;
pub(super) mod transaction;
pub(super) mod writer;
