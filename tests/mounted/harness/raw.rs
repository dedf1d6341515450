//! System calls that Rust has no safe word for: a shared mapping, and a `close` that tells its error.

#![allow(
    unsafe_code,
    reason = "mmap and the result of close are what some tests are about"
)]

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, IntoRawFd as _};
use std::path::Path;
use std::sync::atomic::AtomicU8;

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

/// A shared mapping of a file's first bytes.
pub(crate) struct SharedMap {
    address: *mut std::ffi::c_void,
    len: usize,
}

impl SharedMap {
    /// Maps the first `len` bytes of `file`, which must be at least that long.
    #[track_caller]
    pub(crate) fn new(file: impl AsFd, len: usize) -> Self {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing of ours.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                protection,
                MapFlags::SHARED,
                file,
                0,
            )
        };
        Self {
            address: address.unwrap(),
            len,
        }
    }

    /// The mapped bytes, as what they are: memory that others write as well.
    pub(crate) fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: the mapping is `len` bytes long and lives as long as `self`; AtomicU8 may be shared
        // with other writers and has no invalid value.
        unsafe { std::slice::from_raw_parts(self.address.cast::<AtomicU8>(), self.len) }
    }

    /// Stores `bytes` from `offset` on.
    pub(crate) fn store(&self, offset: usize, bytes: &[u8]) {
        for (cell, byte) in self.bytes()[offset..].iter().zip(bytes) {
            cell.store(*byte, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// `msync(MS_SYNC)`.
    pub(crate) fn sync(&self) -> rustix::io::Result<()> {
        // SAFETY: the range is the mapping's own.
        unsafe { msync(self.address, self.len, MsyncFlags::SYNC) }
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no slice of it outlives `self`.
        unsafe { munmap(self.address, self.len) }.ok();
    }
}

/// `close(2)`, with its error: write-back reports there.
pub(crate) fn close(file: File) -> io::Result<()> {
    // SAFETY: the descriptor was ours alone, and nobody has it any more.
    let result = unsafe { libc::close(file.into_raw_fd()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `truncate(2)`, by name: what no descriptor is open for.
pub(crate) fn truncate(path: &CStr, len: u64) -> io::Result<()> {
    // SAFETY: `path` is a C string that outlives the call.
    let result = unsafe { libc::truncate(path.as_ptr(), len.cast_signed()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Writes a file and has it on the disk; `write`, `fsync`, `close`: each may say that it cannot be.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    let result = file.write_all(bytes).and_then(|()| file.sync_all());
    result.and(close(file))
}
