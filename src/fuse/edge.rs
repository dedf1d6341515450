//! The callbacks of fuser: each parses a request, has it answered, and replies. Knows nothing of what is behind.

use std::ffi::OsStr;
use std::fmt;
use std::io;
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

use super::answer::Answer;
use super::capabilities;
use super::convert::{ino, set_time, timestamp};
use super::counts::{Counts, Timed};
use super::crew::{Afterwards, Crew, Turn};
use super::gather::{self, Gather};
use super::later::Later;
use super::parse::{self, Parsed};
use super::replies::{Directory, Pending, Reply};
use super::request::{Detail, Listing, Operation, Sent};
use super::serve::Serve;
use super::waits::Waits;
use super::watched::Watched;
use crate::types::SetAttr;
use crate::volume::{SetIdBits, WriteBack, WriteOrigin};

/// What `serve` answers, as fuser calls it.
pub(super) struct Edge<S> {
    serve: S,
    /// From which the connection's requests are counted.
    salt: u64,
    watched: Watched,
    counts: Arc<Counts>,
    /// Who answers what [`Answer::Later`] puts off; nobody where nothing is.
    later: Option<Later>,
    waits: Waits,
    crew: Arc<Crew>,
}

impl<S: fmt::Debug> fmt::Debug for Edge<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serve.fmt(f)
    }
}

impl<S: Serve> Edge<S> {
    pub(super) fn new(
        serve: S,
        salt: u64,
        (watched, counts): (Watched, Arc<Counts>),
        (later, waits): (Option<Later>, Waits),
        crew: Arc<Crew>,
    ) -> Self {
        Self {
            serve,
            salt,
            watched,
            counts,
            later,
            waits,
            crew,
        }
    }

    /// This thread has read a request. What was put aside before it is written first: this may be the last for long.
    fn begin(&self) -> Turn {
        let turn = self.crew.begin();
        self.crew.call_more();
        self.write_aside();
        turn
    }

    fn write_aside(&self) {
        if let Some(later) = &self.later {
            later.gather().write_all();
        }
    }

