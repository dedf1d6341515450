//! Waiting for those who have a volume open only for a moment: a server that closes it, a command that
//! opened it for one question, a process that is about to mount it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Error, Result};
use crate::control::{Client, Phase};

/// How long another process may have the volume open, or be about to mount it, before we give up.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a server may take to close its volume before we look again.
const CLOSING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// An attempt that took so long did not wait for somebody: its server died at work.
const WORK: Duration = Duration::from_millis(500);

/// Connects to the server of the volume in `dir`, if it has one.
pub(super) fn connect(dir: &Path) -> Result<Option<Client>> {
    Client::connect(dir)
        .map_err(|e| Error::io(format!("cannot reach the server of {}", dir.display()), e))
}

/// Attempts until the volume in `dir` is not just busy with starting or ending. A server that closes
/// its volume is waited for as long as that takes.
pub(super) fn with_retry<T>(dir: &Path, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let mut since = Instant::now();
    loop {
        let begun = Instant::now();
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if begun.elapsed() > WORK {
            since = Instant::now();
        }
        if !may_pass(&error) || (!wait_while_closing(dir, &error) && since.elapsed() > WAIT_MAX) {
            return Err(error);
        }
        thread::sleep(PAUSE);
    }
}

fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Locked) || error.is_passing()
}

/// After an attempt that met a server at its end: waits for that, and says whether it was so.
fn wait_while_closing(dir: &Path, error: &Error) -> bool {
    if !error.is_passing() {
        return false;
    }
    let Ok(Some(mut client)) = connect(dir) else {
        return false;
    };
    let is_closing = client
        .status()
        .is_ok_and(|status| status.phase == Phase::Closing);
    is_closing && client.wait_for_end(CLOSING).is_ok()
}
