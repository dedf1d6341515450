//! Ending a volume's server for good.
#![allow(dead_code, reason = "no test binary needs all of it")]

use rustix::process::{Pid, Signal, kill_process};

/// Kills a server and the supervisor above it, which would start another.
pub(crate) fn kill_for_good(server: Pid) {
    if let Some(supervisor) = supervisor_of(server) {
        kill_process(supervisor, Signal::KILL).unwrap();
    }
    kill_process(server, Signal::KILL).unwrap();
}

/// The supervisor of a server; one in the foreground has none.
pub(crate) fn supervisor_of(server: Pid) -> Option<Pid> {
    let stat = format!("/proc/{}/stat", server.as_raw_nonzero());
    let stat = std::fs::read_to_string(stat).unwrap();
    // `pid (name) state parent ...`, of which the name may hold anything (proc_pid_stat(5)).
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let parent = rest.split_whitespace().nth(1).unwrap();
    let command = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap();
    let is_keeper = command.starts_with(b"cask\0keep\0");
    Pid::from_raw(parent.parse().unwrap()).filter(|_| is_keeper)
}
