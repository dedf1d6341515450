//! The callbacks: each parses a request, calls the volume, and replies.
//!
//! OPEN, OPENDIR, CREATE and FLUSH answer ENOSYS: the kernel then keeps open files to itself and makes
//! new ones by MKNOD.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, INodeNo,
    IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::capabilities;
use super::convert::{
    GENERATION, NO_ENTRY, TTL, caller, fallocate_mode, file_attr, file_type, ino, is_resent, name,
    noted_caller, rename_mode, set_time, set_xattr_mode, timestamp,
};
use super::errno::report;
use super::listing::{Listed, each_entry};
use super::replies::{attr, data, empty, names_for, sized, statfs};
use super::seeking::{Seeks, seek_of};
use crate::types::{Attr, Caller, FileKind, Ino, Name, NewNode, SetAttr};
use crate::volume::{Error, Result, SetIdBits, Volume, WriteOrigin};

/// Answers, on the root, with the absolute directory of the volume: how a mountpoint leads to its volume. Only
/// the host's superuser sees it.
pub(super) const DIR_XATTR: &str = "trusted.cask.dir";
/// Most bytes that one COPY_FILE_RANGE copies: what the kernel asks for, and what an answer can say.
const COPY_BYTES_MAX: u64 = 1 << 31;

/// A volume as `fuser` calls it.
#[derive(Debug)]
pub(super) struct Adapter {
    volume: Arc<Volume>,
    /// From which the connection's requests are counted.
    salt: u64,
    seeks: Seeks,
}

impl Adapter {
    pub(super) const fn new(volume: Arc<Volume>, salt: u64, seeks: Seeks) -> Self {
        Self {
            volume,
            salt,
            seeks,
        }
    }

    /// Does what must not be done twice, to the entries or attributes of `at`; nothing if a server did it that died
    /// before it answered.
    fn once(
        &self,
        request: &Request,
        at: INodeNo,
        act: impl FnOnce(&Caller) -> Result<()>,
    ) -> Result<()> {
        let (caller, id) = noted_caller(request, self.salt);
        if is_resent(request) && self.volume.is_done(ino(at), id)? {
            return Ok(());
        }
        act(&caller)
    }

    /// The same for what gives something the name `key` in `parent`.
    fn make_once(
        &self,
        request: &Request,
        (parent, key): (INodeNo, &OsStr),
        make: impl FnOnce(&Caller, &Name) -> Result<Attr>,
    ) -> Result<Attr> {
        let name = name(key)?;
        let mut made = None;
        self.once(request, parent, |caller| {
            made = Some(make(caller, name)?);
            Ok(())
        })?;
        made.map_or_else(|| self.volume.lookup(ino(parent), name), Ok)
    }

    /// What `key` in `parent` leads to. `.` and `..` are asked of inodes that the kernel has dropped, by those who open
    /// a file by its handle (Linux, Documentation/filesystems/nfs/exporting.rst).
    fn find(&self, parent: INodeNo, key: &OsStr) -> Result<Attr> {
        match key.as_bytes() {
            b"." => self.volume.named(ino(parent)),
            b".." => self.volume.named(self.volume.parent(ino(parent))?),
            _ => self.volume.lookup(ino(parent), name(key)?),
        }
    }

    fn entry(&self, op: &'static str, result: Result<Attr>, reply: ReplyEntry) {
        match result {
            Ok(attr) => {
                self.volume.remember(attr.ino);
                reply.entry(&TTL, &file_attr(&attr), GENERATION);
            }
            Err(error) => reply.error(report(op, &error)),
        }
    }

    fn get_xattr(&self, at: INodeNo, key: &OsStr) -> Result<Vec<u8>> {
        if is_dir_xattr(at, key) {
            return Ok(self.volume.dir().as_os_str().as_bytes().to_vec());
        }
        self.volume.xattr(ino(at), key.as_bytes())
    }
}

