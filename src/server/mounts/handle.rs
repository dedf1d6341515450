//! Files of a mount by their inode numbers, without a path: for a process that is not the mount's server.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};

use super::{Spec, stage};
use crate::server::own_mount::check_no_server;
use crate::types::Ino;

/// `FILEID_INO64_GEN`, as FUSE makes its handles: the two halves of the number, the higher first, and a generation
/// (Linux, fs/fuse/inode.c, `fuse_encode_fh`).
const INO64_GEN: i32 = 0x81;

/// `struct file_handle` with what FUSE puts there.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    ino_high: u32,
    ino_low: u32,
    generation: u32,
}

/// The root of a mount of the head that is in no namespace.
#[derive(Debug)]
pub(in crate::server) struct FileOfMount(OwnedFd);

impl FileOfMount {
    /// A mount of the superblock that `fuse` is the `/dev/fuse` descriptor of.
    pub(in crate::server) fn stage(fuse: impl AsFd) -> io::Result<Self> {
        let mount: OwnedFd = stage(fuse.as_fd(), &Spec::unseen())?.into();
        // A descriptor that is a path only, as a new mount's is, leads to no handle.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(&mount, ".", flags, Mode::empty())?))
    }

    /// Opens a file for reading. `ESTALE` when it is gone; `EPERM` without CAP_DAC_READ_SEARCH.
    #[expect(unsafe_code, reason = "no library offers open_by_handle_at")]
    pub(in crate::server) fn open(&self, ino: Ino) -> io::Result<OwnedFd> {
        check_no_server();
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        let mut handle = Handle {
            bytes: 12,
            kind: INO64_GEN,
            ino_high: half(ino.raw() >> 32),
            ino_low: half(ino.raw()),
            generation: 0,
        };
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        // SAFETY: `handle` is laid out as `struct file_handle` and as long as it says; the kernel only reads it.
        let fd = unsafe {
            libc::open_by_handle_at(
                self.0.as_raw_fd(),
                std::ptr::from_mut(&mut handle).cast::<libc::file_handle>(),
                flags,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Has the kernel write out the dirty pages of a file, and waits for that; no FSYNC follows (sync_file_range(2)).
#[expect(unsafe_code, reason = "no library offers sync_file_range")]
pub(in crate::server) fn write_out(file: impl AsFd) -> io::Result<()> {
    let how = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let file = file.as_fd().as_raw_fd();
    loop {
        // SAFETY: it takes numbers only.
        if unsafe { libc::sync_file_range(file, 0, 0, how) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // A program that was killed while it renamed the file leaves its EINTR to whoever asks next, who is told once
        // (Linux, fs/fuse/dir.c, `fuse_flush_time_update`).
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
