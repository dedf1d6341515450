//! Unmounting: done when the data is safe and, after the last mount, the volume is closed.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::mounts::{self, How, Mount, UnmountError, holders_of, namespaces_holding};
use super::retry::{connect, with_retry};
use super::{Error, Record, Result, mounts_of};
use crate::control::{self, Client, Device, Op, Phase};

/// Between looks at what the server does.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it may take until another server takes over from one that died.
const SUCCESSION: Duration = Duration::from_secs(3);

/// A volume's server, watched while its mounts are taken away.
struct Watch {
    dir: PathBuf,
    server: Client,
    /// Another connection: this one is silent until the volume is closed.
    close_notice: Client,
    /// The superblocks whose mounts are taken away.
    devices: Vec<Device>,
    is_closed: bool,
}

/// Takes `mounts`, all of one volume, away. Theirs is the volume in `dir`, where that is known; with
/// no mounts here, only waits for the volume to be closed.
///
/// # Errors
/// [`Error::Busy`], with the rest of the mounts still there; [`Error::HeldElsewhere`], [`Error::Read`] or
/// [`Error::NotClosed`], with all of them gone.
pub fn unmount(mounts: &[Mount], dir: Option<&Path>, how: How) -> Result<()> {
    let watch = match dir.map(|dir| with_retry(dir, || Watch::begin(dir, mounts))) {
        // With no mount here the server may just have ended.
        Some(Err(error)) if mounts.is_empty() && error.is_passing() => None,
        Some(watch) => watch?,
        None => None,
    };
    // The last first: it may hang below one before it.
    for mount in mounts.iter().rev() {
        take(mount, how)?;
    }
    watch.map_or(Ok(()), |watch| watch.finish(how))
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

impl Watch {
    /// Begins before anything is taken away, while the mounts keep the server alive.
    fn begin(dir: &Path, mounts: &[Mount]) -> Result<Option<Self>> {
        let (Some(mut server), Some(mut close_notice)) = (connect(dir)?, connect(dir)?) else {
            return Ok(None);
        };
        close_notice.await_close()?;
        let devices = if mounts.is_empty() {
            server.status()?.devices()
        } else {
            mounts.iter().map(|mount| mount.device).collect()
        };
        Ok(Some(Self {
            dir: dir.to_owned(),
            server,
            close_notice,
            devices,
            is_closed: false,
        }))
    }

    fn finish(mut self, how: How) -> Result<()> {
        let since = Instant::now();
        loop {
            if self.is_mounted_here()? {
                return self.sync();
            }
            if self.has_ended(PAUSE)? {
                return Ok(());
            }
            match self.phase()? {
                Some(Phase::Serving) if !self.serves_these()? => {
                    // Its other superblock is mounted, and not meant.
                    return self.sync();
                }
                Some(Phase::Open | Phase::Serving) => {}
                // It is closing the volume, which may take its time.
                Some(Phase::Closing) | None => continue,
            }
            if since.elapsed() >= wait_max(how) {
                break;
            }
        }
        self.sync()?;
        match how {
            // Somebody may just have mounted it again.
            _ if self.is_mounted_here()? => Ok(()),
            How::Lazily => Ok(()),
            How::IfUnused if self.phase()? == Some(Phase::Open) => Err(Error::Read),
            How::IfUnused => Err(Error::HeldElsewhere {
                holders: namespaces_holding(&self.devices),
            }),
        }
    }

    /// Asked of the server first: the kernel gives the number of a superblock that is gone to another volume's.
    fn is_mounted_here(&mut self) -> Result<bool> {
        Ok(self.serves_these()? && !mounts_of(&self.devices)?.is_empty())
    }

    fn has_ended(&mut self, wait_max: Duration) -> Result<bool> {
        if !self.is_closed {
            self.is_closed = match self.close_notice.closed_within(wait_max) {
                Err(control::Error::Ended) => return self.follow(),
                closed => closed.map_err(Error::NotClosed)?,
            };
        }
        let mut ended = || self.close_notice.wait_for_end(wait_max);
        let waited = if self.is_closed { ended() } else { Ok(false) };
        waited.map_err(|e| Error::io("cannot wait for the volume's server", e))
    }

    /// The server died: watches the one that takes over. Whether that one has closed the volume already.
    fn follow(&mut self) -> Result<bool> {
        let since = Instant::now();
        while since.elapsed() < SUCCESSION {
            match reach(&self.dir) {
                // An ephemeral volume goes with its last mount.
                Err(_) if !self.dir.exists() => return Ok(true),
                Err(e) => return Err(e),
                Ok(Some(both)) => {
                    (self.server, self.close_notice) = both;
                    return Ok(false);
                }
                Ok(None) => {}
            }
            // One that ends in order takes its record away.
            if !Record::is_left_in(&self.dir) {
                return Ok(true);
            }
            thread::sleep(PAUSE);
        }
        Err(Error::NotClosed(control::Error::Ended))
    }

    /// Where the server is in its life, if it has not ended.
    fn phase(&mut self) -> Result<Option<Phase>> {
        match self.server.status().map_err(Error::from) {
            Ok(status) => Ok(Some(status.phase)),
            Err(e) if e.is_passing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn serves_these(&mut self) -> Result<bool> {
        match self.server.status().map_err(Error::from) {
            Ok(status) => Ok(status.devices().iter().any(|d| self.devices.contains(d))),
            Err(e) if e.is_passing() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Makes everything durable, which closing does as well.
    fn sync(&mut self) -> Result<()> {
        loop {
            match self.server.perform(Op::Sync).map_err(Error::from) {
                Err(e) if e.is_passing() => {
                    if self.follow()? {
                        return Ok(());
                    }
                }
                outcome => return outcome.map(|_| ()),
            }
        }
    }
}

/// Two connections to the server that took over, if there is one; the second is told of its end.
fn reach(dir: &Path) -> Result<Option<(Client, Client)>> {
    let (Some(server), Some(mut close_notice)) = (connect(dir)?, connect(dir)?) else {
        return Ok(None);
    };
    Ok(close_notice
        .await_close()
        .is_ok()
        .then_some((server, close_notice)))
}

/// How long the server of a volume may live on after its last mount here, before we ask who has it.
fn wait_max(how: How) -> Duration {
    match how {
        How::IfUnused => Duration::from_secs(3),
        How::Lazily => Duration::from_millis(300),
    }
}
