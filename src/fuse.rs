//! The FUSE edge: translates the kernel's requests into volume operations. The only user of `fuser`.
//!
//! Owns what is agreed with the kernel (docs/semantics.md says what follows from it) and the mapping of
//! errors to errno. Knows no rule of the filesystem: a callback parses, calls, and replies.

mod adapter;
mod capabilities;
mod connection;
mod convert;
mod errno;
mod handshake;
mod in_flight;
mod listing;
mod node;
mod notify;
mod read_buffer;
mod refusal;
mod replies;
mod seeking;
mod snapshots_adapter;
mod watched;

pub use connection::Connection;
pub use handshake::{Hello, Meeting};
pub use node::Snapshots;
pub use refusal::refuse_all;
pub use seeking::Flush;
pub use watched::{Resent, Watch};
