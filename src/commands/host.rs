//! A tree of the host's, gone through step by step: by descriptors, so that no path is too long and no depth too
//! great, and so that nobody can have a step lead elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

/// Bytes of a path that are given to the kernel at once: less than `PATH_MAX`, with a name to spare.
const PATH_BYTES: usize = 3000;
/// Opens a directory, and nothing that a symbolic link leads to.
pub(super) const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory that one stands in, and the way back to where one began.
#[derive(Debug)]
pub(crate) struct HostDir {
    base: OwnedFd,
    /// None: in `base`.
    here: Option<OwnedFd>,
    /// Device and inode of those above, from `base` on.
    above: Vec<(u64, u64)>,
}

impl HostDir {
    pub(crate) const fn at(base: OwnedFd) -> Self {
        Self {
            base,
            here: None,
            above: Vec::new(),
        }
    }

    /// Steps down.
    pub(crate) fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        let inner = openat(self.as_fd(), name, DIRECTORY, Mode::empty())?;
        self.above.push(identity(&fstat(self.as_fd())?));
        self.here = Some(inner);
        Ok(())
    }

    /// Steps back up, and returns what was left: by then nothing need be allowed in it any more.
    pub(crate) fn leave(&mut self) -> io::Result<Option<OwnedFd>> {
        let expected = self.above.pop();
        if self.above.is_empty() {
            return Ok(self.here.take());
        }
        let outer = openat(self.as_fd(), "..", DIRECTORY, Mode::empty())?;
        // The `..` of a directory that was moved meanwhile would lead out of the tree.
        if Some(identity(&fstat(&outer)?)) != expected {
            return Err(io::Error::other("its directory was moved meanwhile"));
        }
        Ok(self.here.replace(outer))
    }

    /// A path that leads to `name` here from anywhere in this process.
    pub(crate) fn reach(&self, name: &OsStr) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.as_fd().as_raw_fd())).join(name)
    }
}

impl AsFd for HostDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.here.as_ref().unwrap_or(&self.base).as_fd()
    }
}

/// What a file is known by on this host.
pub(crate) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Whether it is a directory.
pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

/// Opens the directory at `path` below `base`, however long that is.
pub(crate) fn open_far(base: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let flags = DIRECTORY | OFlags::PATH;
    let mut at = openat(base, ".", flags, Mode::empty())?;
    let mut rest = path;
    while !rest.is_empty() {
        let cut = match rest.get(..PATH_BYTES) {
            None => rest.len(),
            Some(start) => start
                .iter()
                .rposition(|&byte| byte == b'/')
                .unwrap_or(PATH_BYTES),
        };
        let (step, after) = rest.split_at(cut);
        at = openat(&at, OsStr::from_bytes(step), flags, Mode::empty())?;
        rest = after.strip_prefix(b"/").unwrap_or(after);
    }
    Ok(at)
}

/// Removes all that is in a directory.
pub(crate) fn empty(dir: &OwnedFd) -> io::Result<()> {
    for name in names(dir)? {
        remove(dir.try_clone()?, &name)?;
    }
    Ok(())
}

/// Removes what is called `name` in `base`, with all that is in it.
pub(crate) fn remove(base: OwnedFd, name: &OsStr) -> io::Result<()> {
    let mut here = HostDir::at(base);
    if !remove_unless_directory(&here, name)? {
        return Ok(());
    }
    open_up(&here, name);
    here.enter(name)?;
    let mut levels = vec![(name.to_owned(), names(&here)?)];
    while let Some((own, left)) = levels.last_mut() {
        let Some(next) = left.pop() else {
            let own = std::mem::take(own);
            levels.pop();
            drop(here.leave()?);
            unlinkat(&here, &own, AtFlags::REMOVEDIR)?;
            continue;
        };
        if remove_unless_directory(&here, &next)? {
            open_up(&here, &next);
            here.enter(&next)?;
            levels.push((next, names(&here)?));
        }
    }
    Ok(())
}

/// Without root, has its owner list and write a directory. Where that fails, what needs it tells.
fn open_up(dir: &HostDir, name: &OsStr) {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let opened = openat(dir, name, DIRECTORY | OFlags::PATH, Mode::empty());
    let opened = opened.and_then(|inner| chmod_open(&inner, Mode::RWXU));
    opened.unwrap_or_else(|e| log::debug!("{}: {e}", name.display()));
}

/// Whether it is a directory, which stays.
fn remove_unless_directory(dir: &HostDir, name: &OsStr) -> io::Result<bool> {
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if is_directory(&stat) {
        return Ok(true);
    }
    match unlinkat(dir, name, AtFlags::empty()) {
        // It went by itself.
        Err(Errno::NOENT) | Ok(()) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// fchmod(2) for what is open as a path: its name in /proc leads to nothing else.
pub(crate) fn chmod_open(fd: &OwnedFd, mode: Mode) -> rustix::io::Result<()> {
    rustix::fs::chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), mode)
}

/// close(2), with what it says: on NFS and FUSE that is where a write fails for want of space.
#[expect(unsafe_code, reason = "no safe function tells what close(2) says")]
pub(crate) fn close(fd: impl Into<OwnedFd>) -> io::Result<()> {
    let fd = fd.into().into_raw_fd();
    // SAFETY: the descriptor was owned here, and nobody has it any more.
    Ok(unsafe { rustix::io::try_close(fd) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mkdirat, open};

    #[test]
    fn deep_trees_are_entered_reached_and_removed() {
        let home = tempfile::tempdir().unwrap();
        let top = || open(home.path(), DIRECTORY, Mode::empty()).unwrap();
        let name = OsStr::new("twenty-letters-a-name");
        let depth = 2000;
        let mut here = HostDir::at(top());
        for _ in 0..depth {
            mkdirat(&here, name, Mode::from_raw_mode(0o700)).unwrap();
            here.enter(name).unwrap();
        }
        let deepest = identity(&fstat(&here).unwrap());
        for _ in 0..depth {
            here.leave().unwrap();
        }
        assert_eq!(names(&here).unwrap(), [name]);
        let path = vec!["twenty-letters-a-name"; depth].join("/");
        let far = open_far(top().as_fd(), path.as_bytes()).unwrap();
        assert_eq!(identity(&fstat(far).unwrap()), deepest);
        remove(top(), name).unwrap();
        assert!(names(top()).unwrap().is_empty());
    }

    #[test]
    fn who_is_moved_does_not_step_back_into_another_tree() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("a/b/c")).unwrap();
        std::fs::create_dir(home.path().join("other")).unwrap();
        let mut here = HostDir::at(open(home.path(), DIRECTORY, Mode::empty()).unwrap());
        for step in ["a", "b", "c"] {
            here.enter(OsStr::new(step)).unwrap();
        }
        let (from, to) = (home.path().join("a/b/c"), home.path().join("other/c"));
        rustix::fs::renameat(CWD, &from, CWD, &to).unwrap();
        assert!(here.leave().is_err());
    }
}
