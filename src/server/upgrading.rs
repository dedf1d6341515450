//! Having another program serve a volume, while it stays mounted.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::record::down_reason;
use super::retry::connect;
use super::{Error, Result};
use crate::control::{Phase, Program, Status};

/// How long the new server may take: it may have to recover first.
const WAIT_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// What became of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgraded {
    /// The volume is served by this program now.
    Done,
    /// It was before.
    Already,
    /// No server runs; the next one will be this program.
    NotServed,
}

/// Has this very program serve the volume in `dir` from now on. Whoever uses its mounts waits for a moment.
///
/// # Errors
/// [`Error::NotUpgraded`], with the old program serving on; [`Error::Down`], when neither can; others of [`Error`].
pub fn upgrade(dir: &Path) -> Result<Upgraded> {
    let Some(mut client) = connect(dir)? else {
        return Ok(Upgraded::NotServed);
    };
    let before = client.status()?;
    if before.phase != Phase::Serving {
        return Ok(Upgraded::NotServed);
    }
    let wanted = Program::this();
    if before.program == wanted {
        return Ok(Upgraded::Already);
    }
    let program =
        File::open("/proc/self/exe").map_err(|e| Error::io("cannot open this program", e))?;
    client.replace(program.as_fd())?;
    let after = await_other(dir, before.pid)?;
    if after.program == wanted {
        Ok(Upgraded::Done)
    } else {
        Err(Error::NotUpgraded)
    }
}

/// Waits for another server than `pid`, which has ended.
fn await_other(dir: &Path, pid: u32) -> Result<Status> {
    let since = Instant::now();
    while since.elapsed() < WAIT_MAX {
        if let Some(mut client) = connect(dir)?
            && let Ok(status) = client.status()
            && status.pid != pid
        {
            return Ok(status);
        }
        if let Some(reason) = down_reason(dir) {
            return Err(Error::Down(reason));
        }
        thread::sleep(PAUSE);
    }
    Err(Error::NotUpgraded)
}
