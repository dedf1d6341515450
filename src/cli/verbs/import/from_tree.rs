//! Filling a volume from a directory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::vec;

use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom, Stat, fstat, openat, seek, statat};
use rustix::io::Errno;

use super::fill::{Filler, NodeAttributes, block_bytes};
use crate::cli::host::{HostDir, identity, names};
use crate::cli::output;
use crate::cli::source::{Failure, Xattr};
use crate::types::{Caller, FileKind, Ino, MODE_BITS, Name, Timestamp};
use crate::volume::Volume;

/// More than all names of an inode's attributes, and than any value.
const XATTR_BYTES_MAX: usize = 128 * 1024;

type Result<T> = std::result::Result<T, Failure>;

/// Copies all that the directory `top` holds.
pub(super) fn fill(volume: &Volume, top: OwnedFd) -> Result<()> {
    let mut copier = Copier {
        filler: Filler::new(volume),
        linked: HashMap::new(),
        here: HostDir::at(top),
        path: PathBuf::new(),
    };
    let root = volume.getattr(Ino::ROOT)?;
    let attributes =
        copier.attributes_of(&fstat(&copier.here)?, &Object::Open(copier.here.as_fd()))?;
    copier.filler.attributes(&root, attributes)?;
    copier.all().map_err(|e| e.at(&copier.path))?;
    copier.filler.finish()
}

/// A directory that is being copied: where to, and what of it is left.
struct Level {
    to: Ino,
    left: vec::IntoIter<OsString>,
}

struct Copier<'v> {
    filler: Filler<'v>,
    /// Where files of several names are by now, by device and inode.
    linked: HashMap<(u64, u64), Ino>,
    here: HostDir,
    path: PathBuf,
}

/// Where attributes are read.
enum Object<'o> {
    Open(std::os::fd::BorrowedFd<'o>),
    Named(PathBuf),
}

