//! The exclusive lock on a volume's directory.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Error, Result};

const FILE: &str = "lock";

/// Held while the volume is open; the kernel gives it up when the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DirLock {
    /// Takes the lock of the volume in `dir`.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it; I/O errors.
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
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(Error::InUse {
                dir: dir.to_owned(),
            }),
            Err(e) => Err(Error::storage(
                format!("cannot lock {}", path.display()),
                e.into(),
            )),
        }
    }
}
