//! A FUSE connection: the handshake, and the threads that serve it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fuser::{Config, Session, SessionACL};

use super::adapter::Adapter;
use super::snapshots_adapter::SnapshotsAdapter;
use crate::volume::Volume;

/// Threads that serve requests: an fsync holds one for as long as the disk takes.
const THREADS: usize = 8;
/// Threads for snapshots, of which nothing waits for a disk for long.
const SNAPSHOT_THREADS: usize = 4;

/// A FUSE connection whose handshake is done: requests queue until [`Connection::run`].
#[derive(Debug)]
pub struct Connection(Kind);

#[derive(Debug)]
enum Kind {
    Head(Session<Adapter>, Arc<Volume>),
    Snapshots(Session<SnapshotsAdapter>),
}

impl Connection {
    /// Shakes hands with the kernel over `device`, a `/dev/fuse` descriptor that is already mounted, to show
    /// the volume as it is.
    ///
    /// # Errors
    /// `EPERM` when nothing is mounted over the descriptor; others when the handshake fails.
    pub fn to_head(device: OwnedFd, volume: Arc<Volume>) -> io::Result<Self> {
        volume.begin_connection().map_err(io::Error::other)?;
        let adapter = Adapter::new(Arc::clone(&volume));
        let session = Session::from_fd(adapter, device, SessionACL::All, config(THREADS))?;
        Ok(Self(Kind::Head(session, volume)))
    }

    /// The same, to show the volume's snapshots.
    ///
    /// # Errors
    /// As [`Connection::to_head`].
    pub fn to_snapshots(device: OwnedFd, volume: Arc<Volume>) -> io::Result<Self> {
        let adapter = SnapshotsAdapter::new(volume);
        let config = config(SNAPSHOT_THREADS);
        let session = Session::from_fd(adapter, device, SessionACL::All, config)?;
        Ok(Self(Kind::Snapshots(session)))
    }

    /// Serves requests until the last mount is gone (ENODEV), and returns then.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(self) -> io::Result<()> {
        match self.0 {
            Kind::Snapshots(session) => session.run(),
            Kind::Head(session, volume) => {
                let result = session.run();
                volume.end_connection();
                result
            }
        }
    }
}

fn config(threads: usize) -> Config {
    let mut config = Config::default();
    // The kernel checks who may do what (default_permissions); even its own requests come by here,
    // with ids that are nobody's.
    config.acl = SessionACL::All;
    config.n_threads = Some(threads);
    // Requests in flight on cloned descriptors are lost to a server that takes over.
    config.clone_fd = false;
    config
}
