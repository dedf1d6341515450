//! Doing something with a volume, wherever it is open.

use std::path::Path;

use super::patience::{connect, patiently};
use super::{Result, handle};
use crate::control::{Answer, Op};
use crate::volume::Volume;

/// Does `op` with the volume in `dir`: in its server if there is one, else here, with the volume
/// opened for it.
///
/// # Errors
/// See [`Error`].
pub fn perform(dir: &Path, op: Op) -> Result<Answer> {
    patiently(dir, || match connect(dir)? {
        Some(mut client) => Ok(client.perform(op)?),
        None => perform_here(dir, op),
    })
}

fn perform_here(dir: &Path, op: Op) -> Result<Answer> {
    let volume = Volume::open(dir)?;
    let answer = handle(op, &volume)?;
    volume.close()?;
    Ok(answer)
}
