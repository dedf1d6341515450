//! A server in a process of its own, below a supervisor.
//!
//! The starter keeps one end of a socket pair; the other is the supervisor's standard input, which gives it to the
//! server as its first control connection: through it the server says that the volume is open, or why not, and by its
//! end it learns that its starter is gone.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use super::handle::fault;
use super::supervisor::{self, Inheritance, Link};
use super::surroundings::{self, Reach, with_own_variables};
use super::{Error, Result, Server, log_file};
use crate::control::{Answer, Client, Fault, FaultKind, Request, Wire};
use crate::types::with_causes;
use crate::volume::Config;

/// Starts a server for the volume in `dir`, an absolute path; returns when it has opened the volume.
///
/// Until a mount is attached, the server ends with the client.
pub(super) fn start(dir: &Path) -> Result<Client> {
    let cannot = |e| Error::io(format!("cannot start a server for {}", dir.display()), e);
    let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
    let log = log_file::open(dir)
        .map_err(|e| Error::io(format!("cannot write the log in {}", dir.display()), e))?;
    // By way of /proc it is this very program, even if its file was replaced meanwhile.
    // What cannot be understood is refused when the volume is opened.
    let lacks = Config::load(dir).is_ok_and(|config| config.origin.is_some());
    let reach = if lacks { Reach::Store } else { Reach::Here };
    let mut supervisor = with_own_variables(&mut Command::new("/proc/self/exe"), reach)
        .arg0("cask")
        .arg("keep")
        .arg("--volume")
        .arg(dir)
        .stdin(OwnedFd::from(theirs))
        .stdout(log.try_clone().map_err(cannot)?)
        .stderr(Stdio::from(log))
        .spawn()
        .map_err(cannot)?;
    // A starter that outlives it, as the plugin of an engine does, takes note of its end: else it stays as a zombie.
    thread::spawn(move || supervisor.wait());
    let mut client = Client::over(ours);
    client.await_start()?;
    Ok(client)
}

/// What the started process does: keeps the volume in `dir` served, with its starter at standard input.
///
/// # Errors
/// When no server can be started.
pub fn run_supervisor(dir: &Path) -> Result<()> {
    let starter = part_from_starter().map_err(|e| Error::io("cannot become a keeper", e))?;
    if let Err(error) = surroundings::leave() {
        tell(starter, &error);
        return Err(error);
    }
    supervisor::keep(dir, starter)
}

/// What a supervisor starts: serves the volume in `dir`, with the supervisor at standard input.
///
/// # Errors
/// When the volume could not be opened (starter and supervisor were told) or not be closed in order.
pub fn run_server(dir: &Path) -> Result<()> {
    let begun = begin().map_err(|e| Error::io("cannot become a server", e))?;
    let (link, mut given) = begun;
    let starter = given.starter.take();
    match Server::take_over(dir, &link, given) {
        Ok(server) => {
            log::info!("serving {}", dir.display());
            if let Some(starter) = starter {
                server.adopt(starter);
            }
            server.run()?;
            log::info!("{} is closed", dir.display());
            Ok(())
        }
        Err(error) => {
            if let Err(e) = link.failed(with_causes(&error)) {
                log::error!("the keeper is gone: {e}");
            }
            if let Some(starter) = starter {
                tell(starter, &error);
            }
            Err(error)
        }
    }
}

fn begin() -> io::Result<(Arc<Link>, Inheritance)> {
    let supervisor = take_starter()?;
    // A supervisor of an earlier cask has passed on what it was started with.
    if let Err(e) = surroundings::leave() {
        log::warn!("{e}");
    }
    abort_on_panic();
    let (link, given) = Link::hear(supervisor)?;
    Ok((Arc::new(link), given))
}

/// Leaves the starter's session, directory, terminal and open files.
fn part_from_starter() -> io::Result<UnixStream> {
    close_inherited();
    let starter = take_starter()?;
    // What the terminal sends to the starter's session is not for a server.
    rustix::process::setsid()?;
    // Nor must it keep the starter's directory from being unmounted.
    rustix::process::chdir("/")?;
    Ok(starter)
}

/// The starter at standard input; the process gets a name that tells what it is.
fn take_starter() -> io::Result<UnixStream> {
    let stream = UnixStream::from(take_stdin()?);
    rustix::thread::set_name(c"cask")?;
    Ok(stream)
}

/// What is standard input, in whose place is nothing then: this is the process's only descriptor of it.
///
/// # Errors
/// When `/dev/null` cannot be opened.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let taken = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(taken)
}

/// The same for standard output.
///
/// # Errors
/// As there.
pub fn take_stdout() -> io::Result<OwnedFd> {
    let taken = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(taken)
}

/// Has any panic end the process: for whatever serves a connection. A request that met a defect must not hang for ever
/// while all others go on: the next server gets it again. Nor does a lock say that what it guards is half changed, and a
/// thread of a crew that unwinds would take the lead along.
pub(super) fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
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
