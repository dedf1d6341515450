//! fallocate(2).

use std::ops::Range;

use crate::meta::Copies;
use crate::types::{Caller, Ino, MAX_FILE_BYTES, Timestamp, about_to_wait};
use crate::volume::change::{change, change_for};
use crate::volume::core::Core;
use crate::volume::data::extents::file;
use crate::volume::durability::copying::finish_copies;
use crate::volume::durability::refusal_record::clear_refused;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::{ROWS_MAX, Space};
use crate::volume::ops::privilege::clear_unless_superuser;
use crate::volume::space::statfs::available_on_host;

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

/// As [`crate::volume::Volume::fallocate`].
pub(super) fn fallocate(
    core: &Core,
    caller: &Caller,
    ino: Ino,
    offset: u64,
    len: u64,
    mode: FallocateMode,
) -> Result<()> {
    if len == 0 {
        return Err(Error::Invalid);
    }
    // A hole of many extents is many transactions.
    about_to_wait();
    let end = offset.checked_add(len).filter(|&end| end <= MAX_FILE_BYTES);
    let range = offset..end.ok_or(Error::FileTooLarge)?;
    match mode {
        FallocateMode::Extend => {
            check_room(core, ino, &range)?;
            extend(core, caller, ino, range.end)
        }
        FallocateMode::Reserve => {
            check_room(core, ino, &range)?;
            // Its times change, and its set-id bits go, as by a write.
            extend(core, caller, ino, 0)
        }
        FallocateMode::PunchHole | FallocateMode::ZeroRangeKeepSize => {
            punch(core, ino, &range)?;
            extend(core, caller, ino, 0)
        }
        FallocateMode::ZeroRange => {
            punch(core, ino, &range)?;
            extend(core, caller, ino, range.end)
        }
    }
}

/// Refuses a range for whose holes neither the host nor the volume's limit has room. Nothing is set aside: others
/// may use it first.
fn check_room(core: &Core, ino: Ino, range: &Range<u64>) -> Result<()> {
    // What is still to be written there has no extents yet that could be counted.
    finish_copies(core, &[Copies::Into(ino)])?;
    let extents = core
        .database()
        .read_once()?
        .extents(ino, range, usize::MAX)?;
    let covered = extents.iter().filter_map(|extent| extent.clip(range));
    let covered: u64 = covered.map(|part| part.len).sum();
    let wanted = (range.end - range.start).saturating_sub(covered);
    if wanted > available_on_host(core)? {
        return Err(Error::NoSpace);
    }
    let Some(limit) = core.bounds().get().bytes else {
        return Ok(());
    };
    let held = core.database().with_tally(|tally| tally.logical)?;
    if wanted.saturating_add(held.unsigned_abs()) > limit {
        return Err(Error::OverLimit);
    }
    Ok(())
}

fn punch(core: &Core, ino: Ino, range: &Range<u64>) -> Result<()> {
    let _order = core.refused().order(ino);
    finish_copies(core, &[Copies::From(ino)])?;
    loop {
        let unfinished = change(core, Space::Frees, |tx| {
            let mut inode = file(tx, ino)?;
            let cleared = tx.clear_range(ino, range, ROWS_MAX)?;
            inode.attr.allocated = inode.attr.allocated.saturating_sub(cleared.bytes);
            if cleared.rows > 0 {
                tx.update_inode(&mut inode)?;
            }
            Ok(cleared.unfinished)
        })?;
        if !unfinished {
            clear_refused(core, ino, range);
            return Ok(());
        }
    }
}

fn extend(core: &Core, caller: &Caller, ino: Ino, size: u64) -> Result<()> {
    change_for(core, caller, Space::Frees, |tx, privileges| {
        let mut inode = file(tx, ino)?;
        inode.attr.size = inode.attr.size.max(size);
        inode.attr.mtime = Timestamp::now();
        inode.attr.ctime = inode.attr.mtime;
        clear_unless_superuser(tx, privileges, &mut inode)?;
        Ok(tx.update_inode(&mut inode)?)
    })
}
