//! Unmounting: done when the data is safe and, after the last mount, the volume is closed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::mounts::{self, How, Mount, UnmountError, holders_of, namespaces_holding};
use super::patience::connect;
use super::{Error, Result, mounts_of};
use crate::control::{Client, Device, Op, Phase, Status};

/// Takes `mounts`, all of one superblock, away. Theirs is the volume in `dir`, where that is known; with
/// no mounts here, only waits for the volume to be closed.
///
/// # Errors
/// [`Error::Busy`], with the rest of the mounts still there; [`Error::HeldElsewhere`], with all of them gone.
pub fn unmount(mounts: &[Mount], dir: Option<&Path>, how: How) -> Result<()> {
    // Connected beforehand: the end of this connection is the end of the server.
    let client = dir.map_or(Ok(None), connect)?;
    for mount in mounts.iter().rev() {
        take(mount, how)?;
    }
    let Some(mut client) = client else {
        return Ok(());
    };
    let device = match mounts.first() {
        Some(mount) => Some(mount.device),
        None => status(&mut client)?.and_then(|status| status.device),
    };
    settle(client, device, how)
}

fn take(mount: &Mount, how: How) -> Result<()> {
    if mounts::answers(&mount.mountpoint) {
        mounts::flush(mount);
    }
    mounts::unmount(mount, how).map_err(|error| match error {
        UnmountError::Busy => Error::Busy {
            mountpoint: mount.mountpoint.clone(),
            holders: holders_of(mount),
        },
        UnmountError::Io(e) => {
            Error::io(format!("cannot unmount {}", mount.mountpoint.display()), e)
        }
    })
}

fn settle(mut client: Client, device: Option<Device>, how: How) -> Result<()> {
    let since = Instant::now();
    loop {
        if is_mounted_here(device)? {
            return sync(&mut client);
        }
        if has_ended(&mut client, patience(how))? {
            return Ok(());
        }
        if since.elapsed() >= patience(how) && is_serving(&mut client)? {
            break;
        }
    }
    sync(&mut client)?;
    match how {
        // Somebody may just have mounted it again.
        _ if is_mounted_here(device)? => Ok(()),
        How::Lazily => Ok(()),
        How::IfUnused => Err(Error::HeldElsewhere {
            holders: device.map(namespaces_holding).unwrap_or_default(),
        }),
    }
}

fn is_mounted_here(device: Option<Device>) -> Result<bool> {
    device.map_or(Ok(false), |device| Ok(!mounts_of(device)?.is_empty()))
}

/// How long the server of a volume may live on after its last mount here, before we ask who has it.
fn patience(how: How) -> Duration {
    match how {
        How::IfUnused => Duration::from_secs(3),
        How::Lazily => Duration::from_millis(300),
    }
}

fn has_ended(client: &mut Client, patience: Duration) -> Result<bool> {
    let waited = client.wait_for_end(patience);
    waited.map_err(|e| Error::io("cannot wait for the volume's server", e))
}

/// Whether the server still has a mount; if not, it is closing the volume, which may take its time.
fn is_serving(client: &mut Client) -> Result<bool> {
    Ok(status(client)?.is_some_and(|status| status.phase == Phase::Serving))
}

/// The server's status, while it has one.
fn status(client: &mut Client) -> Result<Option<Status>> {
    match client.status().map_err(Error::from) {
        Ok(status) => Ok(Some(status)),
        Err(e) if e.is_passing() => Ok(None),
        Err(e) => Err(e),
    }
}

fn sync(client: &mut Client) -> Result<()> {
    match client.perform(Op::Sync).map_err(Error::from) {
        Err(e) if e.is_passing() => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}
