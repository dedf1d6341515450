//! A request of the kernel, parsed: what is asked, by whom, and whether it was asked before. Knows no transport.
//!
//! Here are the operations that a volume answers. FORGET, which has no answer, and directory listings, of which only the
//! transport knows how much fits into one, are methods of their own in [`super::serve`].

use super::kind::Kind;
use crate::types::{Caller, Ino, Name, NewNode, RequestId, SetAttr};
use crate::volume::{FallocateMode, RenameMode, Seek, SetIdBits, SetXattrMode, WriteOrigin};

/// One request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// The inode that it is about, by its number in this superblock (`nodeid` of `fuse_in_header`). Where something has
    /// a name, this is the directory with the name.
    pub(super) at: Ino,
    /// Who asks; `request` is not set.
    pub(super) caller: Caller,
    /// Its name, the same when it comes again.
    pub(super) id: RequestId,
    /// Whether it may have been done.
    pub(super) sent: Sent,
    pub(super) operation: Operation<'a>,
}

/// Whether the kernel has sent a request before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has not.
    Once,
    /// To a server that died before it answered: it may have been done.
    Again,
}

/// What is asked, by its name in the protocol (Linux, include/uapi/linux/fuse.h). Offsets, lengths and sizes are in bytes.
#[derive(Debug)]
pub(super) enum Operation<'a> {
    Lookup {
        wanted: Wanted<'a>,
    },
    Getattr,
    Setattr(SetAttr),
    Readlink,
    /// Of regular files, too, for nobody is asked to CREATE one.
    Mknod {
        name: &'a Name,
        new: NewNode<'a>,
    },
    Mkdir {
        name: &'a Name,
        new: NewNode<'a>,
    },
    Symlink {
        name: &'a Name,
        new: NewNode<'a>,
    },
    Link {
        source: Ino,
        name: &'a Name,
    },
    Unlink {
        name: &'a Name,
    },
    Rmdir {
        name: &'a Name,
    },
    Rename {
        name: &'a Name,
        new_parent: Ino,
        new_name: &'a Name,
        mode: RenameMode,
    },
    Read {
        offset: u64,
        len: usize,
    },
    Write {
        offset: u64,
        data: &'a [u8],
        origin: WriteOrigin,
        bits: SetIdBits,
    },
    /// Also for fdatasync(2), which would save nothing here.
    Fsync,
    Fsyncdir,
    Fallocate {
        offset: u64,
        len: u64,
        mode: FallocateMode,
    },
    /// Copies from [`Request::at`].
    CopyFileRange {
        offset: u64,
        target: Ino,
        target_offset: u64,
        len: u64,
    },
    Lseek {
        offset: u64,
        seek: Seek,
    },
    Statfs,
    Setxattr {
        key: &'a [u8],
        value: &'a [u8],
        mode: SetXattrMode,
    },
    /// Of these two, `size` is what the caller has room for; 0 asks for the length (getxattr(2)).
    Getxattr {
        key: &'a [u8],
        size: u32,
    },
    Listxattr {
        size: u32,
    },
    Removexattr {
        key: &'a [u8],
    },
}

/// What a LOOKUP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// `.`: of an inode that the kernel has dropped, by those who open a file by its handle
    /// (Linux, Documentation/filesystems/nfs/exporting.rst).
    Itself,
    /// `..`: likewise.
    Parent,
    /// What has this name.
    Named(&'a Name),
}

/// A directory to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) dir: Ino,
    /// The place of the last entry that the kernel has; 0 is before all.
    pub(super) after: u64,
    pub(super) detail: Detail,
}

/// What is told of each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Number and type (READDIR).
    Names,
    /// All that a LOOKUP tells, and it counts as one for each entry but `.` and `..` (READDIRPLUS; Linux,
    /// fs/fuse/readdir.c, `fuse_direntplus_link`).
    Attributes,
}

/// How a request is called where something went wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) op: &'static str,
    pub(super) at: Ino,
    /// The name in [`Self::at`] that it is about, or the attribute's.
    pub(super) name: Option<&'a [u8]>,
    /// The process that asks; 0 is the kernel itself.
    pub(super) pid: u32,
}

impl<'a> Request<'a> {
    pub(super) fn label(&self) -> Label<'a> {
        Label {
            op: self.operation.kind().name(),
            at: self.at,
            name: self.operation.name(),
            pid: self.caller.pid,
        }
    }
}

impl<'a> Operation<'a> {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Lookup { .. } => Kind::Lookup,
            Self::Getattr => Kind::Getattr,
            Self::Setattr(_) => Kind::Setattr,
            Self::Readlink => Kind::Readlink,
            Self::Mknod { .. } => Kind::Mknod,
            Self::Mkdir { .. } => Kind::Mkdir,
            Self::Symlink { .. } => Kind::Symlink,
            Self::Link { .. } => Kind::Link,
            Self::Unlink { .. } => Kind::Unlink,
            Self::Rmdir { .. } => Kind::Rmdir,
            Self::Rename { .. } => Kind::Rename,
            Self::Read { .. } => Kind::Read,
            Self::Write { .. } => Kind::Write,
            Self::Fsync => Kind::Fsync,
            Self::Fsyncdir => Kind::Fsyncdir,
            Self::Fallocate { .. } => Kind::Fallocate,
            Self::CopyFileRange { .. } => Kind::CopyFileRange,
            Self::Lseek { .. } => Kind::Lseek,
            Self::Statfs => Kind::Statfs,
            Self::Setxattr { .. } => Kind::Setxattr,
            Self::Getxattr { .. } => Kind::Getxattr,
            Self::Listxattr { .. } => Kind::Listxattr,
            Self::Removexattr { .. } => Kind::Removexattr,
        }
    }

    fn name(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Lookup { wanted } => Some(wanted.as_bytes()),
            Self::Mknod { name, .. }
            | Self::Mkdir { name, .. }
            | Self::Symlink { name, .. }
            | Self::Link { name, .. }
            | Self::Unlink { name }
            | Self::Rmdir { name }
            | Self::Rename { name, .. } => Some(name.as_bytes()),
            Self::Setxattr { key, .. } | Self::Getxattr { key, .. } | Self::Removexattr { key } => {
                Some(key)
            }
            Self::Getattr
            | Self::Setattr(_)
            | Self::Readlink
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Fsync
            | Self::Fsyncdir
            | Self::Fallocate { .. }
            | Self::CopyFileRange { .. }
            | Self::Lseek { .. }
            | Self::Statfs
            | Self::Listxattr { .. } => None,
        }
    }
}

impl<'a> Wanted<'a> {
    fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Itself => b".",
            Self::Parent => b"..",
            Self::Named(name) => name.as_bytes(),
        }
    }
}

impl Listing {
    pub(super) const fn kind(&self) -> Kind {
        match self.detail {
            Detail::Names => Kind::Readdir,
            Detail::Attributes => Kind::Readdirplus,
        }
    }

    pub(super) const fn label(&self, pid: u32) -> Label<'static> {
        Label {
            op: self.kind().name(),
            at: self.dir,
            name: None,
            pid,
        }
    }
}

impl Label<'_> {
    /// Without the name, which lasts no longer than the request.
    pub(super) const fn nameless(self) -> Label<'static> {
        Label { name: None, ..self }
    }
}
