//! What a process inherits from whoever started it, and a volume's server must not have from there: programs that use
//! a mount know nothing of the shell that made it.
//!
//! Descriptors, session, directory and umask are left in `spawn` and `supervisor`, the control group in `supervisor/scope`.

use std::fs;
use std::io;
use std::process::Command;
use std::ptr;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::{Error, Result};

const MIB: u64 = 1024 * 1024;
/// What the variables are about that a server keeps: its own settings, its log, and the way to the user's systemd.
const KEPT: [&str; 5] = [
    "PATH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
];
const KEPT_PREFIX: &str = "CASK_";
/// What a server has beside that which fetches from a store: the credentials, and the way to it.
const KEPT_TO_FETCH: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
const KEPT_TO_FETCH_PREFIX: &str = "AWS_";
/// Files that a server may want open at once, if it may have them.
const OPEN_FILES: u64 = 1024 * 1024;
/// As the kernel has it at the start; the threads of a server have stacks of their own size.
const STACK_BYTES: u64 = 8 * MIB;
/// `ioprio_set(2)`: of a process; "none" follows the nice value.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_NONE: libc::c_int = 0;

/// A limit that a server is to be free of.
struct Limit {
    resource: Resource,
    what: &'static str,
    /// As bash calls it.
    flag: &'static str,
    /// Below this no server can work.
    needed: u64,
}

const LIMITS: [Limit; 5] = [
    Limit {
        resource: Resource::Nofile,
        what: "open files",
        flag: "-n",
        needed: 64,
    },
    Limit {
        resource: Resource::Fsize,
        what: "bytes of a file",
        flag: "-f",
        // Segments are as large as may be; the log of the database has 16 MiB and a transaction before a checkpoint.
        needed: 18 * MIB,
    },
    Limit {
        resource: Resource::As,
        what: "bytes of address space",
        flag: "-v",
        needed: 2048 * MIB,
    },
    Limit {
        resource: Resource::Data,
        what: "bytes of data",
        flag: "-d",
        needed: 512 * MIB,
    },
    Limit {
        resource: Resource::Cpu,
        what: "seconds of processor time",
        flag: "-t",
        // A server lives for months.
        needed: u64::MAX,
    },
];

/// What a server has to do with other machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing.
    Here,
    /// It fetches from a store.
    Store,
}

/// Gives `command` of all environment variables only those that are meant for cask, and credentials only where they are
/// needed.
pub(super) fn with_own_variables(command: &mut Command, reach: Reach) -> &mut Command {
    let is_kept = |name: &str| {
        let is_own = KEPT.contains(&name) || name.starts_with(KEPT_PREFIX);
        let is_to_fetch = KEPT_TO_FETCH.contains(&name) || name.starts_with(KEPT_TO_FETCH_PREFIX);
        is_own || (reach == Reach::Store && is_to_fetch)
    };
    let kept = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept));
    command.env_clear().envs(kept)
}

/// Has ended children wait for who started them, and a file that is too large be an error. A program that ignores
/// SIGCHLD leaves that to what it starts, which then cannot know how its own children ended (`ECHILD`, wait(2)).
pub fn take_usual_signals() {
    set_signal(libc::SIGCHLD, libc::SIG_DFL);
    set_signal(libc::SIGXFSZ, libc::SIG_IGN);
}

/// Leaves what the starter set for itself: signals, scheduling, limits. Only on the process's only thread.
///
/// # Errors
/// [`Error::Limit`] when a limit stays that no server can work under.
pub(super) fn leave() -> Result<()> {
    unblock_signals();
    for signal in 1..=libc::SIGRTMAX() {
        // Whoever ignores SIGPIPE is the Rust runtime, before this process's first act.
        if signal != libc::SIGPIPE {
            set_signal(signal, libc::SIG_DFL);
        }
    }
    take_usual_signals();
    take_usual_turns();
    // A crash must not write what users keep into a file, and a mount waits for as long as that takes.
    let core = getrlimit(Resource::Core);
    set(Resource::Core, Some(0), core.maximum);
    raise_limits()
}

