//! A directory beside a place, in which what is to come there is made: nobody else reaches it meanwhile. What a command
//! that was killed left is removed by the next that comes by.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, FlockOperation, Mode, XattrFlags, fgetxattr, flock, fsetxattr, fstat, mkdirat, openat,
    statat, unlinkat,
};
use rustix::io::Errno;

use crate::commands::host::{self, DIRECTORY};
use crate::types::VolumeId;

const PREFIX: &str = ".cask-restore-";
/// Another who comes by at the wrong moment takes a new one for a left one.
const TRIES: usize = 8;

/// A directory of the caller's own. As long as it is used it is locked, which ends with the process.
#[derive(Debug)]
pub(super) struct Staging {
    above: OwnedFd,
    name: OsString,
    dir: OwnedFd,
}

impl Staging {
    /// Makes one in `above`.
    pub(super) fn make_in(above: &OwnedFd) -> io::Result<Self> {
        remove_left(above)?;
        for _ in 0..TRIES {
            let name = OsString::from(format!("{PREFIX}{}", VolumeId::random()));
            mkdirat(above, &name, Mode::RWXU)?;
            mark(above, &name)?;
            if let Some(dir) = locked(above, &name)? {
                let above = above.try_clone()?;
                return Ok(Self { above, name, dir });
            }
        }
        Err(io::Error::other("others take away what is made there"))
    }

    /// Removes it, with all that is in it.
    pub(super) fn remove(self) {
        remove(&self.above, &self.name, &self.dir);
    }
}

impl AsFd for Staging {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The attribute that says that a directory is one of these. With root's own nobody in a container marks what they have
/// no right to remove, by another name.
fn mark_name() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "trusted.cask.staging"
    } else {
        "user.cask.staging"
    }
}

/// Marks the directory of this name, unless another took it away meanwhile.
fn mark(above: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match openat(above, name, DIRECTORY, Mode::empty()) {
        Ok(dir) => Ok(fsetxattr(&dir, mark_name(), b"1", XattrFlags::CREATE)?),
        Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Empties the directory by its descriptor: by then another one may have its name, of which only an empty one goes.
fn remove(above: &OwnedFd, name: &OsStr, dir: &OwnedFd) {
    let emptied = host::empty(dir);
    let removed = emptied.and_then(|()| Ok(unlinkat(above, name, AtFlags::REMOVEDIR)?));
    if let Err(e) = removed {
        log::warn!("what is no more needed stays as {}: {e}", name.display());
    }
}

/// Whether it is marked.
fn is_marked(dir: &OwnedFd) -> io::Result<bool> {
    match fgetxattr(dir, mark_name(), &mut [0_u8; 1]) {
        Ok(_) => Ok(true),
        Err(Errno::NODATA | Errno::RANGE) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The directory of this name, where it is the caller's and one of these, closed to all others, and not in use.
fn locked(above: &OwnedFd, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    let dir = match openat(above, name, DIRECTORY, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(e) => return Err(e.into()),
    }
    let own = fstat(&dir)?;
    let is_closed = Mode::from_raw_mode(own.st_mode).intersection(Mode::RWXG | Mode::RWXO);
    if own.st_uid != rustix::process::geteuid().as_raw() || !is_closed.is_empty() {
        return Ok(None);
    }
    if !is_marked(&dir)? {
        // Killed before it was marked, or another's: it goes if nothing is in it.
        let removed = unlinkat(above, name, AtFlags::REMOVEDIR);
        removed.unwrap_or_else(|e| log::debug!("{}: {e}", name.display()));
        return Ok(None);
    }
    // Whoever held the lock before may have removed it.
    Ok(match statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) if host::identity(&there) == host::identity(&own) => Some(dir),
        Ok(_) | Err(Errno::NOENT) => None,
        Err(e) => return Err(e.into()),
    })
}

fn remove_left(above: &OwnedFd) -> io::Result<()> {
    let here = openat(above, ".", DIRECTORY, Mode::empty())?;
    for name in host::names(here)? {
        if name.as_bytes().starts_with(PREFIX.as_bytes())
            && let Some(left) = locked(above, &name)?
        {
            remove(above, &name, &left);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn names(dir: &Path) -> Vec<OsString> {
        host::names(File::open(dir).unwrap()).unwrap()
    }

    #[test]
    fn one_that_was_left_is_removed_and_one_in_use_stays() {
        let home = tempfile::tempdir().unwrap();
        let above = OwnedFd::from(File::open(home.path()).unwrap());
        let left = home.path().join(".cask-restore-left");
        fs::create_dir_all(left.join("with/more")).unwrap();
        fs::set_permissions(&left, Permissions::from_mode(0o700)).unwrap();
        mark(&above, left.file_name().unwrap()).unwrap();
        let first = Staging::make_in(&above).unwrap();
        assert_eq!(names(home.path()), std::slice::from_ref(&first.name));
        let second = Staging::make_in(&above).unwrap();
        assert_eq!(names(home.path()).len(), 2);
        second.remove();
        first.remove();
        assert!(names(home.path()).is_empty());
    }

    #[test]
    fn what_is_open_to_others_not_marked_or_no_directory_is_not_ones_own() {
        let home = tempfile::tempdir().unwrap();
        let above = OwnedFd::from(File::open(home.path()).unwrap());
        let open = home.path().join(".cask-restore-open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        mark(&above, open.file_name().unwrap()).unwrap();
        let other = home.path().join(".cask-restore-other");
        fs::create_dir_all(other.join("full")).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o700)).unwrap();
        drop(File::create(home.path().join(".cask-restore-file")).unwrap());
        std::os::unix::fs::symlink(&open, home.path().join(".cask-restore-link")).unwrap();
        let made = Staging::make_in(&above).unwrap();
        assert_eq!(names(home.path()).len(), 5);
        made.remove();
        assert_eq!(names(home.path()).len(), 4);
    }
}
