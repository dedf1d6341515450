//! The tuning that an operator sets by `CASK_TUNING`, as JSON: what it does not name is as usual (docs/architecture.md, "Tuning").

use std::env;
use std::path::Path;

use super::{Error, Result};
use crate::volume::{Tuning, Volume};

const VARIABLE: &str = "CASK_TUNING";

/// What the environment says; a server has it from whoever mounts.
///
/// # Errors
/// [`Error::Tuning`] when it is no tuning: a server that ignored it would not do what it was told.
pub fn of_environment() -> Result<Tuning> {
    match env::var(VARIABLE) {
        Ok(text) => Tuning::parse(&text).map_err(Error::Tuning),
        Err(_) => Ok(Tuning::default()),
    }
}

/// Opens the volume in `dir` for a command, as a server would.
///
/// # Errors
/// Those of [`of_environment`] and [`Volume::open_with`].
pub(super) fn open(dir: &Path) -> Result<Volume> {
    Ok(Volume::open_with(dir, of_environment()?)?)
}
