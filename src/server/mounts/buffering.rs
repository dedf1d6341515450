//! How much of what is written the kernel may hold before it sends it to the server, for all mounts of a superblock.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};

use super::kernel::DIRTY_PERCENT;
use super::{Spec, stage};
use crate::control::Device;
use crate::server::own_mount::check_no_server;
use crate::volume::Buffering;

/// Has the kernel hold no more unwritten bytes than these, or what every mount of a volume may hold (Linux,
/// Documentation/ABI/testing/sysfs-class-bdi; `max_bytes` since 6.2).
///
/// # Errors
/// When there is no such file, or it is not this user's to write.
pub(in crate::server) fn bound_unwritten(device: Device, bytes: Option<u64>) -> io::Result<()> {
    let dir = format!("/sys/class/bdi/{device}");
    let (name, value) = match bytes {
        Some(bytes) => ("max_bytes", bytes.to_string()),
        None => ("max_ratio", DIRTY_PERCENT.to_owned()),
    };
    let mut file = File::options().write(true).open(format!("{dir}/{name}"))?;
    file.write_all(value.as_bytes())
}

/// Has write(2) on the head's superblock, whose `/dev/fuse` descriptor this is, wait until the bytes are stored and say
/// what became of them (`sync` of mount(8)), or no more. What is held by then is written first, so the superblock's own
/// server must never call this: killed meanwhile, it would wait for itself. Nobody who waits may hold the device, or the
/// connection would not end with its server and supervisor: `fuse` is the caller's last descriptor of it, and goes before.
///
/// # Errors
/// `EPERM` without privilege; I/O errors of what was held.
pub fn set_buffering(fuse: OwnedFd, buffering: Buffering) -> io::Result<()> {
    check_no_server();
    let mount: OwnedFd = stage(fuse.as_fd(), &Spec::unseen())?.into();
    drop(fuse);
    let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
    let superblock = fspick(&mount, "", flags)?;
    let word = match buffering {
        Buffering::Back => "async",
        Buffering::Through => "sync",
    };
    fsconfig_set_flag(superblock.as_fd(), word)?;
    fsconfig_reconfigure(superblock.as_fd())?;
    Ok(())
}
