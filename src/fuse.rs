//! The FUSE edge: translates the kernel's requests into volume operations. The only user of `fuser`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::volume::Volume;

/// A FUSE connection whose handshake is done: the mount is usable, requests queue until [`Connection::run`].
pub struct Connection {}

impl Connection {
    /// Shakes hands with the kernel over `device`, a `/dev/fuse` descriptor that is already mounted.
    ///
    /// # Errors
    /// `EPERM` when nothing is mounted over the descriptor; others when the handshake fails.
    pub fn start(_device: OwnedFd, _volume: Arc<Volume>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Serves requests until the last mount is gone (ENODEV), on threads of its own, and returns then.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
