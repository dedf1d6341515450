//! `cask rename`.

use crate::types::VolumeName;

use crate::cli::Result;
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::commands::mounted::refuse_mounted;

/// Rename a volume that is not mounted
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Its name
    old: VolumeName,
    /// Its new name
    new: VolumeName,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let located = root.locate(&VolumeRef::Name(arguments.old.clone()))?;
    refuse_mounted(&located)?;
    let renamed = root.store().rename(&arguments.old, &arguments.new);
    renamed.map_err(|error| {
        if !matches!(error, crate::volume::Error::Exists) {
            return located.explain_volume(error);
        }
        let reference = VolumeRef::Name(arguments.new.clone());
        let dir = root.dir_of(&reference);
        Located { reference, dir }.explain_volume(error)
    })
}
