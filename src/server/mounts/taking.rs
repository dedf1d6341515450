//! Taking mounts away.

use std::fs::File;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::removal::{How, UnmountError};
use super::{Mount, fusermount, is_privileged, topmost_at};
use crate::server::own_mount::check_no_server;

/// Has the kernel start to write back what the mount's files still hold in memory.
pub fn flush(mount: &Mount) {
    check_no_server();
    let flushed = File::open(&mount.mountpoint).and_then(|root| Ok(rustix::fs::syncfs(&root)?));
    if let Err(e) = flushed {
        // The last unmount writes everything back anyway, whoever may open the directory.
        log::debug!("cannot flush {}: {e}", mount.mountpoint.display());
    }
}

/// Takes one mount away.
///
/// # Errors
/// See [`UnmountError`].
pub fn unmount(mount: &Mount, how: How) -> Result<(), UnmountError> {
    // By its path, only the topmost mount can be taken: it must not be one that covers ours.
    let topmost = topmost_at(&mount.mountpoint).map_err(UnmountError::Io)?;
    if topmost.is_some_and(|topmost| topmost.id != mount.id) {
        return Err(UnmountError::Busy);
    }
    if !is_privileged() {
        return fusermount::unmount(&mount.mountpoint, how);
    }
    let flags = match how {
        How::IfUnused => UnmountFlags::NOFOLLOW,
        How::Lazily => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(&mount.mountpoint, flags) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(UnmountError::Busy),
        Err(e) => Err(UnmountError::Io(e.into())),
    }
}