    /// Answers a small write of the page cache with those that follow it, or at once where none does.
    fn write_back(
        &self,
        from: &Request,
        gather: &Gather,
        (at, operation): (INodeNo, Operation<'_>),
        reply: ReplyWrite,
    ) {
        let turn = self.crew.begin();
        turn.end_by(Afterwards::LeaveQueue);
        let timed = Timed::begin(&self.counts, operation.kind());
        let request = parse::request(from, self.salt, at, operation);
        if gather.is_empty() && !self.crew.has_next() {
            let answer = self.serve.answer(&request);
            timed.note(&answer);
            return Reply::from(reply).send(&request.label(), answer);
        }
        let Operation::Write { offset, data, .. } = request.operation else {
            return reply.error(Errno::EIO);
        };
        let write = WriteBack {
            ino: request.at,
            offset,
            data: data.to_vec(),
        };
        // What is gathered was sent once: nobody is told of it.
        let pending = Pending::new(&request.label(), reply.into(), (timed.hand_over(), None));
        gather.put(write, pending, || self.crew.has_next());
    }

    /// Where `operation` may be put aside. What was sent before is answered alone: a server may have died of it.
    fn gather_of(&self, from: &Request, operation: &Operation<'_>) -> Option<&Gather> {
        let later = self.later.as_ref()?;
        let is_small = matches!(operation, Operation::Write {
            data, origin: WriteOrigin::PageCache, bits: SetIdBits::Keep, ..
        } if data.len() <= gather::BYTES_MAX);
        (is_small && parse::sent(from) == Sent::Once).then(|| later.gather())
    }

    /// Has a request answered, and sends the answer.
    fn answer(
        &self,
        from: &Request,
        at: INodeNo,
        operation: Operation<'_>,
        reply: impl Into<Reply>,
    ) {
        let _turn = self.begin();
        let timed = Timed::begin(&self.counts, operation.kind());
        let under_way = self.watched.begin(from);
        let request = parse::request(from, self.salt, at, operation);
        let put_off = |timed: Timed<&Arc<Counts>>, reply, under_way| {
            Pending::new(&request.label(), reply, (timed.hand_over(), under_way))
        };
        match self.serve.answer(&request) {
            // It is under way until the kernel has its answer, and comes again if a server dies before. The next one syncs
            // anew; an error that this one met is told to the supervisor before the caller (decision 14), so that it
            // stays one.
            Ok(Answer::Later(what)) => {
                let pending = put_off(timed, reply.into(), under_way);
                match &self.later {
                    Some(later) => later.answer(what, pending),
                    None => pending.error(Errno::EIO),
                }
            }
            // A reply that is dropped says EIO.
            Ok(Answer::LeftToNext) => {
                std::mem::forget(put_off(timed, reply.into(), under_way));
            }
            Ok(Answer::Waits(waiting)) => {
                let pending = put_off(timed, reply.into(), under_way);
                self.waits.answer(waiting, pending);
            }
            answer => {
                timed.note(&answer);
                reply.into().send(&request.label(), answer);
            }
        }
    }

    /// The same for what may make no sense: that is answered here.
    fn answer_parsed(
        &self,
        from: &Request,
        at: INodeNo,
        parsed: Parsed<'_>,
        reply: impl Into<Reply>,
    ) {
        match parsed {
            Ok(operation) => self.answer(from, at, operation, reply),
            Err(malformed) => {
                let _turn = self.begin();
                let _under_way = self.watched.begin(from);
                let label = malformed.label(from, at);
                reply.into().send(&label, Err(malformed.error));
            }
        }
    }

    fn list(&self, from: &Request, listing: &Listing, mut page: impl Directory) {
        let _turn = self.begin();
        let timed = Timed::begin(&self.counts, listing.kind());
        let _under_way = self.watched.begin(from);
        let listed = self.serve.list(listing, &mut page);
        timed.note_failure(listed.as_ref().err());
        page.send(&listing.label(from.pid()), listed);
    }

    /// Answers what nothing behind here is asked for.
    fn refuse(&self, from: &Request, errno: Errno, reply: impl Into<Reply>) {
        let _turn = self.begin();
        let _under_way = self.watched.begin(from);
        reply.into().error(errno);
    }
}

impl<S: Serve> Filesystem for Edge<S> {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        capabilities::agree(config, self.serve.terms(), self.serve.background_max())
    }

    fn lookup(&self, from: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEntry) {
        self.answer_parsed(from, parent, parse::lookup(key), reply);
    }

    fn forget(&self, _: &Request, at: INodeNo, count: u64) {
        let turn = self.crew.begin();
        // BATCH_FORGET comes here once for each inode: who parks would leave the others to be forgotten.
        turn.end_by(Afterwards::Read);
        self.write_aside();
        self.serve.forget(ino(at), count);
    }

    fn getattr(&self, from: &Request, at: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.answer(from, at, Operation::Getattr, reply);
    }

    fn setattr(
        &self,
        from: &Request,
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
        let change = SetAttr {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            ctime: ctime.map(timestamp),
        };
        self.answer(from, at, Operation::Setattr(change), reply);
    }

    fn readlink(&self, from: &Request, at: INodeNo, reply: ReplyData) {
        self.answer(from, at, Operation::Readlink, reply);
    }

    // Without CREATE this makes regular files, too.
    fn mknod(
        &self,
        from: &Request,
        parent: INodeNo,
        key: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        self.answer_parsed(from, parent, parse::mknod(key, mode, umask, rdev), reply);
    }

    fn mkdir(
        &self,
        from: &Request,
        parent: INodeNo,
        key: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        self.answer_parsed(from, parent, parse::mkdir(key, mode, umask), reply);
    }

    fn symlink(
        &self,
        from: &Request,
        parent: INodeNo,
        key: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        self.answer_parsed(from, parent, parse::symlink(key, target), reply);
    }

    fn link(
        &self,
        from: &Request,
        source: INodeNo,
        parent: INodeNo,
        key: &OsStr,
        reply: ReplyEntry,
    ) {
        self.answer_parsed(from, parent, parse::link(source, key), reply);
    }

    fn unlink(&self, from: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEmpty) {
        self.answer_parsed(from, parent, parse::unlink(key), reply);
    }

    fn rmdir(&self, from: &Request, parent: INodeNo, key: &OsStr, reply: ReplyEmpty) {
        self.answer_parsed(from, parent, parse::rmdir(key), reply);
    }

