//! Requests that the kernel sends again, told of when they begin and when they are answered: one that is begun by
//! server after server, and answered by none, is what they die of.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, RenameFlags,
    ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::convert::is_resent;

/// A look-up of the name in this variable never ends, as one that takes all memory: for tests.
const ENDLESS: &str = "CASK_ENDLESS";

/// What becomes of a request that the kernel sent again. The number is the connection's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// A thread has it.
    Begun(u64),
    /// It was answered.
    Answered(u64),
}

/// Whoever is told; before the request is looked at, and after its answer was sent.
pub type Watch = Arc<dyn Fn(Resent) + Send + Sync>;

/// A filesystem whose resent requests are told of.
pub(super) struct Watched<F> {
    inner: F,
    watch: Watch,
}

impl<F: fmt::Debug> fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A resent request under way.
struct UnderWay<'w>(&'w Watch, u64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0(Resent::Answered(self.1));
    }
}

impl<F> Watched<F> {
    pub(super) const fn new(inner: F, watch: Watch) -> Self {
        Self { inner, watch }
    }

    fn begin(&self, request: &Request) -> Option<UnderWay<'_>> {
        if !is_resent(request) {
            return None;
        }
        let number = request.unique().0;
        (self.watch)(Resent::Begun(number));
        Some(UnderWay(&self.watch, number))
    }
}

fn is_endless(name: &OsStr) -> bool {
    static NAME: OnceLock<Option<OsString>> = OnceLock::new();
    let endless = NAME.get_or_init(|| std::env::var_os(ENDLESS));
    endless.as_deref().is_some_and(|endless| endless == name)
}

/// Callbacks of `fuser::Filesystem` that are passed on, each answered before it returns.
macro_rules! pass_on {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $name(&self, request: &Request, $($argument: $type),*) {
            let _under_way = self.begin(request);
            self.inner.$name(request, $($argument),*);
        })*
    };
}

impl<F: Filesystem> Filesystem for Watched<F> {
    fn init(&mut self, request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.inner.init(request, config)
    }

    fn destroy(&mut self) {
        self.inner.destroy();
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _under_way = self.begin(request);
        while is_endless(name) {
            thread::park();
        }
        self.inner.lookup(request, parent, name, reply);
    }

    pass_on! {
        forget(ino: INodeNo, count: u64);
        getattr(ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr);
        setattr(
            ino: INodeNo, mode: Option<u32>, uid: Option<u32>, gid: Option<u32>, size: Option<u64>,
            atime: Option<TimeOrNow>, mtime: Option<TimeOrNow>, ctime: Option<SystemTime>,
            fh: Option<FileHandle>, crtime: Option<SystemTime>, chgtime: Option<SystemTime>,
            bkuptime: Option<SystemTime>, flags: Option<BsdFileFlags>, reply: ReplyAttr
        );
        readlink(ino: INodeNo, reply: ReplyData);
        mknod(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry);
        mkdir(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry);
        unlink(parent: INodeNo, name: &OsStr, reply: ReplyEmpty);
        rmdir(parent: INodeNo, name: &OsStr, reply: ReplyEmpty);
        symlink(parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry);
        rename(
            parent: INodeNo, name: &OsStr, new_parent: INodeNo, new_name: &OsStr,
            flags: RenameFlags, reply: ReplyEmpty
        );
        link(ino: INodeNo, new_parent: INodeNo, new_name: &OsStr, reply: ReplyEntry);
        open(ino: INodeNo, flags: OpenFlags, reply: ReplyOpen);
        read(
            ino: INodeNo, fh: FileHandle, offset: u64, size: u32, flags: OpenFlags,
            owner: Option<LockOwner>, reply: ReplyData
        );
        write(
            ino: INodeNo, fh: FileHandle, offset: u64, data: &[u8], how: WriteFlags,
            flags: OpenFlags, owner: Option<LockOwner>, reply: ReplyWrite
        );
        flush(ino: INodeNo, fh: FileHandle, owner: LockOwner, reply: ReplyEmpty);
        release(
            ino: INodeNo, fh: FileHandle, flags: OpenFlags, owner: Option<LockOwner>, flush: bool,
            reply: ReplyEmpty
        );
        fsync(ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty);
        opendir(ino: INodeNo, flags: OpenFlags, reply: ReplyOpen);
        readdir(ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectory);
        readdirplus(ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectoryPlus);
        releasedir(ino: INodeNo, fh: FileHandle, flags: OpenFlags, reply: ReplyEmpty);
        fsyncdir(ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty);
        statfs(ino: INodeNo, reply: ReplyStatfs);
        setxattr(
            ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, position: u32, reply: ReplyEmpty
        );
        getxattr(ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr);
        listxattr(ino: INodeNo, size: u32, reply: ReplyXattr);
        removexattr(ino: INodeNo, name: &OsStr, reply: ReplyEmpty);
        access(ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty);
        create(
            parent: INodeNo, name: &OsStr, mode: u32, umask: u32, flags: i32, reply: ReplyCreate
        );
        getlk(
            ino: INodeNo, fh: FileHandle, owner: LockOwner, start: u64, end: u64, kind: i32,
            pid: u32, reply: ReplyLock
        );
        setlk(
            ino: INodeNo, fh: FileHandle, owner: LockOwner, start: u64, end: u64, kind: i32,
            pid: u32, sleep: bool, reply: ReplyEmpty
        );
        bmap(ino: INodeNo, block_bytes: u32, index: u64, reply: ReplyBmap);
        ioctl(
            ino: INodeNo, fh: FileHandle, flags: IoctlFlags, command: u32, input: &[u8],
            output_bytes: u32, reply: ReplyIoctl
        );
        poll(
            ino: INodeNo, fh: FileHandle, notifier: PollNotifier, events: PollEvents,
            flags: PollFlags, reply: ReplyPoll
        );
        fallocate(
            ino: INodeNo, fh: FileHandle, offset: u64, length: u64, mode: i32, reply: ReplyEmpty
        );
        lseek(ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek);
        copy_file_range(
            from: INodeNo, from_fh: FileHandle, from_offset: u64, to: INodeNo, to_fh: FileHandle,
            to_offset: u64, length: u64, flags: CopyFileRangeFlags, reply: ReplyWrite
        );
    }
}
