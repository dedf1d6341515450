//! Inode attributes, and what callers may ask to change of them.

use super::{Ino, RequestId, Timestamp};

/// The type of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// FIFO.
    Fifo,
    /// Unix socket.
    Socket,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

impl FileKind {
    /// The type bits (`S_IFMT`) of `st_mode`, by which a kind is stored.
    #[must_use]
    pub const fn type_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
        }
    }

    /// The kind that the type bits of a `mode` name, if any.
    #[must_use]
    pub const fn from_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 => Some(Self::File),
            0o040_000 => Some(Self::Directory),
            0o120_000 => Some(Self::Symlink),
            0o010_000 => Some(Self::Fifo),
            0o140_000 => Some(Self::Socket),
            0o020_000 => Some(Self::CharDevice),
            0o060_000 => Some(Self::BlockDevice),
            _ => None,
        }
    }
}

/// What stat(2) tells of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// The inode's number.
    pub ino: Ino,
    /// Its type.
    pub kind: FileKind,
    /// Permission and set-id bits: 12 bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names that refer to it; 2 and more for directories.
    pub nlink: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes of it that data was stored for: less than `size` in a sparse file.
    pub allocated: u64,
    /// Device number of a device node, as Linux encodes it in 32 bits.
    pub rdev: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Last change of contents or attributes.
    pub ctime: Timestamp,
}

/// On whose behalf an operation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Filesystem user id.
    pub uid: u32,
    /// Filesystem group id.
    pub gid: u32,
    /// The process, to be asked for its supplementary groups; 0 when it is not known.
    pub pid: u32,
    /// The request by which it was asked for, if that may come again.
    pub request: Option<RequestId>,
}

impl Caller {
    /// The superuser.
    #[must_use]
    pub const fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            pid: 0,
            request: None,
        }
    }
}

/// A node to make.
#[derive(Debug, Clone)]
pub struct NewNode<'a> {
    /// Its type.
    pub kind: FileKind,
    /// Permission and set-id bits as asked for.
    pub mode: u32,
    /// The caller's umask, which counts only where the parent has no default ACL.
    pub umask: u32,
    /// Device number, 0 unless a device.
    pub rdev: u32,
    /// Target of a symbolic link, else empty.
    pub target: &'a [u8],
}

/// A time to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The present (`UTIME_NOW`).
    Now,
    /// This point.
    At(Timestamp),
}

/// The attributes to change; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAttr {
    /// Permission and set-id bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes: cuts, or extends with zeros.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
    /// Change time: the kernel sends it when it owns the times of a cached file.
    pub ctime: Option<Timestamp>,
}
