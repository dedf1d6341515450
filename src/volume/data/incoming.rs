//! A write as it comes in.

use std::ops::Range;

use crate::types::{Caller, Ino, Timestamp};

/// Where a write comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrigin {
    /// From the kernel's page cache, which also owns the file's times.
    PageCache,
    /// From a caller directly: the file's times change now.
    Caller,
    /// From an archive, which says what the file's times are.
    Archive {
        /// When it was last read.
        atime: Timestamp,
        /// When it was last written.
        mtime: Timestamp,
    },
}

/// What becomes of set-user-ID, set-group-ID and file capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetIdBits {
    /// They stay.
    Keep,
    /// They are cleared, as a write by this caller without CAP_FSETID does (inode(7)).
    Clear(Caller),
}

/// A write of bytes to a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::volume) struct Write<'d> {
    pub(in crate::volume) ino: Ino,
    pub(in crate::volume) offset: u64,
    pub(in crate::volume) data: &'d [u8],
    pub(in crate::volume) origin: WriteOrigin,
    pub(in crate::volume) bits: SetIdBits,
}

impl Write<'_> {
    /// Whether it changes nothing but bytes, and the size that they reach to.
    pub(in crate::volume) fn is_plain(&self) -> bool {
        self.origin == WriteOrigin::PageCache && self.bits == SetIdBits::Keep
    }

    /// The bytes of the file that it writes.
    pub(in crate::volume) const fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.data.len() as u64)
    }
}

/// Bytes of a file that the page cache writes back.
#[derive(Debug)]
pub struct WriteBack {
    /// The file.
    pub ino: Ino,
    /// Where they begin in the file, in bytes.
    pub offset: u64,
    /// The bytes.
    pub data: Vec<u8>,
}

impl WriteBack {
    pub(in crate::volume) fn as_write(&self) -> Write<'_> {
        Write {
            ino: self.ino,
            offset: self.offset,
            data: &self.data,
            origin: WriteOrigin::PageCache,
            bits: SetIdBits::Keep,
        }
    }
}
