//! copy_file_range(2): the same chunks get further extents, no byte is copied.

use std::ops::Range;

use super::core::Space;
use super::privilege::clear_unless_superuser;
use super::setattr::clear;
use super::write::file;
use super::{Error, Result, SetIdBits, Volume, WriteOrigin};
use crate::meta::{ExtentRow, WriteTx};
use crate::types::{Caller, Ino, MAX_FILE_BYTES, Timestamp};

/// Extents that one transaction copies: the rest of a larger range is left for the next call.
const EXTENTS_MAX: usize = 2048;
/// This many extents that are together shorter than as many of [`CRUMB_BYTES`] are copied as bytes.
const CRUMBS_MIN: usize = 32;
const CRUMB_BYTES: u64 = 2048;
/// Bytes that one call copies as bytes.
const COPIED_BYTES_MAX: usize = 1024 * 1024;

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
        if self.is_crumbled(source, from, len)? {
            return self.copy_bytes(caller, (source, from), (target, to), len);
        }
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
            let range = from..from + len;
            let next = tx.nth_start(source, &range, EXTENTS_MAX)?;
            let len = next.unwrap_or(range.end) - from;
            place(tx, caller, (source, from), (target, to), len)?;
            Ok(len)
        })
    }
}

impl Volume {
    /// Whether the range begins with extents so small that sharing them costs more than copying the bytes, and
    /// would let a few system calls make millions of rows.
    fn is_crumbled(&self, source: Ino, from: u64, len: u64) -> Result<bool> {
        let range = from..from.saturating_add(len).min(MAX_FILE_BYTES);
        let extents = self
            .core
            .database
            .read_once()?
            .extents(source, &range, CRUMBS_MIN)?;
        let bytes: u64 = extents
            .iter()
            .filter_map(|e| e.clip(&range))
            .map(|part| part.len)
            .sum();
        Ok(extents.len() >= CRUMBS_MIN && bytes < CRUMB_BYTES * CRUMBS_MIN as u64)
    }

    fn copy_bytes(
        &self,
        caller: &Caller,
        (source, from): (Ino, u64),
        (target, to): (Ino, u64),
        len: u64,
    ) -> Result<u64> {
        let len = usize::try_from(len)
            .unwrap_or(usize::MAX)
            .min(COPIED_BYTES_MAX);
        if source == target && from.abs_diff(to) < len as u64 {
            return Err(Error::Invalid);
        }
        let bytes = self.read(source, from, len)?;
        self.write(
            target,
            to,
            &bytes,
            WriteOrigin::Caller,
            SetIdBits::Clear(*caller),
        )?;
        Ok(bytes.len() as u64)
    }
}

/// Maps what is in `from..from + len` at `to`.
fn place(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    (source, from): (Ino, u64),
    (target, to): (Ino, u64),
    len: u64,
) -> Result<()> {
    let mut inode = file(tx, target)?;
    clear(tx, &mut inode, &(to..to + len))?;
    let range = from..from + len;
    let (parts, whole) = split(tx, source, &range)?;
    for part in parts {
        let off = to + (part.off - from);
        let born = tx.epoch();
        tx.add_ref(part.chunk)?;
        tx.put_extent(target, &ExtentRow { off, born, ..part })?;
        inode.attr.allocated += part.len;
    }
    let at = (target, to + (whole.start - from));
    inode.attr.allocated += tx.copy_extents((source, &whole), at)?;
    inode.attr.size = inode.attr.size.max(to + len);
    inode.attr.mtime = Timestamp::now();
    inode.attr.ctime = inode.attr.mtime;
    clear_unless_superuser(tx, caller, &mut inode)?;
    Ok(tx.update_inode(&mut inode)?)
}

/// The parts of extents that reach over an end of the range, and the range between them.
fn split(tx: &WriteTx<'_>, ino: Ino, range: &Range<u64>) -> Result<(Vec<ExtentRow>, Range<u64>)> {
    let (mut parts, mut whole) = (Vec::new(), range.clone());
    let first = tx.extents(ino, &(range.start..range.start + 1), 1)?;
    let last = tx.extents(ino, &(range.end - 1..range.end), 1)?;
    if let Some(first) = first.first().filter(|first| first.off < range.start) {
        whole.start = first.end().min(range.end);
        parts.extend(first.clip(range));
    }
    if let Some(last) = last
        .last()
        .filter(|last| last.end() > range.end && last.off >= whole.start)
    {
        whole.end = last.off;
        parts.extend(last.clip(range));
    }
    Ok((parts, whole))
}