fn is_dir_xattr(at: INodeNo, key: &OsStr) -> bool {
    ino(at) == Ino::ROOT && key == DIR_XATTR
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        capabilities::agree(config)
    }

    fn lookup(&self, _: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEntry) {
        match self.find(parent, key) {
            Err(Error::NotFound) => reply.entry(&TTL, &NO_ENTRY, GENERATION),
            result => self.entry("lookup", result, reply),
        }
    }

    fn forget(&self, _: &Request, at: INodeNo, count: u64) {
        self.volume.forget(ino(at), count);
    }

    fn getattr(&self, _: &Request, at: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attr("getattr", self.volume.getattr(ino(at)), reply);
    }

    fn setattr(
        &self,
        request: &Request,
        at: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (atime, mtime) = (atime.map(set_time), mtime.map(set_time));
        let change = SetAttr {
            mode,
            uid,
            gid,
            size,
            atime,
            mtime,
            ctime: ctime.map(timestamp),
        };
        attr(
            "setattr",
            self.volume.setattr(&caller(request), ino(at), &change),
            reply,
        );
    }

    fn readlink(&self, _: &Request, at: INodeNo, reply: ReplyData) {
        data("readlink", self.volume.readlink(ino(at)), reply);
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        key: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = FileKind::from_mode(mode).ok_or(Error::Invalid);
        let result = kind.and_then(|kind| {
            let new = NewNode {
                kind,
                mode,
                umask,
                rdev,
                target: &[],
            };
            self.make_once(request, (parent, key), |caller, name| {
                self.volume.create(caller, ino(parent), name, &new)
            })
        });
        self.entry("mknod", result, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        key: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let new = NewNode {
            kind: FileKind::Directory,
            mode,
            umask,
            rdev: 0,
            target: &[],
        };
        let made = self.make_once(request, (parent, key), |caller, name| {
            self.volume.create(caller, ino(parent), name, &new)
        });
        self.entry("mkdir", made, reply);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        key: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let target = target.as_os_str().as_bytes();
        let new = NewNode {
            kind: FileKind::Symlink,
            mode: 0o777,
            umask: 0,
            rdev: 0,
            target,
        };
        let made = self.make_once(request, (parent, key), |caller, name| {
            self.volume.create(caller, ino(parent), name, &new)
        });
        self.entry("symlink", made, reply);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEmpty) {
        let result = self.once(request, parent, |caller| {
            self.volume.unlink(caller, ino(parent), name(key)?)
        });
        empty("unlink", result, reply);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEmpty) {
        let result = self.once(request, parent, |caller| {
            self.volume.rmdir(caller, ino(parent), name(key)?)
        });
        empty("rmdir", result, reply);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        key: &OsStr,
        new_parent: INodeNo,
        new_key: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let result = rename_mode(flags).and_then(|mode| {
            let (from, to) = ((ino(parent), name(key)?), (ino(new_parent), name(new_key)?));
            self.once(request, parent, |caller| {
                self.volume.rename(caller, from, to, mode)
            })
        });
        empty("rename", result, reply);
    }

    fn link(
        &self,
        request: &Request,
        at: INodeNo,
        parent: INodeNo,
        key: &OsStr,
        reply: ReplyEntry,
    ) {
        let linked = self.make_once(request, (parent, key), |caller, name| {
            self.volume.link(caller, ino(at), ino(parent), name)
        });
        self.entry("link", linked, reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn lseek(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        match (seek_of(whence), u64::try_from(offset)) {
            (Some(seek), Ok(offset)) => self.seeks.answer(ino(at), offset, seek, reply),
            (_, Err(_)) => reply.error(Errno::ENXIO),
            (None, _) => reply.error(Errno::EINVAL),
        }
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn read(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        data("read", self.volume.read(ino(at), offset, size), reply);
    }

    fn write(
        &self,
        request: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let cached = flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let kill = flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let origin = if cached {
            WriteOrigin::PageCache
        } else {
            WriteOrigin::Caller
        };
        let bits = if kill {
            SetIdBits::Clear(caller(request))
        } else {
            SetIdBits::Keep
        };
        match self.volume.write(ino(at), offset, bytes, origin, bits) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(report("write", &error)),
        }
    }

    fn fsync(&self, _: &Request, at: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty("fsync", self.volume.fsync(ino(at)), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty("fsyncdir", self.volume.sync(), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = each_entry(&*self.volume, ino(at), offset, |cookie, name, entry| {
            let number = INodeNo(entry.ino().raw());
            match reply.add(number, cookie, file_type(entry.kind()), name) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(report("readdir", &error)),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let listed = each_entry(&*self.volume, ino(at), offset, |cookie, name, entry| {
            let number = INodeNo(entry.ino().raw());
            let attr = match entry {
                Listed::Entry(attr) => file_attr(attr),
                Listed::Dots(_) => fuser::FileAttr {
                    ino: number,
                    kind: fuser::FileType::Directory,
                    ..NO_ENTRY
                },
            };
            if reply.add(number, cookie, name, &TTL, &attr, GENERATION) {
                return ControlFlow::Break(());
            }
            if let Listed::Entry(attr) = entry {
                self.volume.remember(attr.ino);
            }
            ControlFlow::Continue(())
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(report("readdirplus", &error)),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        statfs(&self.volume, reply);
    }

    fn setxattr(
        &self,
        request: &Request,
        at: INodeNo,
        key: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let result = set_xattr_mode(flags).and_then(|mode| {
            if is_dir_xattr(at, key) {
                return Err(Error::NotPermitted);
            }
            self.once(request, at, |caller| {
                self.volume
                    .set_xattr(caller, ino(at), key.as_bytes(), value, mode)
            })
        });
        empty("setxattr", result, reply);
    }

    fn getxattr(&self, _: &Request, at: INodeNo, key: &OsStr, size: u32, reply: ReplyXattr) {
        sized("getxattr", self.get_xattr(at, key), size, reply);
    }

    fn listxattr(&self, request: &Request, at: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self
            .volume
            .xattr_names(ino(at))
            .map(|names| names_for(request, names));
        sized("listxattr", names, size, reply);
    }

    fn removexattr(&self, request: &Request, at: INodeNo, key: &OsStr, reply: ReplyEmpty) {
        let result = self.once(request, at, |caller| {
            self.volume.remove_xattr(caller, ino(at), key.as_bytes())
        });
        empty("removexattr", result, reply);
    }

    fn fallocate(
        &self,
        request: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let result = fallocate_mode(mode).and_then(|mode| {
            self.volume
                .fallocate(&caller(request), ino(at), offset, length, mode)
        });
        empty("fallocate", result, reply);
    }

    fn copy_file_range(
        &self,
        request: &Request,
        source: INodeNo,
        _: FileHandle,
        from: u64,
        target: INodeNo,
        _: FileHandle,
        to: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let len = len.min(COPY_BYTES_MAX);
        let (source, target) = ((ino(source), from), (ino(target), to));
        match self
            .volume
            .copy_range(&caller(request), source, target, len)
        {
            Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
            Err(error) => reply.error(report("copy_file_range", &error)),
        }
    }
}