/// Raises the limits as far as this process may.
///
/// # Errors
/// [`Error::Limit`] when one stays that no server can work under.
pub fn raise_limits() -> Result<()> {
    for resource in [Resource::Rss, Resource::Nproc, Resource::Locks] {
        raise(resource, None);
    }
    let stack = getrlimit(Resource::Stack);
    let enough = |limit: Option<u64>| limit.is_none_or(|bytes| bytes >= STACK_BYTES);
    if enough(stack.maximum) {
        set(Resource::Stack, Some(STACK_BYTES), stack.maximum);
    } else {
        raise(Resource::Stack, Some(STACK_BYTES));
    }
    LIMITS.iter().try_for_each(|limit| {
        let most = (limit.resource == Resource::Nofile).then_some(OPEN_FILES);
        raise(limit.resource, most);
        check(limit)
    })
}

fn check(limit: &Limit) -> Result<()> {
    match getrlimit(limit.resource).current {
        Some(have) if have < limit.needed => Err(Error::Limit {
            what: limit.what,
            flag: limit.flag,
            have,
            needed: (limit.needed < u64::MAX).then_some(limit.needed),
        }),
        _ => Ok(()),
    }
}

/// Raises a limit to `most`, or as far as it goes.
fn raise(resource: Resource, most: Option<u64>) {
    let now = getrlimit(resource);
    let is_below = |limit: Option<u64>| match (limit, most) {
        (Some(limit), Some(most)) => limit < most,
        (limit, None) => limit.is_some(),
        (None, _) => false,
    };
    if is_below(now.maximum) && set(resource, most, most) {
        return;
    }
    set(resource, now.maximum, now.maximum);
}

fn set(resource: Resource, current: Option<u64>, maximum: Option<u64>) -> bool {
    let done = setrlimit(resource, Rlimit { current, maximum });
    if let Err(e) = done {
        log::debug!("cannot set a limit ({resource:?}): {e}");
    }
    done.is_ok()
}

/// Turns at the processor and the disk, and at being killed for memory, as any process gets them.
fn take_usual_turns() {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    let resets = [
        ("scheduling policy", set_usual_policy()),
        (
            "nice value",
            setpriority_process(None, 0).map_err(Into::into),
        ),
        (
            "processors",
            sched_setaffinity(None, &all).map_err(Into::into),
        ),
        ("I/O priority", set_usual_io_priority()),
        ("score for a lack of memory", forget_score()),
    ];
    for (what, done) in resets {
        if let Err(e) = done {
            log::debug!("the starter's {what} stays: {e}");
        }
    }
}

/// Written only where it differs: to lower it takes a privilege.
fn forget_score() -> io::Result<()> {
    const SCORE: &str = "/proc/self/oom_score_adj";
    if fs::read_to_string(SCORE)?.trim() == "0" {
        return Ok(());
    }
    let mut score = fs::File::options().write(true).open(SCORE)?;
    io::Write::write_all(&mut score, b"0")
}

#[expect(unsafe_code, reason = "no library here offers sched_setscheduler")]
fn set_usual_policy() -> io::Result<()> {
    let usual = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are read during the call only.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const usual) };
    outcome(done.into())
}

#[expect(unsafe_code, reason = "no library offers ioprio_set")]
fn set_usual_io_priority() -> io::Result<()> {
    // SAFETY: three numbers; the kernel touches no memory of this process.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_NONE) };
    outcome(done)
}

fn outcome(returned: libc::c_long) -> io::Result<()> {
    match returned {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[expect(
    unsafe_code,
    reason = "no library here sets a signal's disposition without a handler"
)]
fn set_signal(signal: libc::c_int, disposition: libc::sighandler_t) {
    // SAFETY: SIG_DFL and SIG_IGN run no code of this process. For signals whose disposition cannot be set the call
    // fails and changes nothing.
    unsafe { libc::signal(signal, disposition) };
}

#[expect(unsafe_code, reason = "no library here offers sigprocmask")]
fn unblock_signals() {
    // SAFETY: the set is initialized by sigemptyset before it is read; null means that the old one is not wanted.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}
