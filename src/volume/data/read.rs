//! Reading data: the extents of a range, and the bytes of their chunks, verified.

use std::ops::Range;

use crate::chunks;
use crate::meta::StoredExtent;
use crate::types::{Attr, FileKind, Ino};
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::inode;

/// How often a read looks extents up again when a segment was collected under it.
const ATTEMPTS: usize = 4;

/// The part of `len` bytes from `offset` on that lies within a file.
pub(in crate::volume) fn clip(attr: &Attr, offset: u64, len: usize) -> Result<Range<u64>> {
    match attr.kind {
        FileKind::File => {}
        FileKind::Directory => return Err(Error::IsDirectory),
        _ => return Err(Error::Invalid),
    }
    // A file that ends before `offset` has an empty range there, and no reversed one.
    Ok(offset..offset.saturating_add(len as u64).min(attr.size).max(offset))
}

pub(in crate::volume) fn read_stored(
    core: &Core,
    ino: Ino,
    offset: u64,
    len: usize,
) -> Result<Vec<u8>> {
    read_with(core, ino, offset, || find_extents(core, ino, offset, len))
}

/// Reads what `find` finds; looks again when a segment was collected meanwhile.
pub(in crate::volume) fn read_with(
    core: &Core,
    ino: Ino,
    offset: u64,
    find: impl Fn() -> Result<(Range<u64>, Vec<StoredExtent>)>,
) -> Result<Vec<u8>> {
    let mut attempt = 1;
    loop {
        let (range, extents) = find()?;
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        match fill(core, &mut bytes, &range, &extents) {
            Ok(()) => return Ok(bytes),
            Err(chunks::Error::Missing { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error @ chunks::Error::Lost) => {
                log::debug!("{ino} at byte {offset}: {error}");
                return Err(error.into());
            }
            Err(error) => {
                log::error!("cannot read {ino} at byte {offset}: {error}");
                return Err(error.into());
            }
        }
    }
}

fn find_extents(
    core: &Core,
    ino: Ino,
    offset: u64,
    len: usize,
) -> Result<(Range<u64>, Vec<StoredExtent>)> {
    let tx = core.database().read()?;
    let range = clip(&inode(&tx, ino)?.attr, offset, len)?;
    // The transaction ends with this: bytes are read without one, so that a slow disk holds no state of the database.
    let extents = tx.stored_extents(ino, &range)?;
    Ok((range, extents))
}

/// Fills in the bytes of `extents`; `bytes` is zero elsewhere.
fn fill(
    core: &Core,
    bytes: &mut [u8],
    range: &Range<u64>,
    extents: &[StoredExtent],
) -> chunks::Result<()> {
    for extent in extents {
        let start = extent.off.max(range.start);
        let end = (extent.off + extent.len).min(range.end);
        let skip = extent.chunk_off + (start - extent.off);
        let at = |offset: u64| usize::try_from(offset - range.start).unwrap_or(usize::MAX);
        // Rows may be damaged: what does not fit the buffer is read into nothing, and fails by its checksum or its
        // length.
        let out = bytes.get_mut(at(start)..at(end)).unwrap_or_default();
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        core.chunks().read(&extent.at, &extent.sums, skip, out)?;
    }
    Ok(())
}
