//! Permission and set-id bits (inode(7)).

/// The twelve bits that chmod(2) changes.
pub const MODE_BITS: u32 = 0o7777;
/// The nine permission bits.
pub const ALL_BITS: u32 = 0o777;
/// Set-user-ID.
pub const SETUID: u32 = 0o4000;
/// Set-group-ID.
pub const SETGID: u32 = 0o2000;
/// Execute for the group: without it, set-group-ID once meant mandatory locking.
pub const EXEC_GROUP: u32 = 0o010;
