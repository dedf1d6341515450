//! The plugin as systemd runs it: a systemd of its own in a container, whose programs are this machine's.

use std::path::PathBuf;

use crate::harness::{binary, lacks_program, run, sh};
use crate::host::{Host, wait_for};
use crate::machine::{CONTAINER, Machine, end_writer, start_writer, unmount};

/// Not where the unit's file has it, to see that `cask docker install` puts the right place there.
const PROGRAM: &str = "/opt/cask";

/// Boots it, or `None` with a word about why it cannot be.
#[track_caller]
fn boot() -> Option<Machine> {
    if lacks_program(&["systemd", "dbus-daemon", "busctl", "systemctl"]) {
        return None;
    }
    let host = Host::new()?;
    let root = machine_root(&host);
    let program = format!("{}:{PROGRAM}:ro", binary().display());
    let programs = ["-v", "/usr:/usr:ro", "--tmpfs=/usr/local", "-v", &program];
    Machine::boot(host, &root, &programs)
}

/// No program is in the image; of `/etc` only what has no say in which services run.
#[track_caller]
fn machine_root(host: &Host) -> PathBuf {
    let root = host.sandbox().subdir("machine");
    let script = r#"cd "$1"; mkdir -p etc/systemd/system usr run tmp var/lib proc sys dev root opt
        for name in bin sbin lib lib64; do [ ! -L /$name ] || ln -s usr/$name $name; done
        cp /etc/passwd /etc/group /etc/ld.so.cache etc; [ ! -d /etc/dbus-1 ] || cp -r /etc/dbus-1 etc
        touch etc/machine-id etc/fstab"#;
    sh(script, &[&root]);
    root
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
    let Some(machine) = boot() else {
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
