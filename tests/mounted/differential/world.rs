//! One of the two sides of the differential test: a directory and the descriptors open in it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec,
    Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::calls::{Call, SLOTS};
use crate::harness::{NOBODY, SharedMap, as_user};

type Outcome = Result<String, Errno>;

/// A directory that calls act on. Dropping it closes the descriptors.
pub(super) struct World {
    dir: PathBuf,
    open: [Option<File>; SLOTS],
}

impl World {
    #[track_caller]
    pub(super) fn new(dir: &Path) -> Self {
        std::fs::create_dir(dir).unwrap();
        // Everybody may write here, so that the unprivileged calls are not all refused.
        rustix::fs::chmod(dir, Mode::from_raw_mode(0o777)).unwrap();
        for below in ["d", "e", "d/d"] {
            std::fs::create_dir(dir.join(below)).unwrap();
        }
        Self {
            dir: dir.to_owned(),
            open: Default::default(),
        }
    }

    /// Makes the call. Returns what a program would see of it, as text.
    pub(super) fn perform(&mut self, call: &Call) -> String {
        let outcome = match call {
            Call::AsNobody(call) => as_user(NOBODY, NOBODY, || self.outcome(call)),
            _ => self.outcome(call),
        };
        match outcome {
            Ok(text) => text,
            Err(errno) => format!("{errno:?}"),
        }
    }

