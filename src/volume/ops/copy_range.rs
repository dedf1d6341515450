//! copy_file_range(2): the same chunks get further extents, no byte is copied.
//!
//! Of a large range not even the extents are written before the caller has its answer: one row says what is to be
//! copied, the target is read through the source until it is, and the reaper writes the extents
//! (docs/decisions/0016-copies-that-are-answered-first.md).

use std::ops::Range;

use crate::meta::{Copies, Missing, WriteTx};
use crate::types::{Caller, Ino, MAX_FILE_BYTES, Timestamp, about_to_wait};
use crate::volume::change::change_for;
use crate::volume::core::Core;
use crate::volume::data::extents::{clear, file};
use crate::volume::data::incoming::{SetIdBits, Write, WriteOrigin};
use crate::volume::data::read::Wait;
use crate::volume::durability::copying::finish_copies;
use crate::volume::durability::refusal_record::clear_refused;
use crate::volume::durability::refused_retry::check_whole;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;
use crate::volume::ops::privilege::{Privileges, clear_unless_superuser};
use crate::volume::ops::read::read;
use crate::volume::ops::write::write;
use crate::volume::tuning::CopyTuning;

/// Extents that one transaction copies: what is more is left to the reaper, or for the next call.
const EXTENTS_MAX: usize = 2048;
/// Bytes that one transaction copies: the target may have many extents there that have to go.
const BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Copies under way, of 2 GiB each at most: whoever needs them written does not wait for more.
const UNDER_WAY_MAX: u64 = 32;
/// This many extents that are together shorter than as many of [`SHORT_EXTENT_BYTES`] are copied as bytes.
const SHORT_EXTENTS_MIN: usize = 32;
const SHORT_EXTENT_BYTES: u64 = 2048;
/// Bytes that one call copies as bytes.
const COPIED_BYTES_MAX: usize = 1024 * 1024;

/// When the extents of a copy are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    AtOnce,
    /// By the reaper, or by whoever changes one of the two files.
    Later,
}

/// As [`crate::volume::Volume::copy_range`].
pub(super) fn copy_range(
    core: &Core,
    caller: &Caller,
    (source, from): (Ino, u64),
    (target, to): (Ino, u64),
    len: u64,
) -> Result<u64> {
    // A copy of many extents takes long.
    about_to_wait();
    check_whole(core, source, &(from..from.saturating_add(len)))?;
    if is_scattered(core, source, from, len)? {
        return copy_bytes(core, caller, (source, from), (target, to), len);
    }
    // Else bytes of the target that were refused before could be stored over these, which are newer.
    let _order = core.refused().order(target);
    let in_the_way = [Copies::Into(source), Copies::From(target)];
    finish_copies(core, &in_the_way)?;
    let copied = change_for(core, caller, Space::Needs, |tx, privileges| {
        let size = file(tx, source)?.attr.size;
        let len = len.min(size.saturating_sub(from));
        if to.checked_add(len).is_none_or(|end| end > MAX_FILE_BYTES) {
            return Err(Error::FileTooLarge);
        }
        if source == target && from.abs_diff(to) < len {
            return Err(Error::Invalid);
        }
        if len == 0 {
            return Ok((0, How::AtOnce));
        }
        // There are some again only if somebody else copies at this moment.
        in_the_way
            .iter()
            .try_for_each(|which| tx.finish_copies(*which))?;
        let (range, how) = choose(core, tx, (source, from..from + len), (target, to))?;
        place(tx, privileges, (source, &range), (target, to), how)?;
        Ok((range.end - range.start, how))
    });
    let (len, how) = copied?;
    clear_refused(core, target, &(to..to + len));
    if how == How::Later {
        core.lookups().call_backlog();
    }
    Ok(len)
}

/// How a range is copied, and how much of it.
fn choose(
    core: &Core,
    tx: &WriteTx<'_>,
    (source, range): (Ino, Range<u64>),
    (target, to): (Ino, u64),
) -> Result<(Range<u64>, How)> {
    let CopyTuning {
        at_once_extents: at_once,
        later_bytes: shortest,
        ..
    } = core.tuning().copies;
    if let Some(next) = tx.nth_start(source, &range, at_once)? {
        let is_long = next - range.start >= shortest * at_once as u64;
        let written = to..to + (range.end - range.start);
        if is_long
            && source != target
            && core.copies().is_open()
            && tx.copies()? < UNDER_WAY_MAX
            && tx.is_clear(target, &written)?
            // What is answered must not fail for want of space.
            && core.metadata().reserve().cover_copies()
        {
            return Ok((range, How::Later));
        }
    }
    let range = range.start..range.end.min(range.start + BYTES_MAX);
    let next = tx.nth_start(source, &range, EXTENTS_MAX)?;
    Ok((range.start..next.unwrap_or(range.end), How::AtOnce))
}

/// Whether the range begins with extents so small that sharing them costs more than copying the bytes, and
/// would let a few system calls make millions of rows.
fn is_scattered(core: &Core, source: Ino, from: u64, len: u64) -> Result<bool> {
    let range = from..from.saturating_add(len).min(MAX_FILE_BYTES);
    let extents = core
        .database()
        .read_once()?
        .extents(source, &range, SHORT_EXTENTS_MIN)?;
    let bytes: u64 = extents
        .iter()
        .filter_map(|e| e.clip(&range))
        .map(|part| part.len)
        .sum();
    Ok(extents.len() >= SHORT_EXTENTS_MIN && bytes < SHORT_EXTENT_BYTES * SHORT_EXTENTS_MIN as u64)
}

fn copy_bytes(
    core: &Core,
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
    let bytes = read(core, source, from, len, Wait::ALLOWED)?;
    write(
        core,
        &Write {
            ino: target,
            offset: to,
            data: &bytes,
            origin: WriteOrigin::Caller,
            bits: SetIdBits::Clear(*caller),
        },
    )?;
    Ok(bytes.len() as u64)
}

/// Maps what is in `range` at `to`.
fn place(
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    (source, range): (Ino, &Range<u64>),
    (target, to): (Ino, u64),
    how: How,
) -> Result<()> {
    let mut inode = file(tx, target)?;
    let end = to + (range.end - range.start);
    inode.attr.allocated += match how {
        How::AtOnce => {
            // Before anything is mapped there: the tables take no two extents for one byte.
            clear(tx, &mut inode, &(to..end))?;
            tx.share_range((source, range), (target, to), Missing::Refused)?
        }
        How::Later => {
            let bytes = covered(tx, source, range)?;
            tx.begin_copy((source, range), (target, to), bytes)?;
            bytes
        }
    };
    inode.attr.size = inode.attr.size.max(end);
    inode.attr.mtime = Timestamp::now();
    inode.attr.ctime = inode.attr.mtime;
    clear_unless_superuser(tx, privileges, &mut inode)?;
    Ok(tx.update_inode(&mut inode)?)
}

/// How many bytes of `range` extents cover. Of a file without holes this is known without looking at them.
fn covered(tx: &WriteTx<'_>, ino: Ino, range: &Range<u64>) -> Result<u64> {
    let attr = file(tx, ino)?.attr;
    if attr.allocated == attr.size {
        return Ok(range.end - range.start);
    }
    Ok(tx.covered(ino, range)?)
}
