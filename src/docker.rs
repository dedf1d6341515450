//! The volume plugin of Docker and Podman: their calls over HTTP on a Unix socket, answered with volumes. And, where
//! that is wanted, metrics for Prometheus, over HTTP on the loopback.
//!
//! Owns the protocol, the count of who has what mounted, and the mounts that it makes for engines. Has no rule of its
//! own about volumes: it creates, mounts and removes them as a command does. The servers of volumes are processes
//! beside it, which neither its end nor its restart touches.

pub mod engine;
mod error;
mod http;
mod idle_unmounts;
mod listener;
mod metrics_endpoint;
mod mounted;
mod name_locks;
mod options;
mod plugin;
mod protocol;
mod pulling;
mod references;
mod target;

pub use error::Error;
pub use idle_unmounts::Delays;
pub use listener::{Listener, serve};
pub use metrics_endpoint::serve_metrics;
pub use plugin::Plugin;
pub use references::Engine;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;
