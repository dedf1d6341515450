//! How a connection begins: with the kernel's INIT, once. A server that takes a connection over has it played to it
//! from a record, for the kernel says it to the first one only.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use fuser::{Filesystem, Session, SessionACL};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// The kernel reads no request into a smaller buffer (`FUSE_MIN_READ_BUFFER`); INIT fits.
pub(super) const REQUEST_BYTES_MIN: usize = 8192;

/// What a connection began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitRequest {
    /// The kernel's INIT request.
    pub init: Vec<u8>,
    /// A random number, from which the connection's requests are counted.
    pub salt: u64,
}

/// Whether a connection begins, or goes on with another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionStart {
    /// The kernel waits for an answer to its INIT.
    First,
    /// The kernel had its answer from an earlier server.
    Again,
}

impl InitRequest {
    /// Hears the kernel's INIT on `device`, over which something has just been mounted.
    ///
    /// # Errors
    /// `EPERM` when nothing is mounted; `ENODEV` when the mount is gone; [`io::ErrorKind::TimedOut`] when nothing came
    /// within `wait_max`.
    pub fn hear(device: impl AsFd, wait_max: Duration) -> io::Result<Self> {
        await_input(device.as_fd(), wait_max)?;
        let mut init = vec![0; REQUEST_BYTES_MIN];
        let len = rustix::io::retry_on_intr(|| rustix::io::read(&device, &mut init))?;
        init.truncate(len);
        let mut salt = [0; 8];
        rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty())?;
        let salt = u64::from_ne_bytes(salt);
        Ok(Self { init, salt })
    }
}

fn await_input(device: BorrowedFd<'_>, wait_max: Duration) -> io::Result<()> {
    let wait_max = Timespec::try_from(wait_max).map_err(io::Error::other)?;
    let mut polled = [PollFd::from_borrowed_fd(device, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| poll(&mut polled, Some(&wait_max)))?;
    if ready == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

/// A session on `device`. Its handshake goes over a socket pair, and then the device takes the socket's place.
pub(super) fn meet<F: Filesystem>(
    filesystem: F,
    device: OwnedFd,
    config: fuser::Config,
    request: &InitRequest,
    start: SessionStart,
) -> io::Result<Session<F>> {
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::io::write(&ours, &request.init)?;
    let session = Session::from_fd(filesystem, theirs, SessionACL::All, config);
    // Also a refusal is an answer, which the mounting process waits for.
    let mut answer = [0; REQUEST_BYTES_MIN];
    let len = rustix::net::recv(&ours, &mut answer[..], rustix::net::RecvFlags::DONTWAIT)
        .map_or(0, |(len, _)| len);
    if start == SessionStart::First && len > 0 {
        rustix::io::write(&device, &answer[..len])?;
    }
    let session = session?;
    replace(session.as_fd(), device)?;
    Ok(session)
}

/// Makes `place`, a descriptor, stand for what `device` stands for.
#[expect(
    unsafe_code,
    reason = "no library replaces a descriptor that it does not own"
)]
fn replace(place: BorrowedFd<'_>, device: OwnedFd) -> io::Result<()> {
    // SAFETY: both descriptors are open; the session that owns `place` reads and writes it and does nothing else with
    // it, so it does not matter to its owner that it stands for another file now.
    let done = unsafe { libc::dup3(device.as_raw_fd(), place.as_raw_fd(), libc::O_CLOEXEC) };
    drop(device);
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
