//! Requests that a dead server had read and not answered, on a kernel that cannot send them again: they fail, so that
//! nobody waits for ever.
//!
//! The kernel numbers requests upwards by 2 (Linux, fs/fuse/dev.c, `FUSE_REQ_ID_STEP`), and hands them out in that order. So
//! what is in flight has a number below that of the next one that is read; an answer to a number that is not in flight
//! is refused and does nothing.

use std::io;
use std::os::fd::AsFd;

use super::refusal::{Refused, buffer, refuse, refuse_next};

const STEP: usize = 2;
/// An answer to 0 would be a notification.
const FIRST: u64 = 2;
/// No request is in flight for as long as it takes to count so far.
const REACH: u64 = 1 << 21;

/// Fails the requests that were read from `device` and not answered, and the next one, of which it waits for.
///
/// # Errors
/// `ENODEV` when the last mount is gone.
pub(super) fn fail_all(device: impl AsFd) -> io::Result<()> {
    let mut buffer = buffer();
    let next = loop {
        if let Refused::Request(unique) = refuse_next(&device, &mut buffer)? {
            break unique;
        }
    };
    let first = next.saturating_sub(REACH).max(FIRST);
    for unique in (first..next).step_by(STEP) {
        refuse(&device, unique)?;
    }
    Ok(())
}
