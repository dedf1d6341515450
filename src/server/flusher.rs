//! Has the kernel send what it holds of one file: by a process of its own, because a server that did it itself and was
//! killed meanwhile would wait for itself, and its successor for its end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::mounts::{FileOfMount, is_privileged};
use crate::types::Ino;

/// How long the flusher keeps its mount after the last request: while there is one, the volume is not closed.
const LINGER: Duration = Duration::from_millis(20);

/// The server's end: it starts the process when there is first something to flush.
#[derive(Debug)]
pub(super) struct Flusher {
    fuse: OwnedFd,
    process: Mutex<Option<Process>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stream: UnixStream,
}

impl Flusher {
    /// For the superblock that `fuse` is the `/dev/fuse` descriptor of.
    pub(super) const fn new(fuse: OwnedFd) -> Self {
        Self {
            fuse,
            process: Mutex::new(None),
        }
    }

    /// Has the kernel send what it holds of a file, and returns when all of it was answered.
    ///
    /// # Errors
    /// `EPERM` without root; what was refused; others when the process cannot be started.
    pub(super) fn flush(&self, ino: Ino) -> io::Result<()> {
        if !is_privileged() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = process.as_mut()
            && let Ok(answer) = running.ask(ino)
        {
            return answer;
        }
        // There was none yet, or somebody has ended it.
        *process = None;
        process
            .insert(Process::start(self.fuse.as_fd().try_clone_to_owned()?)?)
            .ask(ino)?
    }
}

impl Process {
    fn start(fuse: OwnedFd) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg0("cask")
            .arg("flush-files")
            .stdin(OwnedFd::from(theirs))
            .stdout(fuse)
            .spawn()?;
        Ok(Self { child, stream })
    }

    /// The outer error is of the process, the inner one of the file.
    fn ask(&mut self, ino: Ino) -> io::Result<io::Result<()>> {
        self.stream.write_all(&ino.raw().to_ne_bytes())?;
        let mut answer = [0; 4];
        self.stream.read_exact(&mut answer)?;
        Ok(match i32::from_ne_bytes(answer) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        })
    }
}

impl Drop for Process {
    /// It ends with its standard input.
    fn drop(&mut self) {
        if let Err(error) = self.stream.shutdown(std::net::Shutdown::Both) {
            log::debug!("cannot end the flusher: {error}");
        }
        if let Err(error) = self.child.wait() {
            log::warn!("cannot wait for the flusher: {error}");
        }
    }
}

/// What the process does: flushes the files whose numbers come from `requests`, until there are no more.
///
/// # Errors
/// When `requests` fails.
pub fn flush_files(fuse: impl AsFd, requests: OwnedFd) -> io::Result<()> {
    let mut requests = UnixStream::from(requests);
    let mut mount = None;
    loop {
        let mut ino = [0; 8];
        requests.set_read_timeout(mount.as_ref().map(|_| LINGER))?;
        match requests.read_exact(&mut ino) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                mount = None;
                continue;
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
        let flushed = flush_one(&fuse, &mut mount, Ino::from_raw(u64::from_ne_bytes(ino)));
        let errno = flushed.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |()| 0);
        requests.write_all(&errno.to_ne_bytes())?;
    }
}

fn flush_one(fuse: &impl AsFd, mount: &mut Option<FileOfMount>, ino: Ino) -> io::Result<()> {
    let mount = match mount {
        Some(mount) => mount,
        None => mount.insert(FileOfMount::stage(fuse)?),
    };
    let file = File::from(mount.open(ino)?);
    super::mounts::write_out(&file)
}
