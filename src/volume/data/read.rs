//! Reading data: the extents of a range, and the bytes of their chunks, verified.

use std::ops::Range;

use crate::chunks;
use crate::meta::StoredExtent;
use crate::types::{Attr, FileKind, Ino};
use crate::volume::core::Core;
use crate::volume::elsewhere;
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
    wait: Wait<'_>,
) -> Result<Vec<u8>> {
    read_with(core, (ino, offset), wait, || {
        find_extents(core, ino, offset, len)
    })
}

/// Whether a read may wait for a repository.
#[derive(Clone, Copy)]
pub(in crate::volume) enum Wait<'a> {
    /// It may, for as long as the volume says, and while this says that it goes on.
    While(&'a dyn Fn() -> bool),
    /// [`Error::Elsewhere`] then.
    Never,
}

impl Wait<'_> {
    /// For as long as the volume says.
    pub(in crate::volume) const ALLOWED: Self = Self::While(&|| true);
}

/// Reads what `find` finds; looks again when a segment was collected meanwhile.
pub(in crate::volume) fn read_with(
    core: &Core,
    (ino, offset): (Ino, u64),
    wait: Wait<'_>,
    find: impl Fn() -> Result<(Range<u64>, Vec<StoredExtent>)>,
) -> Result<Vec<u8>> {
    let mut attempt = 1;
    let mut until = None;
    loop {
        let (range, extents) = find()?;
        elsewhere::reached(core, &extents);
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
        match fill(core, &mut bytes, &range, &extents) {
            Ok(()) => return Ok(bytes),
            Err(chunks::Error::Missing { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(chunks::Error::Elsewhere) => {
                let Wait::While(goes_on) = wait else {
                    return Err(Error::Elsewhere);
                };
                let until = *until.get_or_insert_with(|| elsewhere::until(core));
                elsewhere::bring(core, &extents, &elsewhere::Bounds { until, goes_on })?;
            }
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
        if extent.at.is_elsewhere() {
            elsewhere::fill(core, extent, skip, out)?;
        } else {
            core.chunks().read(&extent.at, &extent.sums, skip, out)?;
        }
    }
    Ok(())
}
