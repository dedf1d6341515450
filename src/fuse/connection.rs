//! A FUSE connection: the handshake, and the threads that serve it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fuser::{Config, Session, SessionACL};

use super::adapter::Adapter;
use crate::volume::Volume;

/// Threads that serve requests: an fsync holds one for as long as the disk takes.
const THREADS: usize = 8;

/// A FUSE connection whose handshake is done: requests queue until [`Connection::run`].
#[derive(Debug)]
pub struct Connection {
    session: Session<Adapter>,
    volume: Arc<Volume>,
}

impl Connection {
    /// Shakes hands with the kernel over `device`, a `/dev/fuse` descriptor that is already mounted.
    ///
    /// # Errors
    /// `EPERM` when nothing is mounted over the descriptor; others when the handshake fails.
    pub fn start(device: OwnedFd, volume: Arc<Volume>) -> io::Result<Self> {
        volume.begin_connection().map_err(io::Error::other)?;
        let mut config = Config::default();
        // The kernel checks who may do what (default_permissions); even its own requests come by here,
        // with ids that are nobody's.
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        // Requests in flight on cloned descriptors are lost to a server that takes over.
        config.clone_fd = false;
        let adapter = Adapter::new(Arc::clone(&volume));
        let session = Session::from_fd(adapter, device, SessionACL::All, config)?;
        Ok(Self { session, volume })
    }

    /// Serves requests until the last mount is gone (ENODEV), and returns then.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(self) -> io::Result<()> {
        let result = self.session.run();
        self.volume.end_connection();
        result
    }
}
