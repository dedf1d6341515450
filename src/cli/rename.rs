//! `cask rename`.

use crate::types::VolumeName;

use super::Result;
use super::locate::{Located, Root, VolumeRef};
use super::rm::refuse_mounted;

/// Rename a volume that is not mounted
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Its name
    old: VolumeName,
    /// Its new name
    new: VolumeName,
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
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
