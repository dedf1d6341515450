//! Between fuser's values and the volume's.

use std::time::{SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, Generation, INodeNo, RenameFlags, TimeOrNow};

use crate::types::{Attr, FileKind, Ino, SetTime, Timestamp};
use crate::volume::{Error, FallocateMode, RenameMode, Seek, SetXattrMode};

/// Inode numbers are never reused, so there is one generation.
pub(super) const GENERATION: Generation = Generation(0);

const STAT_BLOCK_BYTES: u64 = 512;
const PREFERRED_IO_BYTES: u32 = 4096;

pub(super) const fn ino(raw: INodeNo) -> Ino {
    Ino::from_raw(raw.0)
}

pub(super) const fn inode_no(ino: Ino) -> INodeNo {
    INodeNo(ino.raw())
}

pub(super) const fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
    }
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    let (size, blocks) = size_and_blocks(attr);
    FileAttr {
        ino: inode_no(attr.ino),
        size,
        blocks,
        atime: attr.atime.to_system(),
        mtime: attr.mtime.to_system(),
        ctime: attr.ctime.to_system(),
        crtime: UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: u16::try_from(attr.mode).unwrap_or(0),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: PREFERRED_IO_BYTES,
        flags: 0,
    }
}

/// A file never has 0 blocks: GNU tar takes one that has for a hole from end to end and does not read
/// it, though the kernel may hold bytes of it that were not written back yet.
fn size_and_blocks(attr: &Attr) -> (u64, u64) {
    match attr.kind {
        FileKind::File => (attr.size, attr.allocated.div_ceil(STAT_BLOCK_BYTES).max(1)),
        FileKind::Directory => (4096, 4096 / STAT_BLOCK_BYTES),
        _ => (attr.size, 0),
    }
}

/// An entry that leads to inode 0 is none: the kernel remembers that (Linux, fs/fuse/dir.c, `fuse_lookup`).
pub(super) const NO_ENTRY: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: UNIX_EPOCH,
    mtime: UNIX_EPOCH,
    ctime: UNIX_EPOCH,
    crtime: UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 0,
    flags: 0,
};

pub(super) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::SpecificTime(time) => SetTime::At(timestamp(time)),
        TimeOrNow::Now => SetTime::Now,
    }
}

/// A time as `fuser` 0.18 parses it: before the epoch it takes the nanoseconds for a distance, too, though
/// the kernel counts them forward from the second.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(_) => Timestamp::from_system(time),
        Err(before) => {
            let distance = before.duration();
            let secs = i64::try_from(distance.as_secs()).map_or(i64::MIN, |secs| -secs);
            Timestamp::new(secs, distance.subsec_nanos())
        }
    }
}

pub(super) fn rename_mode(flags: RenameFlags) -> Result<RenameMode, Error> {
    const NOREPLACE: RenameFlags = RenameFlags::RENAME_NOREPLACE;
    const WHITEOUT: RenameFlags = RenameFlags::RENAME_WHITEOUT;
    match flags {
        _ if flags.is_empty() => Ok(RenameMode::Replace),
        NOREPLACE => Ok(RenameMode::NoReplace),
        RenameFlags::RENAME_EXCHANGE => Ok(RenameMode::Exchange),
        WHITEOUT => Ok(RenameMode::Whiteout),
        _ if flags == NOREPLACE | WHITEOUT => Ok(RenameMode::NoReplaceWhiteout),
        _ => Err(Error::Invalid),
    }
}

pub(super) const fn set_xattr_mode(flags: i32) -> Result<SetXattrMode, Error> {
    match flags {
        0 => Ok(SetXattrMode::Any),
        libc::XATTR_CREATE => Ok(SetXattrMode::Create),
        libc::XATTR_REPLACE => Ok(SetXattrMode::Replace),
        _ => Err(Error::Invalid),
    }
}

pub(super) const fn fallocate_mode(mode: i32) -> Result<FallocateMode, Error> {
    const KEEP_SIZE: i32 = libc::FALLOC_FL_KEEP_SIZE;
    const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | KEEP_SIZE;
    const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
    const ZERO_KEEP_SIZE: i32 = ZERO | KEEP_SIZE;
    match mode {
        0 => Ok(FallocateMode::Extend),
        KEEP_SIZE => Ok(FallocateMode::Reserve),
        PUNCH => Ok(FallocateMode::PunchHole),
        ZERO => Ok(FallocateMode::ZeroRange),
        ZERO_KEEP_SIZE => Ok(FallocateMode::ZeroRangeKeepSize),
        _ => Err(Error::Unsupported),
    }
}

/// What `whence` of lseek(2) asks for; the kernel answers all else itself.
pub(super) const fn seek(whence: i32) -> Result<Seek, Error> {
    match whence {
        libc::SEEK_DATA => Ok(Seek::Data),
        libc::SEEK_HOLE => Ok(Seek::Hole),
        _ => Err(Error::Invalid),
    }
}
