//! The names of what lies in a volume's directory (docs/format.md), and who may read it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::{Error, Result};

/// What identifies the directory as a volume.
pub(super) const CONFIG: &str = "volume.json";
/// The metadata.
pub(super) const DATABASE: &str = "meta.db";
/// The chunks.
pub(super) const SEGMENTS: &str = "segments";
/// Where a repair works.
pub(super) const REPAIR: &str = "repair";

/// SQLite makes its files by the umask; the log and the shared memory take the database's mode.
pub(super) fn restrict(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|e| Error::storage(format!("cannot restrict {}", path.display()), e))
}
