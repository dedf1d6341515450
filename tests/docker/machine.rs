//! A machine with systemd, in a container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::run;
use crate::host::{Host, wait_for};
use crate::image::import;
use crate::wire::call;

const IMAGE: &str = "systemd";
pub(crate) const CONTAINER: &str = "machine";
const BOOT: Duration = Duration::from_secs(30);

/// A machine with systemd.
pub(crate) struct Machine {
    pub(crate) host: Host,
    /// Where its files are seen from here.
    pub(crate) root: PathBuf,
}

impl Machine {
    /// Boots the system below `root` on `host`, with more `arguments` for `docker run`; `None` with a word about why that
    /// cannot be.
    #[track_caller]
    pub(crate) fn boot(host: Host, root: &Path, arguments: &[&str]) -> Option<Self> {
        import(&host, root, IMAGE);
        start(&host, arguments);
        let pid = host.docker_ok(&["inspect", "-f", "{{.State.Pid}}", CONTAINER]);
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let machine = Self { host, root };
        machine.is_up().then_some(machine)
    }

    fn is_up(&self) -> bool {
        let since = Instant::now();
        while since.elapsed() < BOOT {
            let state = self.try_run(&["systemctl", "is-system-running"]);
            if ["running", "degraded"].contains(&state.trim()) {
                return true;
            }
            sleep(Duration::from_millis(100));
        }
        let log = run(&mut self.host.docker(&["logs", CONTAINER]), 20);
        eprintln!(
            "SKIPPED: systemd does not run in a container here\n{}",
            log.output()
        );
        false
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.host.docker(&[&["exec", CONTAINER], words].concat())
    }

    pub(crate) fn try_run(&self, words: &[&str]) -> String {
        run(&mut self.command(words), 30).stdout
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        self.host.docker_ok(&[&["exec", CONTAINER], words].concat())
    }

    #[track_caller]
    pub(crate) fn run_aside(&self, words: &[&str]) {
        let exec = ["exec", "-d", CONTAINER];
        self.host.docker_ok(&[&exec, words].concat());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("run/docker/plugins/cask.sock")
    }

    #[track_caller]
    pub(crate) fn call(&self, name: &str, body: &str) {
        call(&self.socket(), name, body).succeeds();
    }

    pub(crate) fn state_of_service(&self) -> String {
        let state = self.try_run(&["systemctl", "is-active", "cask-docker.service"]);
        state.trim().to_owned()
    }

    /// The processes that serve volumes: supervisors and servers.
    pub(crate) fn servers(&self) -> String {
        self.try_run(&["pgrep", "-f", "cask (keep|serve) --volume"])
    }

    /// What the container's process appended to the volume so far.
    #[track_caller]
    pub(crate) fn appended(&self) -> usize {
        let log = fs::read(self.root.join("run/cask/mounts/db/log")).unwrap();
        log.iter().filter(|byte| **byte == b'\n').count()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = ["journalctl", "--no-pager", "-n", "40"];
            eprintln!("--- its journal\n{}", self.try_run(&journal));
        }
    }
}

/// Not `--privileged`: that asks for more than this machine may have.
#[track_caller]
fn start(host: &Host, more: &[&str]) {
    let mut arguments = vec!["run", "-d", "--name", CONTAINER, "--network=none", "-t"];
    arguments.extend(["--cap-add=ALL", "--cap-drop=SYS_RESOURCE"]);
    for option in ["seccomp=unconfined", "apparmor=unconfined"] {
        arguments.extend(["--security-opt", option]);
    }
    arguments.extend(["--device=/dev/fuse", "--cgroupns=host"]);
    arguments.extend(["-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]);
    arguments.extend(more);
    arguments.extend(["--tmpfs=/run:exec", "--tmpfs=/tmp:exec"]);
    arguments.extend(["-e", "container=docker", IMAGE, "/usr/lib/systemd/systemd"]);
    host.docker_ok(&arguments);
}

#[track_caller]
pub(crate) fn start_writer(machine: &Machine) {
    let script = "exec >>/run/cask/mounts/db/log; i=0; while i=$((i+1)); do echo $i || exit 1; sleep 0.01; done";
    machine.run_aside(&["sh", "-c", script]);
    let log = machine.root.join("run/cask/mounts/db/log");
    wait_for("the writer begins", || log.exists());
}

#[track_caller]
pub(crate) fn end_writer(machine: &Machine) {
    machine.run(&["pkill", "-f", "exec >>/run/cask/mounts/db/log"]);
}

#[track_caller]
pub(crate) fn unmount(machine: &Machine) {
    for _ in 0..2 {
        machine.call("Unmount", r#"{"Name": "db", "ID": "a"}"#);
    }
    wait_for("the last mount goes, and its server", || {
        machine.servers().is_empty()
    });
    let list = [
        "systemctl",
        "list-units",
        "--no-legend",
        "--all",
        "cask-volume-*",
    ];
    wait_for("no scope is left", || {
        machine.try_run(&list).trim().is_empty()
    });
}
