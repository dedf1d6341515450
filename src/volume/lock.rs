//! The exclusive lock on a volume's directory.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::volume::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

const FILE: &str = "lock";

/// Held while the volume is open; the kernel gives it up when every process that holds it has ended, however that was.
#[derive(Debug)]
pub struct DirLock(OwnedFd);

impl From<OwnedFd> for DirLock {
    /// The lock that came with `held` from a process that took it.
    fn from(held: OwnedFd) -> Self {
        Self(held)
    }
}

impl AsFd for DirLock {
    /// Whoever has a copy holds the lock, too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl DirLock {
    /// Takes the lock of the volume in `dir`.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it; [`Error::Storage`].
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file =
            file.map_err(|e| Error::storage(format!("cannot open {}", path.display()), e))?;
        // flock(2), not fcntl(2): it belongs to the open file, so it goes along with the descriptor to another process,
        // and stays when this one closes a second descriptor of the file.
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file.into())),
            Err(Errno::WOULDBLOCK) => Err(Error::InUse {
                dir: dir.to_owned(),
            }),
            Err(e) => Err(Error::storage(
                format!("cannot lock {}", path.display()),
                e.into(),
            )),
        }
    }

    /// Whether nobody else has it: flock(2) of the same open file once more changes nothing.
    pub(in crate::volume) fn is_held(&self) -> bool {
        flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}
