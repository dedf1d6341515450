//! The callbacks of a superblock that shows a snapshot, or all, a directory each: nothing can be changed.
//!
//! OPEN and OPENDIR answer ENOSYS, as in the superblock of the head. What would change something answers
//! EROFS: the superblock is mounted read-only, but root can make it read-write.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::adapter::DIR_XATTR;
use super::capabilities;
use super::convert::{GENERATION, NO_ENTRY, TTL, file_attr, name};
use super::errno::report;
use super::listing::{Listed, each_entry};
use super::node::{Node, Snapshots};
use super::replies::{data, names_for, sized, statfs};
use super::seeking::{seek_of, tell};
use crate::types::{Attr, Epoch, Ino};
use crate::volume::{Error, FIRST_COOKIE, Frozen, Reading, Result, Snapshot, Volume};

/// Snapshots come and go: what the root of all holds is asked each time.
const ROOT_TTL: Duration = Duration::ZERO;

/// A volume's snapshots as `fuser` calls them.
#[derive(Debug)]
pub(super) struct SnapshotsAdapter {
    volume: Arc<Volume>,
    which: Snapshots,
}

impl SnapshotsAdapter {
    pub(super) const fn new(volume: Arc<Volume>, which: Snapshots) -> Self {
        Self { volume, which }
    }

    fn is_root_of_all(&self, node: INodeNo) -> bool {
        self.which.node(node) == Some(Node::Root)
    }

    /// The snapshot's state and the inode in it that `node` stands for, which is not the root of all.
    fn frozen(&self, node: INodeNo) -> Result<(Frozen<'_>, Epoch, Ino)> {
        match self.which.node(node) {
            Some(Node::Frozen(epoch, ino)) => Ok((self.volume.frozen(epoch), epoch, ino)),
            Some(Node::Root) => Err(Error::NotPermitted),
            None => Err(Error::NotFound),
        }
    }

    fn find(&self, parent: INodeNo, key: &OsStr) -> Result<(FileAttr, Duration)> {
        if self.is_root_of_all(parent) {
            let wanted = key.to_str().and_then(|name| name.parse().ok());
            let snapshot = self.volume.snapshot(&wanted.ok_or(Error::NotFound)?)?;
            return Ok((self.top(&snapshot)?, ROOT_TTL));
        }
        let (frozen, epoch, ino) = self.frozen(parent)?;
        let found = match key.as_bytes() {
            // As on the head: who opens a file by its handle asks for these.
            b"." => frozen.getattr(ino)?,
            b".." => frozen.getattr(frozen.parent(ino)?)?,
            _ => frozen.lookup(ino, name(key)?)?,
        };
        Ok((self.told(epoch, &found)?, TTL))
    }

    /// The directory of a snapshot.
    fn top(&self, snapshot: &Snapshot) -> Result<FileAttr> {
        let root = self.volume.frozen(snapshot.epoch).getattr(Ino::ROOT)?;
        self.told(snapshot.epoch, &root)
    }

    fn attr(&self, node: INodeNo) -> Result<FileAttr> {
        if self.is_root_of_all(node) {
            return Ok(FileAttr {
                ino: INodeNo::ROOT,
                kind: FileType::Directory,
                perm: 0o755,
                nlink: 2,
                ..NO_ENTRY
            });
        }
        let (frozen, epoch, ino) = self.frozen(node)?;
        self.told(epoch, &frozen.getattr(ino)?)
    }

    fn get_xattr(&self, node: INodeNo, key: &OsStr) -> Result<Vec<u8>> {
        if self.is_root_of_all(node) {
            return Err(Error::NoAttribute);
        }
        let (frozen, _, ino) = self.frozen(node)?;
        if ino == Ino::ROOT && key == DIR_XATTR {
            return Ok(self.volume.dir().as_os_str().as_bytes().to_vec());
        }
        frozen.xattr(ino, key.as_bytes())
    }

