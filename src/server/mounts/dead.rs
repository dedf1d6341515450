//! Mounts whose server died: every access answers "not connected", or EIO when it died too often, until they are
//! detached.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;

use super::{How, Mount, UnmountError, read_table, taking};
use crate::control::Device;

/// The mounts of these superblocks in this namespace whose server is gone.
///
/// # Errors
/// When the mount table cannot be read.
pub fn dead_mounts(devices: &[Device]) -> io::Result<Vec<Mount>> {
    let mut mounts = read_table()?;
    mounts.retain(|mount| {
        devices.contains(&mount.device) && mount.is_cask() && !answers(&mount.mountpoint)
    });
    Ok(mounts)
}

/// Whether the mount at `mountpoint` still has a server.
#[must_use]
pub fn answers(mountpoint: &Path) -> bool {
    // Without FORCE_SYNC the kernel answers by itself what it knows of the root.
    let flags = AtFlags::STATX_FORCE_SYNC | AtFlags::SYMLINK_NOFOLLOW;
    let asked = rustix::fs::statx(CWD, mountpoint, flags, StatxFlags::BASIC_STATS);
    !matches!(asked, Err(Errno::NOTCONN | Errno::CONNABORTED | Errno::IO))
}

/// Detaches the dead mounts of these superblocks. Their connection is aborted first: whoever still
/// waits for an answer gets an error instead.
///
/// # Errors
/// When a mount cannot be detached.
pub fn detach_dead(devices: &[Device]) -> Result<Vec<Mount>, UnmountError> {
    let mut mounts = dead_mounts(devices).map_err(UnmountError::Io)?;
    mounts.reverse();
    for mount in &mounts {
        abort(mount.device);
        taking::unmount(mount, How::Lazily)?;
    }
    Ok(mounts)
}

/// Ends a connection. Without the control filesystem that is left to the kernel, which does it when
/// the last descriptor of `/dev/fuse` is closed.
fn abort(device: Device) {
    let path = format!("/sys/fs/fuse/connections/{}/abort", device.minor);
    let aborted = File::options()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(b"1"));
    if let Err(e) = aborted {
        log::debug!("cannot abort the connection through {path}: {e}");
    }
}
