//! Containers that are paused while a snapshot is taken.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::host::{Host, wait_for};
use crate::image::import_busybox;
use crate::mounted::harness::lacks_program;

fn state(host: &Host, container: &str) -> String {
    host.docker_ok(&["inspect", "-f", "{{.State.Status}}", container])
}

/// What was done to containers since `since`, in seconds since 1970.
fn events(host: &Host, since: u64) -> Vec<String> {
    let until = (now() + 1).to_string();
    let format = "{{.Action}} {{.Actor.Attributes.name}}";
    let since = since.to_string();
    let arguments = [
        "events", "--since", &since, "--until", &until, "--format", format,
    ];
    let told = host.docker_ok(&[&arguments[..], &["--filter", "type=container"]].concat());
    let mut told: Vec<_> = told.lines().map(str::to_owned).collect();
    told.retain(|event| event.contains("pause"));
    told
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs()
}

#[test]
fn those_that_use_the_volume_are_paused_and_go_on() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.start_container("writer", "db", "while :; do date > /data/f; done");
    host.start_container("other", "elsewhere", "exec sleep 1000");
    host.start_container("resting", "db", "exec sleep 1000");
    host.docker_ok(&["pause", "resting"]);
    let since = now();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(host.cask_ok(&["snapshot", "db@s", "--pause"]), "db@s");
    assert_eq!(events(&host, since + 1), ["pause writer", "unpause writer"]);
    assert_eq!(state(&host, "writer"), "running");
    assert_eq!(state(&host, "resting"), "paused");
    // Also when there is no snapshot in the end.
    host.cask_fails(&["snapshot", "db@s", "--pause"], &["exists already"]);
    assert_eq!(state(&host, "writer"), "running");
    host.docker_ok(&["unpause", "resting"]);
    host.docker_ok(&["rm", "-f", "writer", "other", "resting"]);
}

#[test]
fn they_go_on_also_when_the_command_is_killed() {
    let Some(host) = Host::new() else { return };
    if lacks_program(&["strace"]) {
        return;
    }
    import_busybox(&host);
    host.start_container("writer", "db", "exec sleep 1000");
    // With the container paused it waits for its flush, for as long as this takes.
    let inject = "inject=syncfs:delay_enter=60000000";
    let cask = host.cask(&["snapshot", "db@s", "--pause"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=syncfs", "-e", inject]);
    command.arg(cask.get_program()).args(cask.get_args());
    let set = cask
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    command
        .envs(set)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = command.process_group(0).spawn().unwrap();
    wait_for("the container is paused", || {
        state(&host, "writer") == "paused"
    });
    let group = Pid::from_child(&running);
    kill_process_group(group, Signal::KILL).unwrap();
    running.wait().unwrap();
    wait_for("the container goes on", || {
        state(&host, "writer") == "running"
    });
    host.docker_ok(&["rm", "-f", "writer"]);
}
