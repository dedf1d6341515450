//! A write as it comes in.

use std::ops::Range;

use crate::types::{Caller, Ino};

/// Where a write comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrigin {
    /// From the kernel's page cache, which also owns the file's times.
    PageCache,
    /// From a caller directly: the file's times change now.
    Caller,
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
    /// The bytes of the file that it writes.
    pub(in crate::volume) const fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.data.len() as u64)
    }
}
