//! What a volume holds, and what the host has room for.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statvfs;

use super::{Error, Result, Volume};

/// What a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Inodes in the head.
    pub inodes: u64,
    /// Sum of file sizes in the head, in bytes.
    pub logical_bytes: u64,
    /// Bytes that the volume's directory takes on the host.
    pub physical_bytes: u64,
}

/// The filesystem that holds the volume (statvfs(3)); all counts but `block_bytes` are of its blocks or
/// inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceOnHost {
    /// Bytes in a block.
    pub block_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that are free.
    pub free: u64,
    /// Blocks that are free for anyone.
    pub available: u64,
    /// All inodes.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
}

impl Volume {
    /// Counts what the volume holds; looks at every inode.
    ///
    /// # Errors
    /// I/O errors.
    pub fn usage(&self) -> Result<Usage> {
        let (inodes, logical_bytes) = self.core.database.read_beside()?.count_inodes()?;
        let physical_bytes = bytes_below(&self.dir)
            .map_err(|e| Error::storage(format!("cannot measure {}", self.dir.display()), e))?;
        Ok(Usage {
            inodes,
            logical_bytes,
            physical_bytes,
        })
    }

    /// What the host has room for.
    ///
    /// # Errors
    /// I/O errors.
    pub fn space_on_host(&self) -> Result<SpaceOnHost> {
        let stat = statvfs(&self.dir).map_err(|e| {
            Error::storage(format!("cannot statvfs {}", self.dir.display()), e.into())
        })?;
        Ok(SpaceOnHost {
            block_bytes: stat.f_frsize,
            blocks: stat.f_blocks,
            free: stat.f_bfree,
            available: stat.f_bavail,
            inodes: stat.f_files,
            inodes_free: stat.f_ffree,
        })
    }
}

/// Allocated bytes of all files below a directory; what vanishes meanwhile does not count.
fn bytes_below(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path())?,
            Ok(meta) => meta.blocks() * 512,
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
    }
    Ok(bytes)
}
