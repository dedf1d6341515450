//! `cask umount`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::server::mounts::{self, Holder, How, Mount};
use crate::server::{self, ServerState};
use crate::types::SnapshotName;

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::state_ref::{SnapshotRef, StateRef};
use crate::cli::{CliError, Kind, Result};

/// Unmount a mountpoint, or a volume or snapshot everywhere in this mount namespace
///
/// Returns when everything is safe on the disk and, after the last mount, the volume is closed. If
/// somebody still uses a mount, or has one in another mount namespace, says who. A command that reads out of the volume,
/// such as a push, keeps it open: that is said, too, with exit code 5.
///
/// There is no --force: the kernel would end the connection for every mount of the volume.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Mountpoints, or volumes by name or directory with all their mounts, or snapshots
    #[arg(required = true, value_name = "MOUNTPOINT|NAME[@SNAP]|DIR[@SNAP]")]
    targets: Vec<OsString>,
    /// Detach at once even if it is in use; the volume closes when its last user is gone
    #[arg(short, long)]
    lazy: bool,
}

/// What to unmount.
struct Target {
    /// For messages: a volume, or a mountpoint.
    shown: String,
    mounts: Vec<Mount>,
    /// The volume, where it is known and alive.
    dir: Option<PathBuf>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let how = if arguments.lazy {
        How::Lazily
    } else {
        How::IfUnused
    };
    for target in &arguments.targets {
        let target = resolve(target, root)?;
        let done = server::unmount(&target.mounts, target.dir.as_deref(), how);
        done.map_err(|e| explain(e, &target))?;
    }
    Ok(())
}

fn resolve(target: &OsStr, root: &Root) -> Result<Target> {
    if let Ok(StateRef {
        volume,
        snapshot: Some(name),
    }) = StateRef::parse(target)
    {
        // What is mounted there goes first: a path may have an `@`, too.
        return match mount_at(Path::new(target))? {
            Some(mount) => Ok(by_mount(mount, root)),
            None => by_snapshot(&SnapshotRef { volume, name }, root),
        };
    }
    match VolumeRef::parse(target) {
        Ok(VolumeRef::Dir(path)) => by_path(&path, root),
        Ok(name @ VolumeRef::Name(_)) => match root.locate(&name) {
            Ok(located) => by_volume(&located),
            // A mountpoint in the working directory needs no `./`.
            Err(missing) => {
                mount_at(Path::new(target))?.map_or(Err(missing), |m| Ok(by_mount(m, root)))
            }
        },
        Err(error) => {
            match mount_at(Path::new(target))? {
                Some(mount) => Ok(by_mount(mount, root)),
                None => Err(CliError::new(Kind::Usage, error.to_string())
                    .hint("name a mountpoint or a volume")),
            }
        }
    }
}

fn by_path(path: &Path, root: &Root) -> Result<Target> {
    if let Some(mount) = mount_at(path)? {
        return Ok(by_mount(mount, root));
    }
    match root.open(&VolumeRef::Dir(path.to_owned())) {
        Ok((located, _)) => by_volume(&located),
        Err(error) if path.exists() && error.kind() == Kind::NotFound => {
            let message = format!("{} is neither a cask mount nor a volume", path.display());
            Err(CliError::new(Kind::Failed, message).hint("`cask ls` shows what is mounted where"))
        }
        Err(error) if error.kind() == Kind::NotFound => {
            let message = format!("there is no mountpoint or volume {}", path.display());
            Err(CliError::new(Kind::NotFound, message)
                .hint("`cask ls` shows what is mounted where"))
        }
        Err(error) => Err(error),
    }
}

fn mount_at(path: &Path) -> Result<Option<Mount>> {
    let Ok(path) = mounts::absolute(path) else {
        return Ok(None);
    };
    let mount = mounts::topmost_at(&path).map_err(|e| {
        CliError::new(Kind::Failed, "cannot read the mount table")
            .because(e)
            .hint("is /proc mounted?")
    })?;
    Ok(mount.filter(Mount::is_cask))
}

fn by_mount(mount: Mount, root: &Root) -> Target {
    let is_alive = mounts::answers(&mount.mountpoint);
    Target {
        shown: mount.mountpoint.display().to_string(),
        // A mount without a server leaves nobody to be waited for.
        dir: is_alive
            .then(|| server::volume_of(&mount, root.dirs()))
            .flatten(),
        mounts: vec![mount],
    }
}

