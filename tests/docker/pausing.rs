//! Containers that are paused while a snapshot is taken.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

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
    thread::sleep(Duration::from_secs(1));
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

/// Takes a snapshot with containers paused, and is in the middle of that for a minute.
fn slow_snapshot(host: &Host, state: &str) -> Child {
    // With the container paused it waits for its flush, for as long as this takes.
    let inject = "inject=syncfs:delay_enter=60000000";
    let cask = host.cask(&["snapshot", state, "--pause"]);
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
    command.process_group(0).spawn().unwrap()
}

fn kill(running: &mut Child) {
    kill_process_group(Pid::from_child(running), Signal::KILL).unwrap();
    running.wait().unwrap();
}

#[test]
fn they_go_on_also_when_the_command_is_killed() {
    let Some(host) = Host::new() else { return };
    if lacks_program(&["strace"]) {
        return;
    }
    import_busybox(&host);
    host.start_container("writer", "db", "exec sleep 1000");
    let mut running = slow_snapshot(&host, "db@s");
    wait_for("the container is paused", || {
        state(&host, "writer") == "paused"
    });
    kill(&mut running);
    wait_for("the container goes on", || {
        state(&host, "writer") == "running"
    });
    host.docker_ok(&["rm", "-f", "writer"]);
}

#[test]
fn two_that_pause_wait_for_each_other() {
    let Some(host) = Host::new() else { return };
    if lacks_program(&["strace"]) {
        return;
    }
    import_busybox(&host);
    host.start_container("writer", "db", "exec sleep 1000");
    host.start_container("resting", "db", "exec sleep 1000");
    host.docker_ok(&["pause", "resting"]);
    let since = now() + 1;
    thread::sleep(Duration::from_secs(1));
    let mut first = slow_snapshot(&host, "db@first");
    wait_for("the container is paused", || {
        state(&host, "writer") == "paused"
    });
    let mut command = host.cask(&["snapshot", "db@second", "--pause"]);
    let mut second = command.stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_secs(1));
    assert!(second.try_wait().unwrap().is_none(), "it did not wait");
    let [paused, goes_on] = ["pause writer", "unpause writer"];
    assert_eq!(events(&host, since), [paused]);
    kill(&mut first);
    assert!(second.wait().unwrap().success());
    assert_eq!(events(&host, since), [paused, goes_on, paused, goes_on]);
    assert_eq!(host.cask_ok(&["snapshot", "ls", "-q", "db"]), "second");
    let host = &host;
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || host.cask_ok(&["snapshot", &format!("db@{number}"), "--pause"]));
        }
    });
    assert_eq!(events(host, since), [paused, goes_on].repeat(6));
    assert_eq!(state(host, "writer"), "running");
    assert_eq!(state(host, "resting"), "paused");
    host.docker_ok(&["unpause", "resting"]);
    host.docker_ok(&["rm", "-f", "writer", "resting"]);
}
