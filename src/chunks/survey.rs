//! The segment files of a directory: what there is, and a second name for what is shared.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::segment;
use crate::durable;
use crate::types::SegmentId;

/// A segment that takes no more records, and that nobody is about to name a record of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its number.
    pub id: SegmentId,
    /// Bytes of its file.
    pub bytes: u64,
    /// Volumes that share it: clones have it by a hard link.
    pub links: u64,
}

/// The segments that are there.
#[derive(Debug)]
pub struct Survey {
    /// Bytes of all.
    pub bytes: u64,
    /// Bytes of those that clones have, too.
    pub shared_bytes: u64,
    /// Those that take no more records.
    pub sealed: Vec<SealedSegment>,
}

/// The segment files in `dir`.
pub(super) fn list(dir: &Path) -> io::Result<Vec<SealedSegment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(segment::id_of) else {
            continue;
        };
        match entry.metadata() {
            Ok(file) => found.push(SealedSegment {
                id,
                bytes: file.len(),
                links: file.nlink(),
            }),
            // The collector removed it after the directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// A hard link, or a copy where the filesystem has none, has too many, or is another one.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::CrossesDevices
                    | io::ErrorKind::TooManyLinks
                    // EPERM of link(2): a filesystem without hard links, or a file of somebody else
                    // (fs.protected_hardlinks).
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::Unsupported
            ) =>
        {
            fs::copy(from, to)?;
            durable::sync_file(to)
        }
        result => result,
    }
}
