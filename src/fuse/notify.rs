//! What a server tells the kernel without being asked (Linux, include/uapi/linux/fuse.h, `fuse_notify_code`), which
//! fuser has no words for.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::types::Ino;

/// With the value `off` in the environment a newer kernel is taken for one that cannot send again: for tests.
const FORBIDDEN: &str = "CASK_RESEND";
const HEADER_BYTES: usize = 16;
const INVAL_INODE: u32 = 2;
const RESEND: u32 = 7;

/// Asks the kernel to send again what was read from `device` and not answered; their numbers have
/// the top bit set then. Linux 6.9 or newer.
///
/// # Errors
/// `EINVAL` from an older kernel; `ENODEV` when the last mount is gone.
pub(super) fn resend(device: impl AsFd) -> io::Result<()> {
    if std::env::var_os(FORBIDDEN).is_some_and(|value| value == "off") {
        return Err(Errno::INVAL.into());
    }
    send(device, RESEND, &[])
}

/// Whether the kernel still knows `ino`. The price is that it asks for the attributes anew.
///
/// # Errors
/// `ENODEV` when the last mount is gone.
pub(super) fn is_known(device: impl AsFd, ino: Ino) -> io::Result<bool> {
    let mut body = [0; 24];
    body[..8].copy_from_slice(&ino.raw().to_ne_bytes());
    // A negative offset: the attributes only, no data.
    body[8..16].copy_from_slice(&(-1_i64).to_ne_bytes());
    match send(device, INVAL_INODE, &body) {
        Ok(()) => Ok(true),
        Err(e) if e.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(false),
        Err(e) => Err(e),
    }
}

/// A notification is an answer to request 0, with its code where the error would be.
fn send(device: impl AsFd, code: u32, body: &[u8]) -> io::Result<()> {
    let len = u32::try_from(HEADER_BYTES + body.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend(len.to_ne_bytes());
    message.extend(code.to_ne_bytes());
    message.extend(0_u64.to_ne_bytes());
    message.extend(body);
    rustix::io::write(device, &message)?;
    Ok(())
}
