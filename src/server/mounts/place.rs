//! A place for a mount: a directory, opened once and checked, so that what was checked is what is
//! mounted over.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

/// A directory to mount over.
#[derive(Debug)]
pub struct Place {
    directory: OwnedFd,
    path: PathBuf,
}

/// Why a path is no place for a mount.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is nothing.
    #[error("mountpoint {} does not exist", .0.display())]
    Missing(PathBuf),
    /// There is something else.
    #[error("mountpoint {} is not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// What is mounted there has lost its server.
    #[error("mountpoint {} is a mount whose server is gone", .0.display())]
    Dead(PathBuf),
    /// It could not be opened.
    #[error("cannot use mountpoint {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Place {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn open(path: &Path) -> Result<Self, PlaceError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fail = |e: io::Error| explain(path, e);
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        // Opening in this manner succeeds where no server answers, too, and so does asking for what the kernel
        // knows by itself.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        rustix::fs::statx(&directory, "", flags, StatxFlags::BASIC_STATS)
            .map_err(|e| fail(e.into()))?;
        Ok(Self {
            directory,
            path: absolute(path).map_err(fail)?,
        })
    }

    /// Its path: absolute, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many entries a mount here hides.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn entries(&self) -> io::Result<usize> {
        Ok(std::fs::read_dir(&self.path)?.count())
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn explain(path: &Path, source: io::Error) -> PlaceError {
    let path = path.to_owned();
    let kind = source.kind();
    if kind == io::ErrorKind::NotFound {
        PlaceError::Missing(path)
    } else if kind == io::ErrorKind::NotADirectory {
        PlaceError::NotDirectory(path)
    } else if kind == io::ErrorKind::NotConnected {
        PlaceError::Dead(path)
    } else {
        PlaceError::Io { path, source }
    }
}

/// `path` as the mount table shows it. Works for a mount that no longer answers, too.
///
/// # Errors
/// When no such path exists.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(e) if e.kind() == io::ErrorKind::NotConnected => absolute_without_last(path, e),
        outcome => outcome,
    }
}

/// The last component is the dead mount itself: it can be no symbolic link, or it would have been read.
fn absolute_without_last(path: &Path, error: io::Error) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => {
            Ok(Path::new(".").canonicalize()?.join(name))
        }
        (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
        _ => Err(error),
    }
}
