//! Mounts whose server died: every access answers "not connected", or EIO when it died too often, until they are
//! detached.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags};
use rustix::io::Errno;

use super::{How, Mount, UnmountError, read_table, taking};
use crate::control::Device;
use crate::server::own_mount::check_no_server;

/// How the mounts answer that a server left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Nobody is behind them.
    Disconnected,
    /// Their supervisor answers EIO.
    Refused,
}

/// The mounts of these superblocks in this namespace whose server is gone, if their silence is of this kind.
///
/// # Errors
/// When the mount table cannot be read.
pub fn dead_mounts(devices: &[Device], silence: Silence) -> io::Result<Vec<Mount>> {
    let mut mounts = read_table()?;
    let is_dead = |mount: &Mount| match ask(&mount.mountpoint) {
        Err(Errno::NOTCONN | Errno::CONNABORTED) => true,
        Err(Errno::IO) => silence == Silence::Refused,
        _ => false,
    };
    mounts.retain(|mount| devices.contains(&mount.device) && mount.is_cask() && is_dead(mount));
    Ok(mounts)
}

/// Whether there is somebody behind the mount at `mountpoint`.
#[must_use]
pub fn answers(mountpoint: &Path) -> bool {
    check_no_server();
    !matches!(ask(mountpoint), Err(Errno::NOTCONN | Errno::CONNABORTED))
}

fn ask(mountpoint: &Path) -> rustix::io::Result<Statx> {
    // Without FORCE_SYNC the kernel answers by itself what it knows of the root.
    let flags = AtFlags::STATX_FORCE_SYNC | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statx(CWD, mountpoint, flags, StatxFlags::BASIC_STATS)
}

/// Detaches the dead mounts of these superblocks. Their connection is aborted first: whoever still
/// waits for an answer gets an error instead.
///
/// # Errors
/// When a mount cannot be detached.
pub fn detach_dead(devices: &[Device], silence: Silence) -> Result<Vec<Mount>, UnmountError> {
    let mut mounts = dead_mounts(devices, silence).map_err(UnmountError::Io)?;
    // The last first: one that another covers cannot be detached.
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