impl Copier<'_> {
    fn all(&mut self) -> Result<()> {
        let mut levels = vec![self.level(Ino::ROOT)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.left.next() else {
                levels.pop();
                if !levels.is_empty() {
                    drop(self.here.leave()?);
                    self.path.pop();
                }
                continue;
            };
            let to = level.to;
            self.path.push(&name);
            match self.one(to, &name)? {
                Some(inner) => levels.push(inner),
                None => drop(self.path.pop()),
            }
        }
        Ok(())
    }

    fn level(&self, to: Ino) -> Result<Level> {
        let left = names(&self.here)?.into_iter();
        Ok(Level { to, left })
    }

    /// Copies what has this name; a directory is entered, and what is in it left to do.
    fn one(&mut self, parent: Ino, raw: &OsString) -> Result<Option<Level>> {
        let stat = match statat(&self.here, raw, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {
                let path = self.path.display();
                output::warn(&format!("{path}: it went while it was read"));
                return Ok(None);
            }
            stat => stat?,
        };
        let name = Name::parse(raw.as_bytes())?;
        let kind = FileKind::from_mode(stat.st_mode).ok_or(Errno::INVAL)?;
        if kind == FileKind::Directory {
            return self.directory((parent, name), raw).map(Some);
        }
        let has_names = stat.st_nlink > 1;
        if has_names && let Some(&first) = self.linked.get(&identity(&stat)) {
            let volume = self.filler.volume;
            volume.link(&Caller::root(), first, parent, name)?;
            return Ok(None);
        }
        let made = match kind {
            FileKind::File => self.file((parent, name), raw)?,
            _ => self.node((parent, name), kind, raw, &stat)?,
        };
        if has_names {
            self.linked.insert(identity(&stat), made);
        }
        Ok(None)
    }

    fn directory(&mut self, at: (Ino, &Name), raw: &OsString) -> Result<Level> {
        self.here.enter(raw)?;
        let attributes =
            self.attributes_of(&fstat(&self.here)?, &Object::Open(self.here.as_fd()))?;
        let made = self
            .filler
            .node(at, FileKind::Directory, 0, &[], &attributes)?;
        self.filler.attributes(&made, attributes)?;
        self.level(made.ino)
    }

    fn node(
        &mut self,
        at: (Ino, &Name),
        kind: FileKind,
        raw: &OsString,
        stat: &Stat,
    ) -> Result<Ino> {
        let target = match kind {
            FileKind::Symlink => rustix::fs::readlinkat(&self.here, raw, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        let attributes = self.attributes_of(stat, &Object::Named(self.here.reach(raw)))?;
        let rdev = u32::try_from(stat.st_rdev).unwrap_or(u32::MAX);
        let made = self.filler.node(at, kind, rdev, &target, &attributes)?;
        self.filler.attributes(&made, attributes)?;
        Ok(made.ino)
    }

    fn file(&mut self, at: (Ino, &Name), raw: &OsString) -> Result<Ino> {
        // A FIFO that took its place meanwhile would keep us waiting.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.here, raw, flags, Mode::empty())?);
        // Of the open file: its name may stand for another by now.
        let stat = fstat(&file)?;
        if FileKind::from_mode(stat.st_mode) != Some(FileKind::File) {
            return Err(std::io::Error::other("it was replaced while it was read").into());
        }
        let attributes = self.attributes_of(&stat, &Object::Open(file.as_fd()))?;
        let made = self.filler.node(at, FileKind::File, 0, &[], &attributes)?;
        let to = (made.ino, &attributes);
        self.content(&file, to, stat.st_size.cast_unsigned())?;
        self.filler.attributes(&made, attributes)?;
        Ok(made.ino)
    }

    /// What is appended meanwhile is left out, and what is cut off becomes zeros.
    fn content(&self, file: &File, to: (Ino, &NodeAttributes), size: u64) -> Result<()> {
        let mut buffer = vec![0; block_bytes(size)];
        let mut offset = 0;
        while let Some((start, end)) = next_run(file, offset, size)? {
            offset = start;
            while offset < end {
                let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
                let wanted = left.min(buffer.len());
                let len = file.read_at(&mut buffer[..wanted], offset)?;
                if len == 0 {
                    return self.filler.size(to.0, size);
                }
                self.filler.data(to, offset, &buffer[..len])?;
                offset += len as u64;
            }
        }
        // Only a hole at the end leaves the file too short.
        if offset < size {
            self.filler.size(to.0, size)?;
        }
        Ok(())
    }

    fn attributes_of(&self, stat: &Stat, object: &Object<'_>) -> Result<NodeAttributes> {
        let time = |secs, nanos: u64| Timestamp::new(secs, u32::try_from(nanos).unwrap_or(0));
        Ok(NodeAttributes {
            mode: stat.st_mode & MODE_BITS,
            uid: stat.st_uid,
            gid: stat.st_gid,
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            xattrs: object.xattrs()?,
        })
    }
}

impl Object<'_> {
    fn xattrs(&self) -> Result<Vec<Xattr>> {
        let mut space = vec![0; XATTR_BYTES_MAX];
        let listed = match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, space.as_mut_slice()),
            Self::Named(path) => rustix::fs::llistxattr(path, space.as_mut_slice()),
        };
        let len = match listed {
            // A filesystem without attributes.
            Err(Errno::NOTSUP) => 0,
            len => len?,
        };
        let names = space[..len].to_vec();
        let mut found = Vec::new();
        for name in names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
        {
            let len = match self {
                Self::Open(fd) => rustix::fs::fgetxattr(fd, name, space.as_mut_slice()),
                Self::Named(path) => rustix::fs::lgetxattr(path, name, space.as_mut_slice()),
            };
            found.push((name.to_vec(), space[..len?].to_vec()));
        }
        Ok(found)
    }
}

/// The next bytes of a file from `from` on that are no hole; where the filesystem does not tell, all.
fn next_run(file: &File, from: u64, size: u64) -> Result<Option<(u64, u64)>> {
    if from >= size {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(from)) {
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok(Some((from, size))),
        start => start?,
    };
    let end = seek(file, SeekFrom::Hole(start))?;
    Ok((start < size).then_some((start, end.min(size))))
}
