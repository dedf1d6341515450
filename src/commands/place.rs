//! Making on the host's filesystem what a tree holds.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::commands::host::{self, HostDir};
use crate::commands::source::{
    Entry, Failure, Place, Source, Visitor, Xattr, read_block, runs, walk,
};
use crate::types::{Attr, FileKind, Ino, Timestamp};

/// What is all zeros for this long becomes a hole.
const HOLE_BYTES: usize = 4096;
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

type Result<T> = std::result::Result<T, Failure>;

/// Where a copy comes to be: a name in a directory of the host, at which nothing is.
pub(crate) struct Target {
    dir: OwnedFd,
    name: OsString,
}

impl Target {
    pub(crate) fn at(path: &Path) -> Result<Self> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir.unwrap_or(Path::new(".")), flags, Mode::empty())?;
        let name = path.file_name().ok_or(Errno::INVAL)?.to_owned();
        Ok(Self { dir, name })
    }

    /// A name in a directory that is open.
    pub(crate) fn within(dir: OwnedFd, name: OsString) -> Self {
        Self { dir, name }
    }

    /// Makes `entry` there, with all that is in it. What was begun is taken back if that fails.
    pub(crate) fn fill(&self, source: &dyn Source, entry: &Entry) -> Result<()> {
        let mut placer = Placer {
            source,
            target: self,
            here: HostDir::at(self.dir.try_clone()?),
            below: entry.path.as_os_str().len(),
            linked: HashMap::new(),
            has_begun: false,
            is_root: rustix::process::geteuid().is_root(),
        };
        let filled = walk(source, entry, &mut placer);
        if filled.is_err() && placer.has_begun {
            let taken_back = self.dir.try_clone();
            let taken_back = taken_back.and_then(|dir| host::remove(dir, &self.name));
            if let Err(e) = taken_back {
                let name = Path::new(&self.name).display();
                log::warn!("a part of it stays at {name}: {e}");
            }
        }
        filled
    }
}

/// Makes copies out of one tree.
struct Placer<'s> {
    source: &'s dyn Source,
    target: &'s Target,
    /// The directory that is being filled.
    here: HostDir,
    /// Bytes of the path that leads to what is copied.
    below: usize,
    /// Where files of several names are by now, as the source calls it.
    linked: HashMap<Ino, PathBuf>,
    has_begun: bool,
    /// Without root, what the system does not allow is left out.
    is_root: bool,
}

impl Visitor for Placer<'_> {
    fn enter(&mut self, place: &Place<'_>) -> Result<()> {
        let name = self.name_of(place);
        rustix::fs::mkdirat(&self.here, &name, Mode::RWXU)?;
        self.has_begun = true;
        Ok(self.here.enter(&name)?)
    }

    fn leave(&mut self, place: &Place<'_>) -> Result<()> {
        // A directory's own attributes come last: its default ACL is not for what is made in it here, and its mode
        // may forbid the way back.
        match self.here.leave()? {
            Some(left) => self.attributes(place.attr, &Object::Open(left.as_fd())),
            None => Ok(()),
        }
    }

    fn visit(&mut self, place: &Place<'_>) -> Result<()> {
        let (attr, name) = (place.attr, self.name_of(place));
        if attr.nlink > 1 {
            if let Some(first) = self.linked.get(&attr.ino) {
                return self.link(first, &name);
            }
            self.linked.insert(attr.ino, place.path.to_owned());
        }
        let made = match attr.kind {
            // Not visited, but entered.
            FileKind::Directory => Ok(()),
            FileKind::File => return self.make_file(attr, &name),
            FileKind::Symlink => {
                let target = self.source.target(attr.ino)?;
                rustix::fs::symlinkat(OsStr::from_bytes(&target), &self.here, &name)
            }
            FileKind::Fifo => self.make_node(attr, &name, FileType::Fifo),
            FileKind::Socket => self.make_node(attr, &name, FileType::Socket),
            FileKind::CharDevice => self.make_node(attr, &name, FileType::CharacterDevice),
            FileKind::BlockDevice => self.make_node(attr, &name, FileType::BlockDevice),
        };
        made?;
        self.has_begun = true;
        self.attributes(attr, &Object::Named(&self.here, &name))
    }
}

