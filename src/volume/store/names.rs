//! Names of what is only half there: a volume that is being made, or taken apart.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::types::VolumeId;

/// What a volume that is being made begins with.
pub(super) const FRESH: &str = ".new-";
/// What a volume that is being taken apart begins with.
pub(super) const TRASH: &str = ".trash-";

pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}{}", VolumeId::random())
}

/// What in `volumes` begins with a dot, as no volume's name does: of many volumes only this is looked at.
pub(super) fn unnamed(volumes: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(volumes).into_iter().flatten().flatten();
    let unnamed = entries.filter(|entry| entry.file_name().as_bytes().starts_with(b"."));
    unnamed.map(|entry| entry.path()).collect()
}

/// Whether this is a name that [`unique`] makes, and nobody's own directory.
pub(super) fn is_leftover(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let uuid = name
        .strip_prefix(FRESH)
        .or_else(|| name.strip_prefix(TRASH));
    uuid.is_some_and(|text| text.parse::<VolumeId>().is_ok())
}
