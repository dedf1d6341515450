//! Requests that are answered with EIO, as all are of a connection that nobody serves any more.
//!
//! Were its descriptor closed instead, the mounts would say "Transport endpoint is not connected".

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

/// What was read and refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request of this number.
    Request(u64),
    /// Something that has no answer.
    Nothing,
}

/// Answers every request on `device` with EIO, those in flight as well; returns when the last mount is gone.
///
/// # Errors
/// When the device fails.
pub fn refuse_all(device: impl AsFd) -> io::Result<()> {
    if let Err(e) = notify::resend(&device) {
        log::warn!("requests in flight stay without an answer: {e}");
    }
    let mut buffer = buffer();
    loop {
        match refuse_next(&device, &mut buffer) {
            Err(e) if e.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => return Ok(()),
            Err(e) => return Err(e),
            Ok(Refused::Request(_) | Refused::Nothing) => {}
        }
    }
}

/// A buffer for any request: the kernel reads nothing into one that could not hold the largest WRITE.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; REQUEST_BYTES_MAX as usize + HEADERS_BYTES_MAX]
}

/// Waits for the next request on `device`, reads it into `buffer`, and refuses it.
///
/// # Errors
/// `ENODEV` when the last mount is gone; others when the device fails.
pub(super) fn refuse_next(device: impl AsFd, buffer: &mut [u8]) -> io::Result<Refused> {
    let len = loop {
        match rustix::io::read(&device, &mut *buffer) {
            // ENOENT: the request was given up while it was being read (Linux, fs/fuse/dev.c, `fuse_dev_do_read`).
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
            read => break read?,
        }
    };
    let (opcode, unique) = header(&buffer[..len]).ok_or(io::ErrorKind::InvalidData)?;
    if [FORGET, INTERRUPT, BATCH_FORGET].contains(&opcode) {
        return Ok(Refused::Nothing);
    }
    refuse(device, unique)?;
    Ok(Refused::Request(unique))
}

/// Opcode and number of a request (`fuse_in_header`).
fn header(request: &[u8]) -> Option<(u32, u64)> {
    let opcode = request.get(4..8)?.try_into().ok()?;
    let unique = request.get(8..16)?.try_into().ok()?;
    Some((u32::from_ne_bytes(opcode), u64::from_ne_bytes(unique)))
}

/// Answers the request of this number with EIO, if there is one.
///
/// # Errors
/// `ENODEV` when the last mount is gone.
pub(super) fn refuse(device: impl AsFd, unique: u64) -> io::Result<()> {
    let mut answer = [0; 16];
    answer[..4].copy_from_slice(&16_u32.to_ne_bytes());
    answer[4..8].copy_from_slice(&(-Errno::IO.raw_os_error()).to_ne_bytes());
    answer[8..].copy_from_slice(&unique.to_ne_bytes());
    match rustix::io::write(device, &answer) {
        // Nobody waits for an answer of this number, or any more.
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
