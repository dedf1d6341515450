//! What fuser's callbacks are given, as a request of ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fuser::{INodeNo, RenameFlags, WriteFlags};

use super::convert::{fallocate_mode, ino, rename_mode, seek, set_xattr_mode};
use super::request::{Label, Operation, Request, Sent, Wanted};
use crate::types::{Caller, FileKind, Name, NewNode, RequestId};
use crate::volume::{Error, Result, SetIdBits, WriteOrigin};

/// Set in the number of a request that the kernel sends again (`FUSE_UNIQUE_RESEND`).
const RESENT: u64 = 1 << 63;

/// What is asked, if it makes sense.
pub(super) type Parsed<'a> = std::result::Result<Operation<'a>, Malformed<'a>>;

/// An operation with an argument that it cannot have.
#[derive(Debug)]
pub(super) struct Malformed<'a> {
    op: &'static str,
    name: Option<&'a OsStr>,
    pub(super) error: Error,
}

impl<'a> Malformed<'a> {
    pub(super) fn label(&self, from: &fuser::Request, at: INodeNo) -> Label<'a> {
        Label {
            op: self.op,
            at: ino(at),
            name: self.name.map(OsStr::as_bytes),
            pid: from.pid(),
        }
    }
}

/// A request on the connection that began at `salt`.
pub(super) fn request<'a>(
    from: &fuser::Request,
    salt: u64,
    at: INodeNo,
    operation: Operation<'a>,
) -> Request<'a> {
    Request {
        at: ino(at),
        caller: caller(from),
        // Both times that it is sent.
        id: RequestId::new(salt, from.unique().0 & !RESENT),
        sent: sent(from),
        operation,
    }
}

/// Whether the kernel sent it before, to a server that died with it.
pub(super) fn sent(from: &fuser::Request) -> Sent {
    if from.unique().0 & RESENT == 0 {
        Sent::Once
    } else {
        Sent::Again
    }
}

pub(super) fn caller(from: &fuser::Request) -> Caller {
    Caller {
        uid: from.uid(),
        gid: from.gid(),
        pid: from.pid(),
        request: None,
    }
}

pub(super) fn lookup(key: &OsStr) -> Parsed<'_> {
    let wanted = match key.as_bytes() {
        b"." => Wanted::Itself,
        b".." => Wanted::Parent,
        _ => {
            return named("lookup", key, |name| {
                Ok(Operation::Lookup {
                    wanted: Wanted::Named(name),
                })
            });
        }
    };
    Ok(Operation::Lookup { wanted })
}

pub(super) fn mknod(key: &OsStr, mode: u32, umask: u32, rdev: u32) -> Parsed<'_> {
    named("mknod", key, |name| {
        let new = NewNode {
            kind: FileKind::from_mode(mode).ok_or(Error::Invalid)?,
            mode,
            umask,
            rdev,
            target: &[],
        };
        Ok(Operation::Mknod { name, new })
    })
}

pub(super) fn mkdir(key: &OsStr, mode: u32, umask: u32) -> Parsed<'_> {
    named("mkdir", key, |name| {
        let new = NewNode {
            kind: FileKind::Directory,
            mode,
            umask,
            rdev: 0,
            target: &[],
        };
        Ok(Operation::Mkdir { name, new })
    })
}

pub(super) fn symlink<'a>(key: &'a OsStr, target: &'a Path) -> Parsed<'a> {
    named("symlink", key, |name| {
        let new = NewNode {
            kind: FileKind::Symlink,
            mode: 0o777,
            umask: 0,
            rdev: 0,
            target: target.as_os_str().as_bytes(),
        };
        Ok(Operation::Symlink { name, new })
    })
}

pub(super) fn link(source: INodeNo, key: &OsStr) -> Parsed<'_> {
    let source = ino(source);
    named("link", key, |name| Ok(Operation::Link { source, name }))
}

pub(super) fn unlink(key: &OsStr) -> Parsed<'_> {
    named("unlink", key, |name| Ok(Operation::Unlink { name }))
}

pub(super) fn rmdir(key: &OsStr) -> Parsed<'_> {
    named("rmdir", key, |name| Ok(Operation::Rmdir { name }))
}

