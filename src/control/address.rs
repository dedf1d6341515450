//! Where a volume's server listens: a socket in the volume's directory.
//!
//! A socket's address holds 108 bytes at most, a path more: so the directory is opened, and named
//! through `/proc/self/fd`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The socket's name in the volume's directory.
pub const SOCKET: &str = "control.sock";

/// Connects to the server of the volume in `dir`; `None` when nobody listens.
///
/// # Errors
/// No permission, or `dir` cannot be opened.
pub fn connect(dir: &Path) -> io::Result<Option<UnixStream>> {
    let dir = File::open(dir)?;
    match UnixStream::connect(short_path(&dir)) {
        Ok(stream) => Ok(Some(stream)),
        Err(e)
            if matches!(
                e.kind(),
                // The second is of a socket that a server left that was killed: its file is there, and nobody behind
                // it.
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Listens for the volume in `dir`, in place of whatever socket is there.
///
/// The caller holds the volume's lock, so a socket that is there belongs to nobody.
///
/// # Errors
/// Any I/O error.
pub fn bind(dir: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(dir.join(SOCKET)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let opened = File::open(dir)?;
    let listener = UnixListener::bind(short_path(&opened))?;
    // Nobody else comes by before: the directory is its owner's alone.
    std::fs::set_permissions(
        dir.join(SOCKET),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )?;
    Ok(listener)
}

fn short_path(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_longer_than_a_socket_address_work() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("d".repeat(200));
        std::fs::create_dir(&long).unwrap();
        assert!(connect(&long).unwrap().is_none());
        let listener = bind(&long).unwrap();
        assert!(connect(&long).unwrap().is_some());
        drop(listener);
        assert!(
            connect(&long).unwrap().is_none(),
            "a stale socket is nobody"
        );
        drop(bind(&long).unwrap());
    }
}