    fn outcome(&mut self, call: &Call) -> Outcome {
        match call {
            Call::Open { .. } | Call::Close { .. } => self.open_or_close(call),
            Call::Pwrite { .. }
            | Call::Append { .. }
            | Call::Pread { .. }
            | Call::MapWrite { .. }
            | Call::Ftruncate { .. }
            | Call::Fallocate { .. }
            | Call::CopyRange { .. }
            | Call::Fsync { .. }
            | Call::Fstat { .. } => self.on_descriptor(call),
            Call::Mkdir { .. }
            | Call::Rmdir { .. }
            | Call::Unlink { .. }
            | Call::Rename { .. }
            | Call::Link { .. }
            | Call::Symlink { .. }
            | Call::Mknod { .. }
            | Call::ReadDir { .. }
            | Call::FsyncDir { .. } => self.on_name(call),
            Call::Truncate { .. }
            | Call::Stat { .. }
            | Call::Chmod { .. }
            | Call::Chown { .. }
            | Call::Utimens { .. }
            | Call::SetXattr { .. }
            | Call::GetXattr { .. }
            | Call::RemoveXattr { .. }
            | Call::SetAcl { .. } => self.on_attributes(call),
            Call::AsNobody(_) => unreachable!("never nested"),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    fn file(&self, slot: usize) -> Result<&File, Errno> {
        self.open[slot].as_ref().ok_or(Errno::BADF)
    }

    fn open_or_close(&mut self, call: &Call) -> Outcome {
        match call {
            Call::Open {
                slot,
                path,
                flags,
                mode,
            } => {
                let flags = flags
                    .iter()
                    .map(|flag| open_flag(flag))
                    .fold(OFlags::CLOEXEC, |a, b| a | b);
                // A fifo must not block the test.
                let flags = flags | OFlags::NONBLOCK;
                let file: OwnedFd =
                    rustix::fs::open(self.path(path), flags, Mode::from_raw_mode(*mode))?;
                self.open[*slot] = Some(File::from(file));
                done()
            }
            Call::Close { slot } => {
                let file = self.open[*slot].take().ok_or(Errno::BADF)?;
                crate::harness::close(file).map_err(|error| to_errno(&error))?;
                done()
            }
            _ => unreachable!("not a call of this group"),
        }
    }

    fn on_descriptor(&self, call: &Call) -> Outcome {
        match *call {
            Call::Pwrite {
                slot,
                offset,
                len,
                fill,
            } => {
                // Not one byte over and over: a wrong offset must show.
                count(rustix::io::pwrite(
                    self.file(slot)?,
                    &pattern(len, fill),
                    offset,
                )?)
            }
            Call::Append { slot, len, fill } => {
                count(rustix::io::write(self.file(slot)?, &pattern(len, fill))?)
            }
            Call::Pread { slot, offset, len } => {
                let mut bytes = vec![0; len];
                let count = rustix::io::pread(self.file(slot)?, bytes.as_mut_slice(), offset)?;
                Ok(format!("{count} {}", blake3::hash(&bytes[..count])))
            }
            Call::MapWrite {
                slot,
                offset,
                len,
                fill,
            } => self.map_write(slot, offset, len, fill),
            Call::Ftruncate { slot, len } => {
                rustix::fs::ftruncate(self.file(slot)?, len).and_then(ok)
            }
            Call::Fallocate {
                slot,
                mode,
                offset,
                len,
            } => {
                let mode = mode.iter().map(|flag| fallocate_flag(flag));
                let mode = mode.fold(FallocateFlags::empty(), |a, b| a | b);
                rustix::fs::fallocate(self.file(slot)?, mode, offset, len).and_then(ok)
            }
            Call::CopyRange {
                from,
                from_offset,
                to,
                to_offset,
                len,
            } => copy_range(
                self.file(from)?,
                from_offset,
                self.file(to)?,
                to_offset,
                len,
            ),
            Call::Fsync {
                slot,
                data_only: true,
            } => rustix::fs::fdatasync(self.file(slot)?).and_then(ok),
            Call::Fsync {
                slot,
                data_only: false,
            } => rustix::fs::fsync(self.file(slot)?).and_then(ok),
            Call::Fstat { slot } => Ok(stat_text(&rustix::fs::fstat(self.file(slot)?)?)),
            _ => unreachable!("not a call of this group"),
        }
    }

    fn map_write(&self, slot: usize, offset: usize, len: usize, fill: u8) -> Outcome {
        let file = self.file(slot)?;
        let stat = rustix::fs::fstat(file)?;
        let access = rustix::fs::fcntl_getfl(file)? & OFlags::RWMODE;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // Beyond the end is SIGBUS, which is the kernel's business.
        let size = usize::try_from(stat.st_size).unwrap();
        if !is_file || access != OFlags::RDWR || offset + len > size {
            return Ok("not mapped".to_owned());
        }
        let map = SharedMap::new(file, size);
        map.store(offset, &pattern(len, fill));
        map.sync().and_then(ok)
    }

    fn on_name(&self, call: &Call) -> Outcome {
        match call {
            Call::Mkdir { path, mode } => {
                rustix::fs::mkdir(self.path(path), Mode::from_raw_mode(*mode)).and_then(ok)
            }
            Call::Rmdir { path } => rustix::fs::rmdir(self.path(path)).and_then(ok),
            Call::Unlink { path } => rustix::fs::unlink(self.path(path)).and_then(ok),
            Call::Rename { from, to, flag } => {
                let (from, to) = (self.path(from), self.path(to));
                rustix::fs::renameat_with(CWD, from, CWD, to, rename_flag(flag)).and_then(ok)
            }
            Call::Link { from, to } => {
                rustix::fs::link(self.path(from), self.path(to)).and_then(ok)
            }
            Call::Symlink { target, path } => {
                rustix::fs::symlink(target.as_str(), self.path(path)).and_then(ok)
            }
            Call::Mknod { path, kind } => {
                let (kind, device) = match *kind {
                    "fifo" => (FileType::Fifo, 0),
                    "socket" => (FileType::Socket, 0),
                    "file" => (FileType::RegularFile, 0),
                    "char" => (FileType::CharacterDevice, rustix::fs::makedev(300, 70_000)),
                    _ => (FileType::BlockDevice, rustix::fs::makedev(7, 3)),
                };
                let mode = Mode::from_raw_mode(0o640);
                rustix::fs::mknodat(CWD, self.path(path), kind, mode, device).and_then(ok)
            }
            Call::ReadDir { path } => self.read_dir(path),
            Call::FsyncDir { path } => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let dir = rustix::fs::open(self.path(path), flags, Mode::empty())?;
                rustix::fs::fsync(dir).and_then(ok)
            }
            _ => unreachable!("not a call of this group"),
        }
    }

    fn read_dir(&self, path: &str) -> Outcome {
        let entries = std::fs::read_dir(self.path(path)).map_err(|error| to_errno(&error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| to_errno(&error))?;
            names.push(format!(
                "{:?} {:?}",
                entry.file_name(),
                entry.file_type().map_err(|error| to_errno(&error))?
            ));
        }
        names.sort();
        Ok(format!("{names:?}"))
    }

    fn on_attributes(&self, call: &Call) -> Outcome {
        match call {
            Call::Truncate { path, len } => {
                let path = std::ffi::CString::new(self.path(path).as_os_str().as_bytes()).unwrap();
                crate::harness::truncate(&path, *len)
                    .map_err(|error| to_errno(&error))
                    .and_then(ok)
            }
            Call::Stat { path } => Ok(stat_text(&rustix::fs::lstat(self.path(path))?)),
            Call::Chmod { path, mode } => {
                rustix::fs::chmod(self.path(path), Mode::from_raw_mode(*mode)).and_then(ok)
            }
            Call::Chown { path, uid, gid } => {
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(CWD, self.path(path), uid, gid, flags).and_then(ok)
            }
            Call::Utimens {
                path,
                seconds,
                nanos,
            } => self.utimens(path, *seconds, *nanos),
            Call::SetXattr {
                path,
                name,
                len,
                fill,
                flag,
            } => {
                let flag = match *flag {
                    "create" => XattrFlags::CREATE,
                    "replace" => XattrFlags::REPLACE,
                    _ => XattrFlags::empty(),
                };
                let value = vec![*fill; *len];
                rustix::fs::lsetxattr(self.path(path), *name, &value, flag).and_then(ok)
            }
            Call::GetXattr { path, name } => {
                let mut value = vec![0; 2000];
                let count = rustix::fs::lgetxattr(self.path(path), *name, value.as_mut_slice())?;
                Ok(format!("{count} {}", blake3::hash(&value[..count])))
            }
            Call::RemoveXattr { path, name } => {
                rustix::fs::lremovexattr(self.path(path), *name).and_then(ok)
            }
            Call::SetAcl {
                path,
                default,
                perms,
            } => {
                let name = if *default {
                    "system.posix_acl_default"
                } else {
                    "system.posix_acl_access"
                };
                let acl = acl(*perms);
                rustix::fs::setxattr(self.path(path), name, &acl, XattrFlags::empty()).and_then(ok)
            }
            _ => unreachable!("not a call of this group"),
        }
    }

    fn utimens(&self, path: &str, seconds: i64, nanos: i64) -> Outcome {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanos,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let path = self.path(path);
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        let stat = rustix::fs::lstat(&path)?;
        Ok(format!("mtime {}.{}", stat.st_mtime, stat.st_mtime_nsec))
    }
}

fn ok((): ()) -> Outcome {
    done()
}

fn done() -> Outcome {
    Ok("done".to_owned())
}

fn count(count: usize) -> Outcome {
    Ok(count.to_string())
}

fn to_errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn pattern(len: usize, fill: u8) -> Vec<u8> {
    let byte = |index: usize| fill.wrapping_add(u8::try_from(index / 7 % 251).unwrap());
    (0..len).map(byte).collect()
}

/// What both sides must agree on. Not the times, inode numbers, blocks and directory sizes.
fn stat_text(stat: &Stat) -> String {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let has_size = matches!(kind, FileType::RegularFile | FileType::Symlink);
    let size = if has_size { stat.st_size } else { 0 };
    let Stat {
        st_mode,
        st_uid,
        st_gid,
        st_nlink,
        st_rdev,
        ..
    } = stat;
    format!("{st_mode:o} {st_uid} {st_gid} links {st_nlink} size {size} rdev {st_rdev}")
}

fn copy_range(from: &File, mut start: u64, to: &File, mut end: u64, len: usize) -> Outcome {
    let mut total = 0;
    while total < len {
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut start), to, Some(&mut end), len - total)?;
        if copied == 0 {
            break;
        }
        total += copied;
    }
    count(total)
}

