//! Small files of a volume's directory that only tell how something went: one that cannot be understood is as good as
//! none. Knows none of them by its name.

use std::path::Path;
use std::{fs, io};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Error, Result};
use crate::durable;

/// What `file` in `dir` says; the default if there is none, or it cannot be understood any more.
///
/// # Errors
/// [`Error::Storage`] where the host fails.
pub(super) fn load<T: DeserializeOwned + Default>(dir: &Path, file: &str) -> Result<T> {
    match fs::read(dir.join(file)) {
        // It will be said again.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)
            .inspect_err(|e| log::warn!("{file} in {} is ignored: {e}", dir.display()))
            .unwrap_or_default()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(e) => Err(Error::storage(
            format!("cannot read {file} in {}", dir.display()),
            e,
        )),
    }
}

/// Keeps `said` as `file` in `dir`, durably.
///
/// # Errors
/// [`Error::Storage`] where the host fails; what was there before stays.
pub(super) fn store(said: &impl Serialize, dir: &Path, file: &str) -> Result<()> {
    keep(said, dir, file, durable::replace_file)
}

/// The same, also on a full disk if it is not the first time.
///
/// # Errors
/// As [`store`].
pub(super) fn store_in_turns(said: &impl Serialize, dir: &Path, file: &str) -> Result<()> {
    keep(said, dir, file, durable::replace_in_turns)
}

fn keep(
    said: &impl Serialize,
    dir: &Path,
    file: &str,
    replace: fn(&Path, &[u8]) -> io::Result<()>,
) -> Result<()> {
    let text = serde_json::to_vec(said).map_err(|e| Error::bug(&e.to_string()))?;
    replace(&dir.join(file), &text)
        .map_err(|e| Error::storage(format!("cannot write {file} in {}", dir.display()), e))
}
