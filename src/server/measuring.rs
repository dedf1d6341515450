//! What a server has counted: put together by itself, and asked for by others. Knows no format in which it is shown.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Result;
use super::group_part::Opened;
use super::retry::connect;
use super::shared::Shared;
use crate::control::{self, Device};
use crate::types::{Measured, Usage};

/// What the server of a volume says of itself and of the volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What it has counted; nothing from a server of an earlier cask.
    pub measured: Option<Measured>,
    /// What the volume holds; nothing while it has no tables.
    pub usage: Option<Usage>,
}

/// Asks the server of the volume in `dir`, which answers each question within `wait_max`; `None` where there is no server.
///
/// # Errors
/// No permission; a server that does not answer.
pub fn measure(dir: &Path, wait_max: Duration) -> Result<Option<Told>> {
    let mut told = Told::default();
    let Some(mut client) = connect(dir)? else {
        return Ok(None);
    };
    match client.measure(wait_max) {
        Ok(measured) => told.measured = Some(measured),
        // After a request that it did not understand a server listens no more on that connection.
        Err(control::Error::Fault(_)) => match connect(dir)? {
            Some(another) => client = another,
            None => return Ok(None),
        },
        Err(control::Error::Ended) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match client.usage(wait_max) {
        Ok(usage) => told.usage = Some(usage),
        Err(control::Error::Fault(_) | control::Error::Ended) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Some(told))
}

/// What this server has counted.
pub(super) fn measured(shared: &Shared) -> Measured {
    let mut measured = Measured {
        started: shared.started.secs(),
        waiting: shared.head_device().and_then(waiting),
        ..Measured::default()
    };
    shared.counts.tell(&mut measured);
    shared.with(|volume| {
        measured.log_bytes = volume.log_bytes();
        measured.checkpoints = volume.checkpoints();
        measured.collected = volume.collected();
    });
    measured
}

/// The requests of a connection that have no answer yet (Linux, Documentation/filesystems/fuse/fuse.rst, "Control
/// filesystem"); nothing where that is not mounted, or is another user's.
fn waiting(device: Device) -> Option<u64> {
    let path = format!("/sys/fs/fuse/connections/{}/waiting", device.minor);
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
