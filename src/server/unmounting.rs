//! Unmounting: done when the data is safe and, after the last mount, the volume is closed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::mounts::{self, How, Mount, UnmountError, holders_of, namespaces_holding};
use super::patience::connect;
use super::{Error, Result, mounts_of};
use crate::control::{Client, Device, Op, Phase};

/// Takes `mounts`, all of one superblock, away. Theirs is the volume in `dir`, where that is known.
///
/// # Errors
/// [`Error::Busy`], with the rest of the mounts still there; [`Error::HeldElsewhere`], with all of them gone.
pub fn unmount(mounts: &[Mount], dir: Option<&Path>, how: How) -> Result<()> {
    // Connected beforehand: the end of this connection is the end of the server.
    let client = dir.map_or(Ok(None), connect)?;
    for mount in mounts.iter().rev() {
        take(mount, how)?;
    }
    match (client, mounts.first()) {
        (Some(client), Some(mount)) => settle(client, mount.device, how),
        _ => Ok(()),
    }
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

fn settle(mut client: Client, device: Device, how: How) -> Result<()> {
    if !mounts_of(device)?.is_empty() {
        return sync(&mut client);
    }
    let since = Instant::now();
    while !has_ended(&mut client, patience(how))? {
        if since.elapsed() < patience(how) || !is_serving(&mut client)? {
            continue;
        }
        sync(&mut client)?;
        return match how {
            How::Lazily => Ok(()),
            How::IfUnused => Err(Error::HeldElsewhere {
                holders: namespaces_holding(device),
            }),
        };
    }
    Ok(())
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
    match client.status().map_err(Error::from) {
        Ok(status) => Ok(status.phase == Phase::Serving),
        Err(e) if e.is_passing() => Ok(false),
        Err(e) => Err(e),
    }
}

fn sync(client: &mut Client) -> Result<()> {
    match client.perform(Op::Sync).map_err(Error::from) {
        Err(e) if e.is_passing() => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}
