//! Requests of the kernel, answered out of the tree, on the terms that cask agrees with the kernel on.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};
use std::os::unix::ffi::OsStrExt as _;

use crate::awake::Awake;
use crate::rows::{Row, Rows};
use crate::tree::Tree;

/// The kernel keeps what it was told.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
const GENERATION: Generation = Generation(0);

pub(crate) struct Floor {
    tree: Mutex<Tree>,
    log: File,
    /// Where changes of names and attributes are stored, if anywhere.
    rows: Option<Rows>,
    awake: Awake,
}

impl Floor {
    pub(crate) fn new(log: File, rows: Option<Rows>) -> Self {
        let tree = Mutex::new(Tree::new());
        let awake = Awake::start();
        Self {
            tree,
            log,
            rows,
            awake,
        }
    }

    fn commit(&self, rows: &[Row<'_>]) {
        if let Some(stored) = &self.rows {
            stored.commit(rows);
        }
    }

    fn sync(&self) {
        self.awake.note_request();
        let sync_log = || self.log.sync_data().unwrap();
        match &self.rows {
            Some(rows) => rows.sync_beside(sync_log),
            None => sync_log(),
        }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.awake.note_request();
        self.tree.lock().unwrap()
    }

    fn make(
        &self,
        from: &Request,
        (parent, name): (INodeNo, &OsStr),
        (kind, mode): (FileType, u32),
        target: &[u8],
        reply: ReplyEntry,
    ) {
        let mut tree = self.tree();
        if tree.find(parent.0, name).is_some() {
            return reply.error(Errno::EEXIST);
        }
        let owner = (from.uid(), from.gid());
        let number = tree.add(parent.0, kind, (mode & 0o7777) as u16, owner);
        tree.insert(parent.0, name, number);
        let node = tree.node(number);
        node.target = target.to_vec();
        node.attr.size = target.len() as u64;
        let (made, above) = (node.attr, tree.node(parent.0).attr);
        self.commit(&[
            Row::Inode(made),
            Row::Entry(parent.0, name, number),
            Row::Inode(above),
        ]);
        reply.entry(&FOR_EVER, &made, GENERATION);
    }

    fn remove(&self, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut tree = self.tree();
        let Some(number) = tree.find(parent.0, name) else {
            return reply.error(Errno::ENOENT);
        };
        if !tree.node(number).entries.is_empty() {
            return reply.error(Errno::ENOTEMPTY);
        }
        tree.take(parent.0, name);
        tree.drop_name(number);
        let (named, above) = (tree.node(number).attr, tree.node(parent.0).attr);
        let rest = match named.nlink {
            0 => Row::NoInode(number),
            _ => Row::Inode(named),
        };
        self.commit(&[Row::NoEntry(parent.0, name), rest, Row::Inode(above)]);
        reply.ok();
    }

    /// `.`, `..` and the names behind `offset`, by place.
    fn list(
        &self,
        at: INodeNo,
        offset: u64,
        mut add: impl FnMut(&mut Tree, u64, u64, &OsStr) -> bool,
    ) {
        let mut tree = self.tree();
        let parent = tree.node(at.0).parent;
        let mut names = vec![(".".into(), at.0), ("..".into(), parent)];
        let skipped = offset as usize;
        let rest = tree
            .node(at.0)
            .entries
            .iter()
            .map(|(name, ino)| (name.clone(), *ino));
        names.extend(rest.take(skipped.saturating_sub(2) + 400));
        for (place, (name, number)) in names.into_iter().enumerate().skip(skipped) {
            if add(&mut tree, number, place as u64 + 1, &name) {
                return;
            }
        }
    }
}

fn time_of(time: TimeOrNow) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    }
}

