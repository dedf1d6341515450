//! A server for whoever needs a volume for a while without a mount: the one that has it open, or one that is started.
//!
//! A server that is started for that ends with the last who needs it, and whoever wants to mount meanwhile finds it: a
//! command that opened the volume itself would keep them out to its end.

use std::path::Path;

use super::retry::connect;
use super::{Result, spawn};
use crate::control::Client;
use crate::volume::store::DirLock;
use crate::volume::{self, Awaited};

/// Reaches the server of the volume in `dir`, an absolute path. One that is started for this ends with the client.
///
/// # Errors
/// [`super::Error::Locked`] when another process has the volume open; [`super::Error::Volume`] or
/// [`super::Error::Fault`] when it cannot be opened; see [`super::Error`].
pub(super) fn reach(dir: &Path) -> Result<Client> {
    if let Some(client) = connect(dir)? {
        return Ok(client);
    }
    // Its server would fetch what files there are, which nobody asked for.
    if Awaited::is_in(dir)? {
        return Err(volume::Error::Awaited.into());
    }
    // Looked at before: while another process has the volume, one server after the other would be started in vain.
    drop(DirLock::take(dir)?);
    spawn::start(dir)
}
