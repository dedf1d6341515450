//! The plugin as systemd runs it: a systemd of its own in a container, whose programs are this machine's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{binary, lacks_program, run, sh};
use crate::host::{Host, wait_for};
use crate::image::import;
use crate::wire::call;

const IMAGE: &str = "systemd";
const CONTAINER: &str = "machine";
const BOOT: Duration = Duration::from_secs(30);
/// Not where the unit's file has it, to see that `cask docker install` puts the right place there.
const PROGRAM: &str = "/opt/cask";

/// A machine with systemd.
struct Machine {
    host: Host,
    root: PathBuf,
}

impl Machine {
    /// Boots it, or `None` with a word about why it cannot be.
    #[track_caller]
    fn boot() -> Option<Self> {
        if lacks_program(&["systemd", "dbus-daemon", "busctl", "systemctl"]) {
            return None;
        }
        let host = Host::new()?;
        import_machine(&host);
        start(&host);
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

    fn command(&self, words: &[&str]) -> Command {
        self.host.docker(&[&["exec", CONTAINER], words].concat())
    }

    fn try_run(&self, words: &[&str]) -> String {
        run(&mut self.command(words), 30).stdout
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        self.host.docker_ok(&[&["exec", CONTAINER], words].concat())
    }

    #[track_caller]
    fn run_aside(&self, words: &[&str]) {
        let exec = ["exec", "-d", CONTAINER];
        self.host.docker_ok(&[&exec, words].concat());
    }

    fn socket(&self) -> PathBuf {
        self.root.join("run/docker/plugins/cask.sock")
    }

    #[track_caller]
    fn call(&self, name: &str, body: &str) {
        call(&self.socket(), name, body).succeeds();
    }

    fn state_of_service(&self) -> String {
        let state = self.try_run(&["systemctl", "is-active", "cask-docker.service"]);
        state.trim().to_owned()
    }

    /// The processes that serve volumes: supervisors and servers.
    fn servers(&self) -> String {
        self.try_run(&["pgrep", "-f", "cask (keep|serve) --volume"])
    }

    /// What the container's process appended to the volume so far.
    #[track_caller]
    fn appended(&self) -> usize {
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

/// No program is in the image; of `/etc` only what has no say in which services run.
#[track_caller]
fn import_machine(host: &Host) {
    let root = host.sandbox().subdir("machine");
    let script = r#"cd "$1"; mkdir -p etc/systemd/system usr run tmp var/lib proc sys dev root opt
        for name in bin sbin lib lib64; do [ ! -L /$name ] || ln -s usr/$name $name; done
        cp /etc/passwd /etc/group /etc/ld.so.cache etc; [ ! -d /etc/dbus-1 ] || cp -r /etc/dbus-1 etc
        touch etc/machine-id etc/fstab"#;
    sh(script, &[&root]);
    import(host, &root, IMAGE);
}

/// Not `--privileged`: that asks for more than this machine may have.
#[track_caller]
fn start(host: &Host) {
    let program = format!("{}:{PROGRAM}:ro", binary().display());
    let mut arguments = vec!["run", "-d", "--name", CONTAINER, "--network=none", "-t"];
    arguments.extend(["--cap-add=ALL", "--cap-drop=SYS_RESOURCE"]);
    for option in ["seccomp=unconfined", "apparmor=unconfined"] {
        arguments.extend(["--security-opt", option]);
    }
    arguments.extend(["--device=/dev/fuse", "--cgroupns=host"]);
    arguments.extend(["-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]);
    arguments.extend(["-v", "/usr:/usr:ro", "--tmpfs=/usr/local", "-v", &program]);
    arguments.extend(["--tmpfs=/run:exec", "--tmpfs=/tmp:exec"]);
    arguments.extend(["-e", "container=docker", IMAGE, "/usr/lib/systemd/systemd"]);
    host.docker_ok(&arguments);
}

/// The units are good as systemd sees it, and before Docker's.
#[track_caller]
fn verify_units(machine: &Machine) {
    for unit in ["cask-docker.socket", "cask-docker.service"] {
        let path = format!("/etc/systemd/system/{unit}");
        let verified = run(
            &mut machine.command(&["systemd-analyze", "verify", &path]),
            60,
        );
        let is_good = verified.status.success() && !verified.output().contains("cask-docker");
        assert!(is_good, "{}", verified.output());
        let before = machine.run(&["systemctl", "show", "-P", "Before", unit]);
        assert!(before.contains("docker.service"), "{unit}: {before}");
    }
}

/// The first call starts the service.
#[track_caller]
fn activate(machine: &Machine) {
    machine.run(&["systemctl", "start", "cask-docker.socket"]);
    assert_eq!(machine.state_of_service(), "inactive");
    machine.call("Plugin.Activate", "");
    assert_eq!(machine.state_of_service(), "active");
}

#[track_caller]
fn start_writer(machine: &Machine) {
    let script = "exec >>/run/cask/mounts/db/log; i=0; while i=$((i+1)); do echo $i || exit 1; sleep 0.01; done";
    machine.run_aside(&["sh", "-c", script]);
    let log = machine.root.join("run/cask/mounts/db/log");
    wait_for("the writer begins", || log.exists());
}

#[track_caller]
fn end_writer(machine: &Machine) {
    machine.run(&["pkill", "-f", "exec >>/run/cask/mounts/db/log"]);
}

/// Whatever is done to the service, the writer writes on, by way of the same processes.
#[track_caller]
fn disturb(machine: &Machine, servers: &str) {
    for deed in [
        "restart",
        "kill --signal=KILL",
        "stop",
        "start",
        "kill --signal=TERM",
        "restart cask-docker.socket",
        "stop cask-docker.socket",
    ] {
        let words = ["systemctl"].into_iter().chain(deed.split(' '));
        let words: Vec<_> = words.chain(["cask-docker.service"]).collect();
        machine.run(&words);
        let before = machine.appended();
        wait_for(&format!("the writer goes on after {deed}"), || {
            machine.appended() > before + 20
        });
        assert_eq!(machine.servers(), servers, "after {deed}");
    }
}

#[track_caller]
fn unmount(machine: &Machine) {
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

/// Somebody's session is a scope, with limits of its own, and may end with whoever logs out.
#[track_caller]
fn mount_from_a_scope(machine: &Machine) {
    let begun = ["systemd-run", "--scope", "--quiet", "-p", "TasksMax=500"];
    let mount = [PROGRAM, "mount", "--create", "mine", "/run/mine"];
    machine.run(&[&begun[..], &mount].concat());
    let script =
        "for pid in $(pgrep -f 'cask (keep|serve) --volume'); do cat /proc/$pid/cgroup; done";
    let groups = machine.run(&["sh", "-c", script]);
    let scopes = groups.matches("cask-volume-").count();
    assert!(scopes >= 2 && !groups.contains("/run-"), "{groups}");
    machine.run(&[PROGRAM, "umount", "/run/mine"]);
    wait_for("its server ends", || machine.servers().is_empty());
}

#[test]
fn nothing_that_systemd_does_to_the_plugin_takes_a_mount_along() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    mount_from_a_scope(&machine);
    machine.run(&[PROGRAM, "docker", "install"]);
    verify_units(&machine);
    activate(&machine);
    machine.call("Create", r#"{"Name": "db"}"#);
    machine.call("Mount", r#"{"Name": "db", "ID": "a"}"#);
    let servers = machine.servers();
    assert_eq!(servers.lines().count(), 2, "keeper and server: {servers}");
    start_writer(&machine);
    disturb(&machine, &servers);
    // Docker would wait for a socket that nobody listens on.
    assert!(!machine.socket().exists());

    // It comes back by itself, and knows what is mounted.
    machine.run(&["systemctl", "start", "cask-docker.socket"]);
    machine.call("Mount", r#"{"Name": "db", "ID": "a"}"#);
    machine.run(&["systemctl", "kill", "--signal=KILL", "cask-docker.service"]);
    wait_for("systemd starts it again", || {
        machine.state_of_service() == "active"
    });
    assert_eq!(machine.servers(), servers);
    end_writer(&machine);
    unmount(&machine);

    machine.run(&[PROGRAM, "docker", "uninstall"]);
    assert!(!machine.socket().exists());
    let unit = machine.root.join("etc/systemd/system/cask-docker.service");
    assert!(!unit.exists());
    machine.host.docker_ok(&["rm", "-f", CONTAINER]);
}