    /// Calls `add` with place, name and attributes of each entry behind place `after`, until it breaks.
    fn each(
        &self,
        node: INodeNo,
        after: u64,
        mut add: impl FnMut(u64, &OsStr, &FileAttr) -> ControlFlow<()>,
    ) -> Result<()> {
        if self.is_root_of_all(node) {
            return self.each_snapshot(after, add);
        }
        let (frozen, epoch, ino) = self.frozen(node)?;
        let mut failed = None;
        each_entry(&frozen, ino, after, |cookie, name, entry| {
            let attr = match entry {
                Listed::Entry(attr) => self.told(epoch, attr),
                Listed::Dots(ino) => self.dots(epoch, *ino),
            };
            match attr {
                Ok(attr) => add(cookie, name, &attr),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// A snapshot's place is its epoch behind those of `.` and `..`, which the root does not list.
    fn each_snapshot(
        &self,
        after: u64,
        mut add: impl FnMut(u64, &OsStr, &FileAttr) -> ControlFlow<()>,
    ) -> Result<()> {
        for snapshot in self.volume.snapshots()? {
            let cookie = snapshot.epoch.0.cast_unsigned() + FIRST_COOKIE;
            let name = OsStr::new(snapshot.name.as_str());
            if cookie > after && add(cookie, name, &self.top(&snapshot)?).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The attributes of an inode under the number that it has here.
    fn told(&self, epoch: Epoch, attr: &Attr) -> Result<FileAttr> {
        let number = self.which.number(epoch, attr.ino);
        let ino = number.ok_or(Error::OutOfRange)?;
        Ok(FileAttr {
            ino,
            ..file_attr(attr)
        })
    }

    /// `.` or `..`, of which the kernel wants the number only.
    fn dots(&self, epoch: Epoch, ino: Ino) -> Result<FileAttr> {
        let number = self.which.number(epoch, ino);
        let ino = number.ok_or(Error::OutOfRange)?;
        Ok(FileAttr {
            ino,
            kind: FileType::Directory,
            ..NO_ENTRY
        })
    }
}

impl Filesystem for SnapshotsAdapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        capabilities::agree_read_only(config)
    }

    fn lookup(&self, _: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEntry) {
        match self.find(parent, key) {
            Ok((attr, ttl)) => reply.entry(&ttl, &attr, GENERATION),
            Err(Error::NotFound) if !self.is_root_of_all(parent) => {
                reply.entry(&TTL, &NO_ENTRY, GENERATION);
            }
            Err(error) => reply.error(report("lookup", &error)),
        }
    }

    fn getattr(&self, _: &Request, at: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(at) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(report("getattr", &error)),
        }
    }

    fn readlink(&self, _: &Request, at: INodeNo, reply: ReplyData) {
        let target = self
            .frozen(at)
            .and_then(|(frozen, _, ino)| frozen.readlink(ino));
        data("readlink", target, reply);
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
        let seek = seek_of(whence).ok_or(Error::Invalid);
        let offset = u64::try_from(offset).map_err(|_| Error::PastEnd);
        let asked = seek.and_then(|seek| Ok((self.frozen(at)?, offset?, seek)));
        match asked {
            Ok(((frozen, _, ino), offset, seek)) => {
                tell(&Reading::Frozen(frozen), ino, offset, seek, reply);
            }
            Err(error) => reply.error(report("lseek", &error)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
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
        let found = self.frozen(at);
        let read = found.and_then(|(frozen, _, ino)| frozen.read(ino, offset, size));
        data("read", read, reply);
    }

    fn readdir(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.each(at, offset, |cookie, name, attr| {
            match reply.add(attr.ino, cookie, attr.kind, name) {
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
        let ttl = if self.is_root_of_all(at) {
            ROOT_TTL
        } else {
            TTL
        };
        let listed = self.each(at, offset, |cookie, name, attr| {
            match reply.add(attr.ino, cookie, name, &ttl, attr, GENERATION) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(report("readdirplus", &error)),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        statfs(&self.volume, reply);
    }

    fn getxattr(&self, _: &Request, at: INodeNo, key: &OsStr, size: u32, reply: ReplyXattr) {
        sized("getxattr", self.get_xattr(at, key), size, reply);
    }

    fn listxattr(&self, request: &Request, at: INodeNo, size: u32, reply: ReplyXattr) {
        let found = self.frozen(at);
        let names = found.and_then(|(frozen, _, ino)| frozen.xattr_names(ino));
        let names = names.map(|names| names_for(request, names));
        sized("listxattr", names, size, reply);
    }

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Errno::EROFS);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::EROFS);
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
        reply.error(Errno::EROFS);
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn setxattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }
}
