//! The FUSE edge: translates the kernel's requests into volume operations. The only user of `fuser`.
//!
//! Owns what is agreed with the kernel (docs/semantics.md says what follows from it) and the mapping of
//! errors to errno. Knows no rule of the filesystem: a callback parses a request, has it answered, and sends the answer.

mod answer;
mod awaited;
mod capabilities;
mod connection;
mod convert;
mod counts;
mod crew;
mod edge;
mod errno;
mod gather;
mod handshake;
mod head;
mod in_flight;
mod kind;
mod later;
mod node;
mod notify;
mod parse;
mod read_buffer;
mod refusal;
mod replies;
mod request;
#[cfg(test)]
mod scratch;
mod seeking;
mod serve;
mod snapshot_view;
mod state;
mod waits;
mod wakeful;
mod watched;

pub use connection::Connection;
pub use counts::Counts;
pub use handshake::{InitRequest, SessionStart};
pub use node::Snapshots;
pub use refusal::refuse_all;
pub use seeking::Flush;
pub use watched::{Resent, Watch};