fn by_volume(located: &Located) -> Result<Target> {
    let shown = located.to_string();
    match server::server_state(&located.dir).map_err(|e| located.explain(e))? {
        ServerState::Unmounted | ServerState::Open(_) => Err(CliError::new(
            Kind::Failed,
            format!("{shown} is not mounted"),
        )
        .hint("there is nothing to do")),
        ServerState::Served(_, mounts) => {
            let dir = Some(located.dir.clone());
            Ok(Target { shown, mounts, dir })
        }
        ServerState::Dead(mounts) => {
            // There is no server whose end could be waited for.
            let dir = None;
            Ok(Target { shown, mounts, dir })
        }
    }
}

fn by_snapshot(snapshot: &SnapshotRef, root: &Root) -> Result<Target> {
    let located = root.locate(&snapshot.volume)?;
    let mounts = snapshot_mounts(&located, &snapshot.name)?;
    if mounts.is_empty() {
        let message = format!("{snapshot} is not mounted");
        return Err(CliError::new(Kind::Failed, message).hint("there is nothing to do"));
    }
    Ok(Target {
        shown: snapshot.to_string(),
        mounts,
        dir: Some(located.dir),
    })
}

/// The mounts of a snapshot in this namespace.
pub(in crate::cli) fn snapshot_mounts(
    located: &Located,
    name: &SnapshotName,
) -> Result<Vec<Mount>> {
    let server_state = server::server_state(&located.dir).map_err(|e| located.explain(e))?;
    let ServerState::Served(status, mut mounts) = server_state else {
        return Ok(Vec::new());
    };
    mounts.retain(|mount| server::snapshot_shown(&status, mount).as_ref() == Some(name));
    Ok(mounts)
}

fn explain(error: server::Error, target: &Target) -> CliError {
    match error {
        server::Error::Busy {
            mountpoint,
            holders,
        } => {
            let message = format!("{} is in use by {}", mountpoint.display(), named(&holders));
            CliError::new(Kind::InUse, message)
                .hint("end what uses it, or detach it with `cask umount --lazy`")
        }
        server::Error::HeldElsewhere { holders } if holders.is_empty() => {
            let message = format!(
                "{} is unmounted here and its data is safe, but its server still has a mount",
                target.shown
            );
            CliError::new(Kind::InUse, message).hint(
                "it ends with the last open file of a mount that was detached lazily, or with another mount namespace",
            )
        }
        server::Error::HeldElsewhere { holders } => {
            let message = format!(
                "{} is unmounted here and its data is safe, but the mount namespace of {} still has it mounted",
                target.shown,
                named(&holders)
            );
            CliError::new(Kind::InUse, message).hint("unmount it there, or end what runs there")
        }
        server::Error::Read => {
            let message = format!(
                "{} is unmounted and its data is safe, but a command still reads out of the volume, or works in it",
                target.shown
            );
            CliError::new(Kind::InUse, message)
                .hint("it is closed when that is done: wait for it, or end it")
        }
        server::Error::NotClosed(cause) => {
            let message = format!(
                "{} is unmounted, but the volume was not closed in order",
                target.shown
            );
            let dir = target.dir.clone().unwrap_or_default();
            CliError::new(Kind::Failed, message)
                .because(cause)
                .hint(format!(
                    "see {}; the next mount recovers what had reached the disk",
                    dir.join("server.log").display()
                ))
        }
        server::Error::Volume(_)
        | server::Error::Tuning(_)
        | server::Error::Fault(_)
        | server::Error::Locked
        | server::Error::NotUpgraded
        | server::Error::Down(_)
        | server::Error::Served { .. }
        | server::Error::MountedThere(_)
        | server::Error::Occupied { .. }
        | server::Error::Overlaps { .. }
        | server::Error::SecondMount
        | server::Error::Limit { .. }
        | server::Error::SnapshotNeedsRoot
        | server::Error::NoSnapshot(_)
        | server::Error::Place(_)
        | server::Error::NoFuse(_)
        | server::Error::Control(_)
        | server::Error::Io { .. } => {
            CliError::new(Kind::Failed, format!("cannot unmount {}", target.shown))
                .because(error)
                .hint("unmounting needs root, or to be the user who mounted it")
        }
    }
}

fn named(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "a process that cannot be seen from here".to_owned();
    }
    holders
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
