//! What is agreed with the kernel at INIT (Linux, include/uapi/linux/fuse.h).

use std::io;

use fuser::{InitFlags, KernelConfig};

/// Bytes of the largest request.
pub(super) const REQUEST_BYTES_MAX: u32 = 1024 * 1024;
/// Read-aheads and write-backs that the kernel may have under way at once.
pub(super) const BACKGROUND_MAX: u16 = 64;
/// The same where some may wait for a repository, behind which the others must not wait.
pub(super) const BACKGROUND_MAX_WAITING: u16 = 16 * 1024;

/// Without these nothing would be right: each has a rule in docs/semantics.md that rests on it.
const NEEDED: InitFlags = InitFlags::FUSE_WRITEBACK_CACHE
    .union(InitFlags::FUSE_DONT_MASK)
    .union(InitFlags::FUSE_POSIX_ACL)
    .union(InitFlags::FUSE_HANDLE_KILLPRIV_V2)
    .union(InitFlags::FUSE_NO_OPEN_SUPPORT)
    .union(InitFlags::FUSE_NO_OPENDIR_SUPPORT);

/// The same for the snapshots' superblock, to which nobody writes: with the write-back cache the kernel would
/// take what root writes for written.
const NEEDED_READ_ONLY: InitFlags = InitFlags::FUSE_POSIX_ACL
    .union(InitFlags::FUSE_NO_OPEN_SUPPORT)
    .union(InitFlags::FUSE_NO_OPENDIR_SUPPORT);

/// These only save time.
const USEFUL: [InitFlags; 6] = [
    InitFlags::FUSE_EXPORT_SUPPORT,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_MAX_PAGES,
];

// Never asked for, with what the kernel would do and what we would get wrong:
// - FUSE_ASYNC_DIO: answers io_submit(2) of a direct write before it drops the pages of the range, and nobody drops
//   them later: readers see old bytes, and the next write through the page cache puts them back (decision 18).
// - FUSE_ATOMIC_O_TRUNC: leaves truncation to OPEN, which is not sent: it would be lost.
// - FUSE_SETXATTR_EXT: lengthens a struct that fuser parses by its old length.
// - FUSE_CREATE_SUPP_GROUP, FUSE_SECURITY_CTX: append to requests what fuser takes for the name.
// - FUSE_ALLOW_IDMAP: sends ids that are not the filesystem's.
// - FUSE_PASSTHROUGH: excludes the write-back cache for the whole connection.

/// What a superblock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    /// The head: whoever may write does, and the kernel holds what was written for a while.
    ReadWrite,
    /// Snapshots.
    ReadOnly,
}

/// Agrees on the terms of a connection.
///
/// # Errors
/// `EPROTO` when the kernel lacks something without which cask would lose data or permissions.
pub(super) fn agree(
    config: &mut KernelConfig,
    terms: Terms,
    background_max: u16,
) -> io::Result<()> {
    let needed = match terms {
        Terms::ReadWrite => NEEDED,
        Terms::ReadOnly => NEEDED_READ_ONLY,
    };
    config.add_capabilities(needed).map_err(|missing| {
        log::error!("this kernel's FUSE lacks {missing:?}; Linux 5.11 or newer is needed");
        io::Error::from_raw_os_error(libc::EPROTO)
    })?;
    for useful in USEFUL {
        if let Err(missing) = config.add_capabilities(useful) {
            log::info!("this kernel's FUSE lacks {missing:?}");
        }
    }
    let limits = [
        config.set_max_write(REQUEST_BYTES_MAX).is_ok(),
        config.set_max_background(background_max).is_ok(),
        config
            .set_congestion_threshold(background_max / 4 * 3)
            .is_ok(),
    ];
    if limits.contains(&false) {
        log::info!("some limits of the FUSE connection stay at their defaults");
    }
    Ok(())
}