impl Placer<'_> {
    fn name_of(&self, place: &Place<'_>) -> OsString {
        match place.name {
            Some(name) => OsStr::from_bytes(name.as_bytes()).to_owned(),
            None => self.target.name.clone(),
        }
    }

    /// The first name may be at the end of a path that is longer than the kernel takes.
    fn link(&self, first: &Path, name: &OsStr) -> Result<()> {
        let below = first.as_os_str().as_bytes().get(self.below..);
        let below = below.unwrap_or_default();
        let below = below.strip_prefix(b"/").unwrap_or(below);
        let at = below.iter().rposition(|&byte| byte == b'/');
        let (dir, own) = match at {
            Some(at) => (&below[..at], &below[at + 1..]),
            None => (&[][..], below),
        };
        let top = host::open_far(self.target.dir.as_fd(), self.target.name.as_bytes())?;
        let dir = host::open_far(top.as_fd(), dir)?;
        let own = OsStr::from_bytes(own);
        Ok(rustix::fs::linkat(
            dir,
            own,
            &self.here,
            name,
            AtFlags::empty(),
        )?)
    }

    fn make_file(&mut self, attr: &Attr, name: &OsStr) -> Result<()> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = File::from(rustix::fs::openat(&self.here, name, flags, mode)?);
        self.has_begun = true;
        for run in runs(self.source, attr)? {
            let mut offset = run.start;
            while offset < run.end {
                let left = usize::try_from(run.end - offset).unwrap_or(usize::MAX);
                let bytes = read_block(self.source, attr, offset, left)?;
                if bytes.is_empty() {
                    break;
                }
                write_data(&file, offset, &bytes)?;
                offset += bytes.len() as u64;
            }
        }
        // A hole at the end is in no run.
        file.set_len(attr.size)?;
        self.attributes(attr, &Object::Open(file.as_fd()))?;
        Ok(host::close(file)?)
    }

    fn make_node(&self, attr: &Attr, name: &OsStr, kind: FileType) -> rustix::io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(&self.here, name, kind, mode, attr.rdev.into())
    }

    /// Owner, mode, attributes and times, in the order in which none undoes another.
    fn attributes(&self, attr: &Attr, object: &Object<'_>) -> Result<()> {
        // First: chown(2) takes set-id bits and capabilities away.
        self.tolerate(object.chown(attr.uid, attr.gid))?;
        let xattrs = self.source.xattrs(attr.ino)?;
        if attr.kind != FileKind::Symlink {
            drop_inherited(object, &xattrs)?;
            object.chmod(attr.mode)?;
        }
        for (name, value) in &xattrs {
            self.tolerate(object.set_xattr(name, value))?;
        }
        let times = Timestamps {
            last_access: timespec(attr.atime),
            last_modification: timespec(attr.mtime),
        };
        Ok(object.set_times(&times)?)
    }

    fn tolerate(&self, outcome: rustix::io::Result<()>) -> Result<()> {
        match outcome {
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if !self.is_root => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// What was made: open, or what can only be named.
enum Object<'o> {
    Open(std::os::fd::BorrowedFd<'o>),
    Named(&'o HostDir, &'o OsStr),
}

impl Object<'_> {
    fn chown(&self, uid: u32, gid: u32) -> rustix::io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match self {
            Self::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Self::Named(dir, name) => {
                rustix::fs::chownat(dir, *name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn chmod(&self, mode: u32) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(fd) => rustix::fs::fchmod(fd, mode),
            Self::Named(dir, name) => chmod_unfollowed(dir, name, mode),
        }
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
        let flags = XattrFlags::empty();
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, flags),
            Self::Named(dir, own) => rustix::fs::lsetxattr(dir.reach(own), name, value, flags),
        }
    }

    fn remove_xattr(&self, name: &[u8]) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::Named(dir, own) => rustix::fs::lremovexattr(dir.reach(own), name),
        }
    }

    fn set_times(&self, times: &Timestamps) -> rustix::io::Result<()> {
        match self {
            Self::Open(fd) => rustix::fs::futimens(fd, times),
            Self::Named(dir, name) => {
                rustix::fs::utimensat(dir, *name, times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }
}

/// fchmodat(2) follows a symbolic link, and whoever may write the directory may have put one there by now: it could lead to
/// any file of the host. What is opened as a path is what it is.
fn chmod_unfollowed(dir: &HostDir, name: &OsStr, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&made)?.st_mode);
    if kind == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    host::chmod_open(&made, mode)
}

/// What the new file got from a default ACL of its directory on the host is not the volume's.
fn drop_inherited(object: &Object<'_>, xattrs: &[Xattr]) -> Result<()> {
    for acl in [ACCESS_ACL, DEFAULT_ACL] {
        if xattrs.iter().any(|(name, _)| name == acl) {
            continue;
        }
        match object.remove_xattr(acl) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP | Errno::ACCESS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Writes what is not zero.
fn write_data(file: &File, offset: u64, bytes: &[u8]) -> Result<()> {
    let is_data = |block: &&[u8]| block.iter().any(|&byte| byte != 0);
    let mut at = 0;
    // Neighbouring blocks of data go out in one write.
    for run in bytes
        .chunks(HOLE_BYTES)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| is_data(a) == is_data(b))
    {
        let len: usize = run.iter().map(|block| block.len()).sum();
        if run.first().is_some_and(is_data) {
            file.write_all_at(&bytes[at..at + len], offset + at as u64)?;
        }
        at += len;
    }
    Ok(())
}

fn timespec(time: Timestamp) -> Timespec {
    Timespec {
        tv_sec: time.secs(),
        tv_nsec: time.nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_link_that_came_meanwhile_leads_no_mode_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("target");
        drop(File::create(&target).unwrap());
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&target, home.path().join("link")).unwrap();
        let dir = HostDir::at(File::open(home.path()).unwrap().into());
        let all = Mode::from_raw_mode(0o666);
        let refused = chmod_unfollowed(&dir, OsStr::new("link"), all);
        assert_eq!(refused, Err(Errno::LOOP));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&target), 0o600);
        chmod_unfollowed(&dir, OsStr::new("target"), all).unwrap();
        assert_eq!(mode(&target), 0o666);
    }
}