pub(super) fn rename<'a>(
    key: &'a OsStr,
    new_parent: INodeNo,
    new_key: &'a OsStr,
    flags: RenameFlags,
) -> Parsed<'a> {
    named("rename", key, |name| {
        Ok(Operation::Rename {
            name,
            new_parent: ino(new_parent),
            new_name: Name::parse(new_key.as_bytes())?,
            mode: rename_mode(flags)?,
        })
    })
}

pub(super) fn read<'a>(offset: u64, size: u32) -> Operation<'a> {
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    Operation::Read { offset, len }
}

pub(super) fn write<'a>(
    from: &fuser::Request,
    offset: u64,
    data: &'a [u8],
    flags: WriteFlags,
) -> Operation<'a> {
    let origin = if flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
        WriteOrigin::PageCache
    } else {
        WriteOrigin::Caller
    };
    let bits = if flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
        SetIdBits::Clear(caller(from))
    } else {
        SetIdBits::Keep
    };
    Operation::Write {
        offset,
        data,
        origin,
        bits,
    }
}

pub(super) fn fallocate<'a>(offset: u64, len: u64, mode: i32) -> Parsed<'a> {
    whole("fallocate", || {
        let mode = fallocate_mode(mode)?;
        Ok(Operation::Fallocate { offset, len, mode })
    })
}

pub(super) fn lseek<'a>(offset: i64, whence: i32) -> Parsed<'a> {
    whole("lseek", || {
        // Nothing is before the beginning, and ENXIO is what lseek(2) has for that.
        let offset = u64::try_from(offset).map_err(|_| Error::PastEnd)?;
        let seek = seek(whence)?;
        Ok(Operation::Lseek { offset, seek })
    })
}

pub(super) fn setxattr<'a>(key: &'a OsStr, value: &'a [u8], flags: i32) -> Parsed<'a> {
    let malformed = |error| Malformed {
        op: "setxattr",
        name: Some(key),
        error,
    };
    Ok(Operation::Setxattr {
        key: key.as_bytes(),
        value,
        mode: set_xattr_mode(flags).map_err(malformed)?,
    })
}

/// What is asked of `key`, which `parse` is given as a name.
fn named<'a>(
    op: &'static str,
    key: &'a OsStr,
    parse: impl FnOnce(&'a Name) -> Result<Operation<'a>>,
) -> Parsed<'a> {
    let name = Name::parse(key.as_bytes()).map_err(Error::from);
    name.and_then(parse).map_err(|error| Malformed {
        op,
        name: Some(key),
        error,
    })
}

/// What is asked of a whole inode.
fn whole<'a>(op: &'static str, parse: impl FnOnce() -> Result<Operation<'a>>) -> Parsed<'a> {
    let name = None;
    parse().map_err(|error| Malformed { op, name, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_may_ask_for_the_inode_itself_and_its_parent() {
        let wanted = |key| match lookup(OsStr::new(key)) {
            Ok(Operation::Lookup { wanted }) => Some(wanted),
            _ => None,
        };
        assert_eq!(wanted("."), Some(Wanted::Itself));
        assert_eq!(wanted(".."), Some(Wanted::Parent));
        let name = Name::parse(b"...").unwrap();
        assert_eq!(wanted("..."), Some(Wanted::Named(name)));
        assert_eq!(wanted(""), None);
    }

    #[test]
    fn what_makes_no_sense_says_why() {
        let long = "x".repeat(Name::MAX_BYTES + 1);
        let long = OsStr::new(&long);
        let name = OsStr::new("name");
        let error = |parsed: Parsed<'_>| parsed.unwrap_err().error;
        assert!(matches!(error(unlink(long)), Error::NameTooLong));
        assert!(matches!(error(mknod(name, 0o644, 0, 0)), Error::Invalid));
        assert!(matches!(error(lseek(-1, libc::SEEK_DATA)), Error::PastEnd));
        assert!(matches!(error(lseek(0, libc::SEEK_CUR)), Error::Invalid));
        assert!(matches!(error(fallocate(0, 1, -1)), Error::Unsupported));
        assert!(matches!(error(setxattr(name, b"", -1)), Error::Invalid));
        let flags = RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_NOREPLACE;
        let renamed = rename(name, INodeNo::ROOT, name, flags);
        assert!(matches!(error(renamed), Error::Invalid));
    }
}
