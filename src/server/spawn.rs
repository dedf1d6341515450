//! A server in a process of its own.
//!
//! The starter keeps one end of a socket pair; the other is the server's standard input, and its first
//! control connection: through it the server says that the volume is open, or why not, and by its end
//! it learns that its starter is gone.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::handle::{fault, with_causes};
use super::{Error, Result, Server};
use crate::chunks::durable;
use crate::control::{Answer, Client, Fault, FaultKind, Request, Wire};

const LOG: &str = "server.log";
const OLD_LOG: &str = "server.log.old";
/// A log longer than this is put aside when a server starts.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Starts a server for the volume in `dir`, an absolute path; returns when it has opened the volume.
///
/// Until a mount is attached, the server ends with the client.
pub(super) fn start(dir: &Path) -> Result<Client> {
    let cannot = |e| Error::io(format!("cannot start a server for {}", dir.display()), e);
    let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
    let log = open_log(dir)
        .map_err(|e| Error::io(format!("cannot write {}", dir.join(LOG).display()), e))?;
    // By way of /proc it is this very program, even if its file was replaced meanwhile.
    let mut server = Command::new("/proc/self/exe")
        .arg0("cask")
        .arg("serve")
        .arg("--volume")
        .arg(dir)
        .stdin(OwnedFd::from(theirs))
        .stdout(log.try_clone().map_err(cannot)?)
        .stderr(Stdio::from(log))
        .spawn()
        .map_err(cannot)?;
    // A starter that outlives it, as the plugin of an engine does, takes note of its end: else it stays as a zombie.
    thread::spawn(move || server.wait());
    let mut client = Client::over(ours);
    client.await_start()?;
    Ok(client)
}

fn open_log(dir: &Path) -> io::Result<File> {
    let path = dir.join(LOG);
    if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        durable::rename(&path, &dir.join(OLD_LOG))?;
    }
    let mut options = File::options();
    options.create(true).append(true).mode(0o600).open(path)
}

/// What the started process does: serves the volume in `dir`, with its starter at standard input.
///
/// # Errors
/// When the volume could not be opened (the starter was told) or not be closed in order.
pub fn run_spawned(dir: &Path) -> Result<()> {
    let starter = part_from_starter().map_err(|e| Error::io("cannot become a server", e))?;
    match Server::open(dir) {
        Ok(server) => {
            log::info!("serving {}", dir.display());
            server.adopt(starter);
            server.run()?;
            log::info!("{} is closed", dir.display());
            Ok(())
        }
        Err(error) => {
            tell(starter, &error);
            Err(error)
        }
    }
}

/// Leaves the starter's session, directory, terminal and open files.
fn part_from_starter() -> io::Result<UnixStream> {
    close_inherited();
    let starter = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    raise_open_files();
    Ok(starter)
}

/// Segments and connections are files, and the usual limit is meant for programs that use select(2).
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {e}");
    }
}

#[expect(unsafe_code, reason = "no library offers close_range")]
fn close_inherited() {
    let first = 3;
    // SAFETY: this is the process's first act, on its only thread: nothing here owns a descriptor
    // above the standard three yet, so whatever is open was left open by the starter.
    let closed = unsafe { libc::close_range(first, libc::c_uint::MAX, 0) };
    if closed != 0 {
        log::warn!(
            "cannot close inherited files: {}",
            io::Error::last_os_error()
        );
    }
}

fn tell(starter: UnixStream, error: &Error) {
    let answer = if let Error::Volume(error) = error {
        fault(error)
    } else {
        let is_locked = matches!(error, Error::Locked);
        Fault {
            kind: if is_locked {
                FaultKind::InUse
            } else {
                FaultKind::Failed
            },
            message: with_causes(error),
        }
    };
    let mut wire = Wire::new(starter);
    // Its question must be read, or it may see a reset connection instead of the answer.
    let asked = wire.receive::<Request>().is_ok();
    if !asked || wire.send(&Answer::Fault(answer), None).is_err() {
        log::error!("the starter is gone");
    }
}
