//! Names of what is only half there: a volume that is being made, or taken apart.

use std::path::Path;

use crate::types::VolumeId;

/// What a volume that is being made begins with.
pub(super) const FRESH: &str = ".new-";
/// What a volume that is being taken apart begins with.
pub(super) const TRASH: &str = ".trash-";

pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}{}", VolumeId::random())
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
