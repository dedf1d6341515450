//! Mounting by system call: what root does.
//!
//! A mount is *staged* first: it exists, its superblock can shake hands with a server, but it is in no
//! namespace yet. Placing it is the last step, so it appears usable or not at all, and dropping a
//! staged mount undoes it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_remount, move_mount, open_tree,
};

use super::{Attributes, Place, Shows, Spec};
use crate::control::Device;

/// The mode of a directory (`S_IFDIR`), as the kernel wants to be told of the root.
const ROOT_MODE: &str = "40000";
/// The kernel's number for `/dev/fuse`.
const FUSE_DEVICE: (u32, u32) = (10, 229);
/// What a cold sequential read needs: with the kernel's 128 KiB it is half as fast.
const READ_AHEAD_KB: &str = "1024";
/// Of the bytes that may wait in memory for their writing, the part that may be of one mount: less and a program that
/// writes is put to sleep before the server has enough to do (docs/decisions, 12).
pub(super) const DIRTY_PERCENT: &str = "3";

/// A mount that is in no namespace yet.
#[derive(Debug)]
pub(in crate::server) struct Staged(OwnedFd);

/// Opens `/dev/fuse`.
///
/// # Errors
/// When it is missing, no FUSE device, or closed to this user.
pub fn open_fuse() -> io::Result<OwnedFd> {
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    if device.metadata()?.rdev() != rustix::fs::makedev(FUSE_DEVICE.0, FUSE_DEVICE.1) {
        return Err(io::Error::other("it is not the FUSE device"));
    }
    Ok(device.into())
}

/// Makes a mount over `fuse`: of a new superblock if the descriptor is fresh, else of the superblock
/// that it belongs to.
pub(in crate::server) fn stage(fuse: BorrowedFd<'_>, spec: &Spec) -> io::Result<Staged> {
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    fsconfig_set_string(context, "source", spec.source.as_os_str())?;
    fsconfig_set_string(context, "subtype", "cask")?;
    // As text: FSCONFIG_SET_FD is refused for FUSE (Linux 6.18).
    fsconfig_set_string(context, "fd", fuse.as_raw_fd().to_string())?;
    fsconfig_set_string(context, "rootmode", ROOT_MODE)?;
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    fsconfig_set_string(context, "user_id", uid.as_raw().to_string())?;
    fsconfig_set_string(context, "group_id", gid.as_raw().to_string())?;
    fsconfig_set_flag(context, "default_permissions")?;
    fsconfig_set_flag(context, "allow_other")?;
    // Of the head, `ro` is of the one mount: the superblock is always read-write.
    if spec.shows != Shows::Head {
        fsconfig_set_flag(context, "ro")?;
    }
    fsconfig_create(context)?;
    let attributes = spec.attributes.for_fsmount();
    let mount = fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    Ok(Staged(mount))
}

impl From<Staged> for OwnedFd {
    fn from(staged: Staged) -> Self {
        staged.0
    }
}

impl Staged {
    /// The superblock's device number, learnt without a request to the server.
    pub(in crate::server) fn device(&self) -> io::Result<Device> {
        device_of(self.0.as_fd(), Path::new(""))
    }

    /// The mount of one directory at the top of what this one shows. The superblock's server must be serving.
    pub(in crate::server) fn below(self, name: &str) -> io::Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        Ok(Self(open_tree(&self.0, name, flags)?))
    }

    /// Makes the mount appear at `place`.
    pub(in crate::server) fn place(self, place: &Place) -> io::Result<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.0, "", place, "", flags)?;
        Ok(())
    }
}

/// `st_dev` of what is at `path`, without asking a FUSE server for anything.
pub(in crate::server) fn device_at(path: &Path) -> io::Result<Device> {
    device_of(CWD, path)
}

fn device_of(dir: BorrowedFd<'_>, path: &Path) -> io::Result<Device> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(dir, path, flags, StatxFlags::empty())?;
    Ok(Device {
        major: stat.stx_dev_major,
        minor: stat.stx_dev_minor,
    })
}

/// Has the kernel read further ahead, and gather more unwritten bytes, than it grants to a FUSE server. Only a matter
/// of speed.
pub(in crate::server) fn widen_cache(device: Device) {
    for (name, value) in [
        ("read_ahead_kb", READ_AHEAD_KB),
        ("max_ratio", DIRTY_PERCENT),
    ] {
        let path = format!("/sys/class/bdi/{device}/{name}");
        let written = File::options()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(value.as_bytes()));
        if let Err(e) = written {
            log::debug!("cannot set {path}: {e}");
        }
    }
}

/// Gives the one mount at `mountpoint` these attributes; other mounts of the volume keep theirs.
///
/// # Errors
/// `EBUSY` when it shall become read-only and a file is open for writing; `EPERM`.
pub fn remount(mountpoint: &Path, attributes: Attributes) -> io::Result<()> {
    // Without BIND this would change the superblock, and so every mount of the volume.
    mount_remount(mountpoint, MountFlags::BIND | attributes.for_remount(), "")?;
    Ok(())
}