fn kind_of(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

impl Filesystem for Floor {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let flags = InitFlags::FUSE_WRITEBACK_CACHE
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_NO_OPEN_SUPPORT
            | InitFlags::FUSE_NO_OPENDIR_SUPPORT
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO
            | InitFlags::FUSE_MAX_PAGES;
        config
            .add_capabilities(flags)
            .map_err(|_| io::ErrorKind::Unsupported)?;
        config
            .set_max_write(1024 * 1024)
            .map_err(|_| io::ErrorKind::Unsupported)?;
        config
            .set_max_background(64)
            .map_err(|_| io::ErrorKind::Unsupported)?;
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut tree = self.tree();
        let Some(number) = tree.find(parent.0, name) else {
            // A name that is not there is kept by the kernel, too: number 0.
            let mut none = tree.node(parent.0).attr;
            none.ino = INodeNo(0);
            return reply.entry(&FOR_EVER, &none, GENERATION);
        };
        reply.entry(&FOR_EVER, &tree.node(number).attr, GENERATION);
    }

    fn forget(&self, _: &Request, at: INodeNo, _: u64) {
        self.tree().forget(at.0);
    }

    fn getattr(&self, _: &Request, at: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.tree().node(at.0).attr);
    }

    fn setattr(
        &self,
        _: &Request,
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
        let mut tree = self.tree();
        let node = tree.node(at.0);
        if let Some(size) = size {
            node.data.resize(size as usize, 0);
            node.attr.size = size;
        }
        let attr = &mut node.attr;
        attr.perm = mode.map_or(attr.perm, |mode| (mode & 0o7777) as u16);
        attr.uid = uid.unwrap_or(attr.uid);
        attr.gid = gid.unwrap_or(attr.gid);
        attr.atime = atime.map_or(attr.atime, time_of);
        attr.mtime = mtime.map_or(attr.mtime, time_of);
        attr.ctime = ctime.unwrap_or_else(SystemTime::now);
        self.commit(&[Row::Inode(*attr)]);
        reply.attr(&FOR_EVER, attr);
    }

    fn readlink(&self, _: &Request, at: INodeNo, reply: ReplyData) {
        reply.data(&self.tree().node(at.0).target);
    }

    fn mknod(
        &self,
        from: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let kind = (kind_of(mode), mode & !umask);
        self.make(from, (parent, name), kind, &[], reply);
    }

    fn mkdir(
        &self,
        from: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let kind = (FileType::Directory, mode & !umask);
        self.make(from, (parent, name), kind, &[], reply);
    }

    fn symlink(
        &self,
        from: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let target = target.as_os_str().as_bytes();
        let kind = (FileType::Symlink, 0o777);
        self.make(from, (parent, name), kind, target, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut tree = self.tree();
        if let Some(replaced) = tree.take(new_parent.0, new_name) {
            tree.drop_name(replaced);
        }
        let Some(number) = tree.take(parent.0, name) else {
            return reply.error(Errno::ENOENT);
        };
        tree.insert(new_parent.0, new_name, number);
        let (moved, left) = (tree.node(number).attr, tree.node(parent.0).attr);
        let above = tree.node(new_parent.0).attr;
        self.commit(&[
            Row::NoEntry(parent.0, name),
            Row::Entry(new_parent.0, new_name, number),
            Row::Inode(moved),
            Row::Inode(left),
            Row::Inode(above),
        ]);
        reply.ok();
    }

    fn link(&self, _: &Request, at: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut tree = self.tree();
        tree.insert(parent.0, name, at.0);
        let node = tree.node(at.0);
        node.attr.nlink += 1;
        let linked = node.attr;
        self.commit(&[Row::Inode(linked), Row::Entry(parent.0, name, at.0)]);
        reply.entry(&FOR_EVER, &linked, GENERATION);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
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
        let mut tree = self.tree();
        let data = &tree.node(at.0).data;
        let from = data.len().min(offset as usize);
        let to = data.len().min(from + size as usize);
        reply.data(&data[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        (&self.log).write_all(data).unwrap();
        let mut tree = self.tree();
        let node = tree.node(at.0);
        let (from, to) = (offset as usize, offset as usize + data.len());
        if node.data.len() < to {
            node.data.resize(to, 0);
        }
        node.data[from..to].copy_from_slice(data);
        node.attr.size = node.data.len() as u64;
        node.attr.blocks = node.attr.size.div_ceil(512);
        let length = data.len() as u64;
        let ino = at.0;
        self.commit(&[
            Row::Inode(node.attr),
            Row::Extent {
                ino,
                offset,
                length,
            },
        ]);
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync();
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync();
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.list(at, offset, |tree, number, place, name| {
            let kind = tree.node(number).attr.kind;
            reply.add(INodeNo(number), place, kind, name)
        });
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        at: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.list(at, offset, |tree, number, place, name| {
            let attr = &tree.node(number).attr;
            reply.add(attr.ino, place, name, &FOR_EVER, attr, GENERATION)
        });
        reply.ok();
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 26, 1 << 26, 1 << 26, 1 << 26, 1 << 26, 4096, 255, 4096);
    }
}
