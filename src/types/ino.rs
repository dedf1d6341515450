//! Inode numbers.

use std::fmt;

/// Identifies an inode within one volume.
///
/// Never reused over the volume's life, so a number that the kernel still holds can never come to
/// mean another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(u64);

impl Ino {
    /// The root directory, as FUSE fixes it (`FUSE_ROOT_ID`).
    pub const ROOT: Self = Self(1);

    /// The inode of this number.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The number itself.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {}", self.0)
    }
}