fn open_flag(flag: &str) -> OFlags {
    match flag {
        "rdwr" => OFlags::RDWR,
        "wronly" => OFlags::WRONLY,
        "creat" => OFlags::CREATE,
        "excl" => OFlags::EXCL,
        "trunc" => OFlags::TRUNC,
        "append" => OFlags::APPEND,
        "nofollow" => OFlags::NOFOLLOW,
        "directory" => OFlags::DIRECTORY,
        _ => OFlags::RDONLY,
    }
}

fn fallocate_flag(flag: &str) -> FallocateFlags {
    match flag {
        "keep" => FallocateFlags::KEEP_SIZE,
        "punch" => FallocateFlags::PUNCH_HOLE,
        _ => FallocateFlags::ZERO_RANGE,
    }
}

fn rename_flag(flag: &str) -> RenameFlags {
    match flag {
        "noreplace" => RenameFlags::NOREPLACE,
        "exchange" => RenameFlags::EXCHANGE,
        "whiteout" => RenameFlags::WHITEOUT,
        _ => RenameFlags::empty(),
    }
}

/// The extended attribute of an ACL: owner, user 65534, group, mask, others.
fn acl([owner, user, group, mask, others]: [u8; 5]) -> Vec<u8> {
    const NO_ID: u32 = u32::MAX;
    let entries: [(u16, u8, u32); 5] = [
        (0x01, owner, NO_ID),
        (0x02, user, 65_534),
        (0x04, group, NO_ID),
        (0x10, mask, NO_ID),
        (0x20, others, NO_ID),
    ];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&u16::from(permissions).to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}
