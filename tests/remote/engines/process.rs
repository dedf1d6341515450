//! A process of an engine, which does not outlive who started it.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::home::Home;
use super::programs::Program;

/// Killed with its whole group when this goes.
pub(super) struct Process(Child);

impl Process {
    /// Starts a program that stays in the foreground. It logs into `home`.
    pub(super) fn start(home: &Home, program: &str, arguments: &[&str]) -> Self {
        Self::start_with(home, &[], program, arguments)
    }

    /// The same, with more in its environment.
    pub(super) fn start_with(
        home: &Home,
        environment: &[(&str, &str)],
        program: &str,
        arguments: &[&str],
    ) -> Self {
        let log = home.log(program);
        // A test that is killed drops nothing: then the kernel kills what it started (PR_SET_PDEATHSIG).
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command.arg(Program::known(program).0).args(arguments);
        command.envs(environment.iter().copied());
        command.current_dir(home.path(".")).process_group(0);
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = &mut self.0;
        let group = Pid::from_child(child);
        // Its number is its own until it is waited for.
        if matches!(child.try_wait(), Ok(None)) {
            kill_process_group(group, Signal::KILL).ok();
        }
        child.wait().ok();
    }
}
