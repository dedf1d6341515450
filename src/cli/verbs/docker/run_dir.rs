//! Where the plugin runs, if nobody says.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::cli::{CliError, Kind, Result};

/// Where the plugin keeps what must not outlive the host's boot.
pub(in crate::cli) fn default_run_dir() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/run/cask"));
    }
    let dir = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match dir {
        Some(dir) if fs::metadata(&dir).is_ok_and(|dir| dir.is_dir()) => {
            Ok(Path::new(&dir).join("cask"))
        }
        _ => Err(CliError::new(
            Kind::Usage,
            "where to run is unknown: XDG_RUNTIME_DIR is not set",
        )
        .hint("use --run-dir DIR")),
    }
}
