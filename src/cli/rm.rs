//! `cask rm`.

use crate::server::{Standing, mounts::Mount, standing};
use crate::volume::{Config, Error, store};

use super::locate::{Located, Root, VolumeRef};
use super::{CliError, Kind, Result, output};

/// Remove volumes and print their names
///
/// A volume that is mounted, or open elsewhere, stays. What is removed is gone.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The volumes
    #[arg(required = true, value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// Don't complain about volumes that do not exist
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    for volume in &arguments.volumes {
        match remove(volume, root) {
            Ok(()) => output::line(&volume.typed())?,
            Err(e) if arguments.force && e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn remove(volume: &VolumeRef, root: &Root) -> Result<()> {
    let located = root.locate(volume)?;
    refuse_mounted(&located)?;
    match volume {
        VolumeRef::Name(name) => root.store().remove(name),
        VolumeRef::Dir(_) => {
            refuse_other_directories(&located)?;
            store::remove_at(&located.dir)
        }
    }
    .map_err(|e| located.explain_volume(e))
}

/// Takes back a volume that was just created.
pub(super) fn remove_fresh(volume: &VolumeRef, root: &Root) {
    if let Err(e) = remove(volume, root) {
        output::warn(&format!("the new {volume} stays: {e}"));
    }
}

/// A typing error must not cost the user a directory that never was a volume.
fn refuse_other_directories(located: &Located) -> Result<()> {
    match Config::load(&located.dir) {
        Err(error @ Error::NotAVolume { .. }) => Err(located.explain_volume(error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Fails if the volume has a server, or mounts that a server left.
pub(super) fn refuse_mounted(located: &Located) -> Result<()> {
    let again = located.reference.typed();
    match standing(&located.dir).map_err(|e| located.explain(e))? {
        Standing::Unmounted => Ok(()),
        Standing::Served(status, mounts) if mounts.is_empty() => {
            let message = format!("{located} is mounted in another mount namespace");
            let hint = format!("unmount it there first; process {} serves it", status.pid);
            Err(CliError::new(Kind::InUse, message).hint(hint))
        }
        Standing::Served(_, mounts) => {
            let message = format!("{located} is mounted at {}", places(&mounts));
            let hint = format!("unmount it first: `cask umount {again}`");
            Err(CliError::new(Kind::InUse, message).hint(hint))
        }
        Standing::Dead(mounts) => {
            let at = places(&mounts);
            let message = format!("{located} has lost its server and is still mounted at {at}");
            let hint = format!("unmount it first: `cask umount {again}`");
            Err(CliError::new(Kind::InUse, message).hint(hint))
        }
    }
}

/// The places of these mounts, for a message.
pub(super) fn places(mounts: &[Mount]) -> String {
    let places: Vec<String> = mounts
        .iter()
        .map(|m| m.mountpoint.display().to_string())
        .collect();
    places.join(", ")
}
