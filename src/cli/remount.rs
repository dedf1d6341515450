//! `-o remount`: other flags for one mount.

use std::path::Path;

use crate::server::mounts::{self, Attributes};

use crate::cli::options::Options;
use crate::cli::{CliError, Kind, Result};

/// Changes the flags of the mount at `mountpoint` by the words of `options`. Other mounts of the volume
/// stay as they are.
pub(super) fn run(mountpoint: &Path, options: &Options) -> Result<()> {
    let at = mountpoint.display();
    let cannot = |e: std::io::Error| {
        let (kind, hint) = if e.kind() == std::io::ErrorKind::ResourceBusy {
            (
                Kind::InUse,
                "a file in it is open for writing: close it first",
            )
        } else {
            (Kind::Failed, "changing a mount needs root")
        };
        CliError::new(kind, format!("cannot remount {at}"))
            .because(e)
            .hint(hint)
    };
    let path = mounts::absolute(mountpoint).map_err(cannot)?;
    let mount = mounts::topmost_at(&path).map_err(cannot)?;
    let mount = mount.filter(mounts::Mount::is_cask).ok_or_else(|| {
        CliError::new(Kind::Failed, format!("{at} is not a cask mount"))
            .hint("`cask ls` shows where volumes are mounted")
    })?;
    let attributes = options.apply(Attributes::from_table(&mount.options));
    mounts::remount(&path, attributes).map_err(cannot)
}
