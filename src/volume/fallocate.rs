//! fallocate(2).

use std::ops::Range;

use super::core::Space;
use super::privilege::clear_unless_superuser;
use super::reaper::ROWS_MAX;
use super::write::file;
use super::{Error, Result, Volume};
use crate::meta::Copies;
use crate::types::{Caller, Ino, MAX_FILE_BYTES, Timestamp};

/// What to do with the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallocateMode {
    /// Extend the file to its end. No space is set aside: data is never written in place.
    Extend,
    /// Set space aside, keep the size: does nothing, for the same reason.
    Reserve,
    /// Make it a hole, keep the size.
    PunchHole,
    /// Make it read as zeros, and extend the file to its end.
    ZeroRange,
    /// Make it read as zeros, keep the size.
    ZeroRangeKeepSize,
}

impl Volume {
    /// Prepares a range of a file. A hole of many extents is made in several transactions.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Invalid`] for an empty range,
    /// [`Error::FileTooLarge`], [`Error::NoSpace`], I/O errors.
    pub fn fallocate(
        &self,
        caller: &Caller,
        ino: Ino,
        offset: u64,
        len: u64,
        mode: FallocateMode,
    ) -> Result<()> {
        if len == 0 {
            return Err(Error::Invalid);
        }
        let end = offset.checked_add(len).filter(|&end| end <= MAX_FILE_BYTES);
        let range = offset..end.ok_or(Error::FileTooLarge)?;
        match mode {
            FallocateMode::Extend => {
                self.check_room(ino, &range)?;
                self.extend(caller, ino, range.end)
            }
            FallocateMode::Reserve => {
                self.check_room(ino, &range)?;
                self.extend(caller, ino, 0)
            }
            FallocateMode::PunchHole | FallocateMode::ZeroRangeKeepSize => {
                self.punch(ino, &range)?;
                self.extend(caller, ino, 0)
            }
            FallocateMode::ZeroRange => {
                self.punch(ino, &range)?;
                self.extend(caller, ino, range.end)
            }
        }
    }

    /// Refuses a range for whose holes neither the host nor the volume's limit has room. Nothing is set aside: others
    /// may use it first.
    fn check_room(&self, ino: Ino, range: &Range<u64>) -> Result<()> {
        self.core.finish_copies(&[Copies::Into(ino)])?;
        let extents = self
            .core
            .database
            .read_once()?
            .extents(ino, range, usize::MAX)?;
        let covered = extents.iter().filter_map(|extent| extent.clip(range));
        let covered: u64 = covered.map(|part| part.len).sum();
        let wanted = (range.end - range.start).saturating_sub(covered);
        if wanted > self.available_on_host()? {
            return Err(Error::NoSpace);
        }
        let Some(limit) = self.limits().bytes else {
            return Ok(());
        };
        let held = self.core.database.with_tally(|tally| tally.logical)?;
        if wanted.saturating_add(held.unsigned_abs()) > limit {
            return Err(Error::OverLimit);
        }
        Ok(())
    }

    fn punch(&self, ino: Ino, range: &Range<u64>) -> Result<()> {
        let _order = self.core.refused.order(ino);
        self.core.finish_copies(&[Copies::From(ino)])?;
        loop {
            let unfinished = self.core.change(Space::Frees, |tx| {
                let mut inode = file(tx, ino)?;
                let cleared = tx.clear_range(ino, range, ROWS_MAX)?;
                inode.attr.allocated = inode.attr.allocated.saturating_sub(cleared.bytes);
                if cleared.rows > 0 {
                    tx.update_inode(&mut inode)?;
                }
                Ok(cleared.unfinished)
            })?;
            if !unfinished {
                self.core.settle_refused(ino, range);
                return Ok(());
            }
        }
    }

    fn extend(&self, caller: &Caller, ino: Ino, size: u64) -> Result<()> {
        self.core
            .change_for(caller, Space::Frees, |tx, privileges| {
                let mut inode = file(tx, ino)?;
                inode.attr.size = inode.attr.size.max(size);
                inode.attr.mtime = Timestamp::now();
                inode.attr.ctime = inode.attr.mtime;
                clear_unless_superuser(tx, privileges, &mut inode)?;
                Ok(tx.update_inode(&mut inode)?)
            })
    }
}
