//! Reading a segment's bytes: what the host has in memory at once, and for the rest the disk is waited for.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::types::about_to_wait;

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The host's memory, as far as it tells.
    Memory,
    /// Some of them from its disk.
    Disk,
}

/// Fills `out` with what stands in `file` from `offset` on.
///
/// # Errors
/// As [`FileExt::read_exact_at`].
pub(super) fn read_exact(file: &File, out: &mut [u8], offset: u64) -> io::Result<Source> {
    let mut slices = [IoSliceMut::new(out)];
    // Only what is in memory (preadv2(2), `RWF_NOWAIT`).
    let cached = preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT);
    let known = cached.unwrap_or(0);
    if known == out.len() {
        return Ok(Source::Memory);
    }
    about_to_wait();
    file.read_exact_at(&mut out[known..], offset + known as u64)?;
    match cached {
        Ok(_) | Err(Errno::AGAIN) => Ok(Source::Disk),
        // A filesystem of which nobody can ask that.
        Err(_) => Ok(Source::Memory),
    }
}

/// Whether the host has the page at `at` in memory, which asks for it.
#[cfg(test)]
pub(super) fn is_here(file: &File, at: u64) -> bool {
    let mut page = [0; 4096];
    let mut room = [IoSliceMut::new(&mut page)];
    preadv2(file, &mut room, at, ReadWriteFlags::NOWAIT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_it_is_and_not_beyond() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"0123456789", 0).unwrap();
        let mut out = [0; 4];
        read_exact(&file, &mut out, 3).unwrap();
        assert_eq!(&out, b"3456");
        let beyond = read_exact(&file, &mut out, 8).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }
}
