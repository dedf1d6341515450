//! copy_file_range(2): the same chunks get further extents, no byte is copied.
//!
//! Of a large range not even the extents are written before the caller has its answer: one row says what is to be
//! copied, the target is read through the source until it is, and the reaper writes the extents
//! (docs/decisions/0016-copies-that-are-answered-first.md).

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::core::{Core, Space};
use super::privilege::{Privileges, clear_unless_superuser};
use super::setattr::clear;
use super::write::file;
use super::{Error, Result, SetIdBits, Volume, WriteOrigin};
use crate::meta::{Copies, Missing, WriteTx};
use crate::types::{Caller, Ino, MAX_FILE_BYTES, Timestamp};

/// Extents that one transaction copies: what is more is left to the reaper, or for the next call.
const EXTENTS_MAX: usize = 2048;
/// Bytes that one transaction copies: the target may have many extents there that have to go.
const BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Extents that are shorter on average are not left to the reaper: who changes the file next would wait for too many.
const LATER_BYTES_MIN: u64 = 32 * 1024;
/// Copies under way, of 2 GiB each at most: whoever needs them written does not wait for more.
const UNDER_WAY_MAX: u64 = 32;
/// Extents that one transaction writes of a copy under way: about 1 ms with the writer held.
const STEP_EXTENTS: usize = 1024;
/// Between two such transactions, for others who want to write.
const STEP_PAUSE: Duration = Duration::from_micros(200);
/// This many extents that are together shorter than as many of [`CRUMB_BYTES`] are copied as bytes.
const CRUMBS_MIN: usize = 32;
const CRUMB_BYTES: u64 = 2048;
/// Bytes that one call copies as bytes.
const COPIED_BYTES_MAX: usize = 1024 * 1024;

/// When the extents of a copy are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    AtOnce,
    /// By the reaper, or by whoever changes one of the two files.
    Later,
}

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
        self.check_whole(source, &(from..from.saturating_add(len)))?;
        if self.is_crumbled(source, from, len)? {
            return self.copy_bytes(caller, (source, from), (target, to), len);
        }
        let _order = self.core.refused.order(target);
        let in_the_way = [Copies::Into(source), Copies::From(target)];
        self.core.finish_copies(&in_the_way)?;
        let copied = self
            .core
            .change_for(caller, Space::Needs, |tx, privileges| {
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
                let (range, how) = self.choose(tx, (source, from..from + len), (target, to))?;
                place(tx, privileges, (source, &range), (target, to), how)?;
                Ok((range.end - range.start, how))
            });
        let (len, how) = copied?;
        self.core.settle_refused(target, &(to..to + len));
        if how == How::Later {
            self.core.residents.call_backlog();
        }
        Ok(len)
    }
}

impl Volume {
    /// How a range is copied, and how much of it.
    fn choose(
        &self,
        tx: &WriteTx<'_>,
        (source, range): (Ino, Range<u64>),
        (target, to): (Ino, u64),
    ) -> Result<(Range<u64>, How)> {
        // Whoever looks for trouble in tests shall find copies under way.
        let (at_once, shortest) = if self.core.collector.is_eager() {
            (1, 1)
        } else {
            (EXTENTS_MAX, LATER_BYTES_MIN)
        };
        if let Some(next) = tx.nth_start(source, &range, at_once)? {
            let is_long = next - range.start >= shortest * at_once as u64;
            let written = to..to + (range.end - range.start);
            if is_long
                && source != target
                && self.core.copies_held.load(Ordering::SeqCst) == 0
                && tx.copies()? < UNDER_WAY_MAX
                && tx.is_clear(target, &written)?
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

impl Core {
    /// Writes the extents of these copies, which were answered already, in transactions of bounded length. None is
    /// left for later meanwhile, else this might not end.
    pub(super) fn finish_copies(&self, which: &[Copies]) -> Result<()> {
        if self.database.may_be_copying() {
            which.iter().try_for_each(|which| self.finish(*which))?;
        }
        Ok(())
    }

    fn finish(&self, which: Copies) -> Result<()> {
        if !self.database.read_once()?.has_copies(which)? {
            return Ok(());
        }
        self.copies_held.fetch_add(1, Ordering::SeqCst);
        let mut carried_on = Ok(true);
        while matches!(carried_on, Ok(true)) {
            carried_on = self.carry_on(which);
        }
        self.copies_held.fetch_sub(1, Ordering::SeqCst);
        carried_on.map(drop)
    }

    /// Writes some extents of the oldest copy; whether there was one.
    pub(super) fn copy_some(&self) -> Result<bool> {
        Ok(self.database.may_be_copying() && self.carry_on(Copies::All)?)
    }

    /// What was answered may take from the reserve: it is not refused for want of space.
    fn carry_on(&self, which: Copies) -> Result<bool> {
        let step = if self.collector.is_eager() {
            8
        } else {
            STEP_EXTENTS
        };
        let found = self.change(Space::Frees, |tx| Ok(tx.carry_on_copies(which, step)?))?;
        thread::sleep(STEP_PAUSE);
        Ok(found)
    }
}
