//! A connection that nobody serves any more: every request is answered with EIO, for as long as there are mounts.
//!
//! Were the descriptor closed instead, the mounts would say "Transport endpoint is not connected".

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::capabilities::REQUEST_BYTES_MAX;
use super::notify;

/// More than what stands before the data of a WRITE.
const HEADERS_BYTES_MAX: usize = 4096;
const FORGET: u32 = 2;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// Answers every request on `device` with EIO, those in flight as well; returns when the last mount is gone.
///
/// # Errors
/// When the device fails.
pub fn refuse_all(device: impl AsFd) -> io::Result<()> {
    let device = device.as_fd();
    if let Err(e) = notify::resend(device) {
        log::warn!("requests in flight stay without an answer: {e}");
    }
    // The kernel reads nothing into a buffer that could not hold the largest WRITE.
    let data = usize::try_from(REQUEST_BYTES_MAX).map_err(io::Error::other)?;
    let mut buffer = vec![0; data + HEADERS_BYTES_MAX];
    loop {
        match rustix::io::read(device, &mut buffer) {
            Ok(len) => refuse(device, &buffer[..len])?,
            Err(Errno::NODEV) => return Ok(()),
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn refuse(device: impl AsFd, request: &[u8]) -> io::Result<()> {
    let word = |at: usize| {
        request
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
    };
    let (Some(opcode), Some(unique)) = (word(4), request.get(8..16)) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if [FORGET, INTERRUPT, BATCH_FORGET].contains(&u32::from_ne_bytes(opcode)) {
        return Ok(());
    }
    let mut answer = Vec::with_capacity(16);
    answer.extend(16_u32.to_ne_bytes());
    answer.extend((-Errno::IO.raw_os_error()).to_ne_bytes());
    answer.extend(unique);
    match rustix::io::write(device, &answer) {
        // The asker has gone meanwhile.
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::NODEV) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