    fn rename(
        &self,
        from: &Request,
        parent: INodeNo,
        key: &OsStr,
        new_parent: INodeNo,
        new_key: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let parsed = parse::rename(key, new_parent, new_key, flags);
        self.answer_parsed(from, parent, parsed, reply);
    }

    fn read(
        &self,
        from: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.answer(from, at, parse::read(offset, size), reply);
    }

    fn write(
        &self,
        from: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let write = parse::write(from, offset, data, flags);
        match self.gather_of(from, &write) {
            Some(gather) => self.write_back(from, gather, (at, write), reply),
            None => self.answer(from, at, write, reply),
        }
    }

    fn fsync(&self, from: &Request, at: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.answer(from, at, Operation::Fsync, reply);
    }

    fn fsyncdir(&self, from: &Request, at: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.answer(from, at, Operation::Fsyncdir, reply);
    }

    fn fallocate(
        &self,
        from: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.answer_parsed(from, at, parse::fallocate(offset, length, mode), reply);
    }

    fn copy_file_range(
        &self,
        from: &Request,
        source: INodeNo,
        _: FileHandle,
        offset: u64,
        target: INodeNo,
        _: FileHandle,
        target_offset: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let copy = Operation::CopyFileRange {
            offset,
            target: ino(target),
            target_offset,
            len,
        };
        self.answer(from, source, copy, reply);
    }

    fn lseek(
        &self,
        from: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.answer_parsed(from, at, parse::lseek(offset, whence), reply);
    }

    fn readdir(
        &self,
        from: &Request,
        at: INodeNo,
        _: FileHandle,
        after: u64,
        reply: ReplyDirectory,
    ) {
        let (dir, detail) = (ino(at), Detail::Names);
        self.list(from, &Listing { dir, after, detail }, reply);
    }

    fn readdirplus(
        &self,
        from: &Request,
        at: INodeNo,
        _: FileHandle,
        after: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let (dir, detail) = (ino(at), Detail::Attributes);
        self.list(from, &Listing { dir, after, detail }, reply);
    }

    fn statfs(&self, from: &Request, at: INodeNo, reply: ReplyStatfs) {
        self.answer(from, at, Operation::Statfs, reply);
    }

    fn setxattr(
        &self,
        from: &Request,
        at: INodeNo,
        key: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        self.answer_parsed(from, at, parse::setxattr(key, value, flags), reply);
    }

    fn getxattr(&self, from: &Request, at: INodeNo, key: &OsStr, size: u32, reply: ReplyXattr) {
        let key = key.as_bytes();
        self.answer(from, at, Operation::Getxattr { key, size }, reply);
    }

    fn listxattr(&self, from: &Request, at: INodeNo, size: u32, reply: ReplyXattr) {
        self.answer(from, at, Operation::Listxattr { size }, reply);
    }

    fn removexattr(&self, from: &Request, at: INodeNo, key: &OsStr, reply: ReplyEmpty) {
        let key = key.as_bytes();
        self.answer(from, at, Operation::Removexattr { key }, reply);
    }

    // The kernel keeps open files to itself from the first ENOSYS on, and sends no RELEASE either
    // (FUSE_NO_OPEN_SUPPORT, FUSE_NO_OPENDIR_SUPPORT).
    fn open(&self, from: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.refuse(from, Errno::ENOSYS, reply);
    }

    fn opendir(&self, from: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.refuse(from, Errno::ENOSYS, reply);
    }

    // It would open what it makes. MKNOD comes instead (Linux, fs/fuse/dir.c, `fuse_atomic_open`).
    fn create(
        &self,
        from: &Request,
        _: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        self.refuse(from, Errno::ENOSYS, reply);
    }

    fn flush(&self, from: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.refuse(from, Errno::ENOSYS, reply);
    }

    // The kernel checks by itself who may do what (default_permissions).
    fn access(&self, from: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        self.refuse(from, Errno::ENOSYS, reply);
    }

    // ENOTTY is what programs expect of a file without ioctls (ioctl(2)).
    fn ioctl(
        &self,
        from: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        self.refuse(from, Errno::ENOTTY, reply);
    }
}
