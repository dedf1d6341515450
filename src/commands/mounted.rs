//! Who has a volume mounted that must not be for what is wanted.

use crate::commands::containers::Containers;
use crate::commands::locate::Located;
use crate::commands::{CommandError, Kind, Result};
use crate::server::mounts::{Holder, Mount, holders_of, namespaces_holding};
use crate::server::{ServerState, server_state};

/// Fails if the volume is mounted, and says where and for whom.
pub(crate) fn refuse_used(located: &Located) -> Result<()> {
    let ServerState::Served(status, mounts) =
        server_state(&located.dir).map_err(|e| located.explain(e))?
    else {
        return refuse_mounted(located);
    };
    let elsewhere = namespaces_holding(&status.devices());
    let used = mounts.iter().flat_map(holders_of).chain(elsewhere);
    let message = if mounts.is_empty() {
        format!("{located} is mounted in another mount namespace")
    } else {
        format!("{located} is mounted at {}", places(&mounts))
    };
    let hint = format!(
        "unmount it everywhere first: `cask umount {}`",
        located.reference.typed()
    );
    let message = message + &used_by(&used.collect::<Vec<_>>(), &mounts, status.pid);
    Err(CommandError::new(Kind::InUse, message).hint(hint))
}

fn used_by(holders: &[Holder], mounts: &[Mount], server: u32) -> String {
    if holders.is_empty() {
        return if mounts.is_empty() {
            format!(" (process {server} serves it)")
        } else {
            String::new()
        };
    }
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    format!(", used by {}", names.join(", "))
}

/// Fails if the volume has a server, or mounts that a server left.
pub(crate) fn refuse_mounted(located: &Located) -> Result<()> {
    let again = located.reference.typed();
    match server_state(&located.dir).map_err(|e| located.explain(e))? {
        ServerState::Unmounted => Ok(()),
        ServerState::Open(_) => Err(located.in_use()),
        ServerState::Served(status, mounts) if mounts.is_empty() => {
            let message = format!("{located} is mounted in another mount namespace");
            let hint = format!("unmount it there first; process {} serves it", status.pid);
            Err(CommandError::new(Kind::InUse, message).hint(hint))
        }
        ServerState::Served(_, mounts) => {
            let message = format!("{located} is mounted at {}", places(&mounts));
            let at: Vec<_> = mounts.iter().map(|one| one.mountpoint.as_path()).collect();
            let users = Containers::ask().using(&at).join(", ");
            if users.is_empty() {
                let hint = format!("unmount it first: `cask umount {again}`");
                return Err(CommandError::new(Kind::InUse, message).hint(hint));
            }
            let message = format!("{message}, for the containers {users}");
            Err(CommandError::new(Kind::InUse, message).hint("stop the containers first"))
        }
        ServerState::Dead(mounts) => {
            let at = places(&mounts);
            let message = format!("{located} has lost its server and is still mounted at {at}");
            let hint = format!("unmount it first: `cask umount {again}`");
            Err(CommandError::new(Kind::InUse, message).hint(hint))
        }
    }
}

/// The places of these mounts, for a message.
pub(crate) fn places(mounts: &[Mount]) -> String {
    let places: Vec<String> = mounts
        .iter()
        .map(|m| m.mountpoint.display().to_string())
        .collect();
    places.join(", ")
}
