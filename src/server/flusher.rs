//! Has the kernel send what it holds of one file: by a process of its own, because a server that did it itself and was
//! killed meanwhile would wait for itself, and its successor for its end.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::mounts::{FileOfMount, is_privileged, write_out};
use crate::types::Ino;

/// How long the flusher waits for another request. It has a mount, and while there is one, the volume is not closed.
const IDLE_MAX: Duration = Duration::from_millis(20);

/// The server's end: it starts the process when there is something to flush.
#[derive(Debug)]
pub(super) struct Flusher {
    fuse: OwnedFd,
    process: Mutex<Option<Process>>,
}

#[derive(Debug)]
struct Process(UnixStream);

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
        let mut process = self.process.lock();
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
        let mut child = Command::new("/proc/self/exe")
            .arg0("cask")
            .arg("flush-files")
            .stdin(OwnedFd::from(theirs))
            .stdout(fuse)
            .spawn()?;
        // It ends when it has nothing to do, or with its standard input.
        thread::spawn(move || child.wait());
        Ok(Self(stream))
    }

    /// The outer error is of the process, the inner one of the file.
    fn ask(&mut self, ino: Ino) -> io::Result<io::Result<()>> {
        self.0.write_all(&ino.raw().to_ne_bytes())?;
        let mut answer = [0; 4];
        self.0.read_exact(&mut answer)?;
        Ok(match i32::from_ne_bytes(answer) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        })
    }
}

/// What the process does: flushes the files whose numbers come from `requests`, until none comes for a moment.
///
/// It waits for the kernel, which waits for the server. Nobody who does may hold the device, or the connection would
/// not end with its server and supervisor: `fuse` is the process's last descriptor of it, and goes once there is a mount.
///
/// # Errors
/// When there can be no mount, or `requests` fails.
pub fn flush_files(fuse: OwnedFd, requests: OwnedFd) -> io::Result<()> {
    let mount = FileOfMount::stage(&fuse)?;
    drop(fuse);
    answer_all(UnixStream::from(requests), |ino| flush_one(&mount, ino))
}

/// Has `flush` do what is asked for, until nothing is for a moment.
fn answer_all(mut requests: UnixStream, flush: impl Fn(Ino) -> io::Result<()>) -> io::Result<()> {
    loop {
        let mut ino = [0; 8];
        match requests.read_exact(&mut ino) {
            Ok(()) => {}
            Err(e) if is_end(&e) => return Ok(()),
            Err(e) => return Err(e),
        }
        let flushed = flush(Ino::from_raw(u64::from_ne_bytes(ino)));
        let errno = flushed.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |()| 0);
        requests.write_all(&errno.to_ne_bytes())?;
        // Not before: a busy host may keep the server from asking for longer, and for its first request nobody starts
        // another process.
        requests.set_read_timeout(Some(IDLE_MAX))?;
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{UnexpectedEof, WouldBlock};
    matches!(error.kind(), WouldBlock | UnexpectedEof)
}

fn flush_one(mount: &FileOfMount, ino: Ino) -> io::Result<()> {
    write_out(mount.open(ino)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_may_come_late_and_the_last_is_followed_by_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let process = thread::spawn(move || answer_all(theirs, |_| Ok(())));
        thread::sleep(IDLE_MAX * 5);
        let mut process_of = Process(ours);
        process_of.ask(Ino::from_raw(7)).unwrap().unwrap();
        process.join().unwrap().unwrap();
        assert!(process_of.ask(Ino::from_raw(7)).is_err(), "it has ended");
    }
}
