//! Which program servers are started from: the one that is decided on, and perhaps a newer one to try.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

/// Open files, since their names may stand for other programs by now.
#[derive(Debug)]
pub(super) struct Program {
    decided: OwnedFd,
    next: Option<OwnedFd>,
}

impl Program {
    /// The program that runs here.
    pub(super) fn this() -> io::Result<Self> {
        Ok(Self {
            decided: File::open("/proc/self/exe")?.into(),
            next: None,
        })
    }

    /// Servers are to be started from `program` from now on, if it can serve.
    pub(super) fn try_next(&mut self, program: OwnedFd) {
        self.next = Some(program);
    }

    /// The program that was started last serves, or no other one can: it is never gone back from.
    pub(super) fn decide(&mut self) {
        if let Some(next) = self.next.take() {
            self.decided = next;
        }
    }

    /// The server that was started last does not serve: whether there is another program to start it from.
    pub(super) fn fall_back(&mut self) -> bool {
        self.next.take().is_some()
    }

    /// Starts a server of the volume in `dir`, with its supervisor at its standard input.
    pub(super) fn start(&self, dir: &Path, supervisor: UnixStream) -> io::Result<Child> {
        let program = self.next.as_ref().unwrap_or(&self.decided);
        // The descriptor is closed by execve(2), which has found the file by then.
        Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0("cask")
            .arg("serve")
            .arg("--volume")
            .arg(dir)
            .stdin(OwnedFd::from(supervisor))
            .spawn()
    }
}
