//! copy_file_range(2): the same chunks get further extents, no byte is copied.

use super::core::Space;
use super::setattr::{clear, clear_set_id};
use super::write::file;
use super::{Error, Result, Volume};
use crate::meta::{ExtentRow, WriteTx};
use crate::types::{Caller, Ino, MAX_FILE_BYTES, Timestamp};

/// Extents that one transaction copies: the rest of a larger range is left for the next call.
const EXTENTS_MAX: usize = 2048;

impl Volume {
    /// Copies at most `len` bytes from one place to another and returns how many; fewer at the end of
    /// the source, or of a source of very many extents.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Invalid`] when the ranges overlap,
    /// [`Error::FileTooLarge`], [`Error::NoSpace`], I/O errors.
    pub fn copy_range(
        &self,
        caller: &Caller,
        (source, from): (Ino, u64),
        (target, to): (Ino, u64),
        len: u64,
    ) -> Result<u64> {
        self.core.change(Space::Needs, |tx| {
            let size = file(tx, source)?.attr.size;
            let len = len.min(size.saturating_sub(from));
            if to.checked_add(len).is_none_or(|end| end > MAX_FILE_BYTES) {
                return Err(Error::FileTooLarge);
            }
            if source == target && from.abs_diff(to) < len {
                return Err(Error::Invalid);
            }
            if len == 0 {
                return Ok(0);
            }
            let extents = tx.extents(source, &(from..from + len), EXTENTS_MAX)?;
            let len = match extents.last() {
                Some(last) if extents.len() + 1 >= EXTENTS_MAX => (last.end() - from).min(len),
                _ => len,
            };
            place(tx, caller, &extents, from, (target, to), len)?;
            Ok(len)
        })
    }
}

/// Maps the parts of `extents` in `from..from + len` at `to`.
fn place(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    extents: &[ExtentRow],
    from: u64,
    (target, to): (Ino, u64),
    len: u64,
) -> Result<()> {
    let mut inode = file(tx, target)?;
    clear(tx, &mut inode, &(to..to + len))?;
    let born = tx.epoch();
    for part in extents
        .iter()
        .filter_map(|extent| extent.clip(&(from..from + len)))
    {
        tx.add_ref(part.chunk)?;
        tx.put_extent(
            target,
            &ExtentRow {
                off: to + (part.off - from),
                born,
                ..part
            },
        )?;
        inode.attr.allocated += part.len;
    }
    inode.attr.size = inode.attr.size.max(to + len);
    inode.attr.mtime = Timestamp::now();
    inode.attr.ctime = inode.attr.mtime;
    clear_set_id(tx, caller, &mut inode)?;
    Ok(tx.update_inode(&mut inode)?)
}
