//! Reading data: the extents of a range, and the bytes of their chunks, verified.

use std::ops::Range;

use super::core::{Core, inode};
use super::{Error, Result, Volume};
use crate::chunks;
use crate::meta::StoredExtent;
use crate::types::{Attr, FileKind, Ino};

/// How often a read looks extents up again when a segment was collected under it.
const ATTEMPTS: usize = 4;

impl Volume {
    /// Reads at most `len` bytes at `offset`; fewer only at the end of the file. Holes read as zeros.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Corrupt`] when stored bytes are not those
    /// that were written, I/O errors.
    pub fn read(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.seen(|| {
            let bytes = self.core.read(ino, offset, len)?;
            Ok(self.with_kept(ino, offset, len, bytes))
        })
    }
}

/// The part of `len` bytes from `offset` on that lies within a file.
pub(super) fn clip(attr: &Attr, offset: u64, len: usize) -> Result<Range<u64>> {
    match attr.kind {
        FileKind::File => {}
        FileKind::Directory => return Err(Error::IsDirectory),
        _ => return Err(Error::Invalid),
    }
    Ok(offset..offset.saturating_add(len as u64).min(attr.size).max(offset))
}

impl Core {
    pub(super) fn read(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.read_with(ino, offset, || self.find_extents(ino, offset, len))
    }

    /// Reads what `find` finds; looks again when a segment was collected meanwhile.
    pub(super) fn read_with(
        &self,
        ino: Ino,
        offset: u64,
        find: impl Fn() -> Result<(Range<u64>, Vec<StoredExtent>)>,
    ) -> Result<Vec<u8>> {
        let mut attempt = 1;
        loop {
            let (range, extents) = find()?;
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            match self.fill(&mut bytes, &range, &extents) {
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
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
    ) -> Result<(Range<u64>, Vec<StoredExtent>)> {
        let tx = self.database.read()?;
        let range = clip(&inode(&tx, ino)?.attr, offset, len)?;
        let extents = tx.stored_extents(ino, &range)?;
        Ok((range, extents))
    }

    /// Fills in the bytes of `extents`; `bytes` is zero elsewhere.
    fn fill(
        &self,
        bytes: &mut [u8],
        range: &Range<u64>,
        extents: &[StoredExtent],
    ) -> chunks::Result<()> {
        for extent in extents {
            let start = extent.off.max(range.start);
            let end = (extent.off + extent.len).min(range.end);
            let skip = extent.chunk_off + (start - extent.off);
            let at = |offset: u64| usize::try_from(offset - range.start).unwrap_or(usize::MAX);
            let out = bytes.get_mut(at(start)..at(end)).unwrap_or_default();
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            self.store.read(&extent.at, &extent.sums, skip, out)?;
        }
        Ok(())
    }
}
