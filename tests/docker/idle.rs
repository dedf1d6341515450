//! Mounts that nobody holds: when they go, and in whose way they are not.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Guard, lacks_program};
use crate::host::{Host, wait_for};
use crate::wire::call;

fn body(name: &str) -> String {
    format!(r#"{{"Name":"{name}","ID":"i"}}"#)
}

fn is_mounted(host: &Host, name: &str) -> bool {
    host.mounted().iter().any(|mounted| mounted == name)
}

#[test]
fn a_volume_goes_at_once_after_snapshots_of_it_were_used() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    let ok = |name: &str, volume: &str| drop(call(&socket, name, &body(volume)).succeeds());
    for volume in ["db", "db2"] {
        ok("Create", volume);
        for snapshot in ["s1", "s2"] {
            host.cask_ok(&["snapshot", &format!("{volume}@{snapshot}")]);
        }
    }
    for volume in ["db", "db@s1", "db@s2", "db2@s1"] {
        ok("Mount", volume);
    }
    ok("Unmount", "db");
    ok("Unmount", "db@s1");
    // One that is held is named, and nothing is taken from anybody.
    let why = call(&socket, "Remove", &body("db")).fails();
    assert!(why.contains("volume db@s2 is in use"), "{why}");
    assert!(is_mounted(&host, "db") && is_mounted(&host, "db@s2"));
    ok("Unmount", "db@s2");
    ok("Remove", "db");
    assert_eq!(host.volumes(), ["db2"]);
    assert!(!host.place("db").exists() && !host.place("db@s1").exists());
    assert!(is_mounted(&host, "db2@s1"), "another volume's stays");
    ok("Unmount", "db2@s1");
    // Of a snapshot alone, too.
    ok("Remove", "db2@s1");
    ok("Remove", "db2");
    assert!(host.volumes().is_empty() && host.mounted().is_empty());
}

/// A process that is stopped, until this goes.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: Pid) -> Self {
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(e) = kill_process(self.0, Signal::CONT) {
            eprintln!("{:?} stays stopped: {e}", self.0);
        }
    }
}

#[test]
fn a_slow_unmount_is_in_nobodys_way() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    let names: Vec<String> = (0..6).map(|number| format!("v{number}")).collect();
    for name in &names {
        call(&socket, "Create", &body(name)).succeeds();
        call(&socket, "Mount", &body(name)).succeeds();
    }
    let (slow, others) = names.split_at(2);
    let server = |name: &String| {
        let pid = host.inspect(name)["Server"]["Pid"].as_i64().unwrap();
        Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    };
    let stopped: Vec<Stopped> = slow.iter().map(server).map(Stopped::new).collect();
    for name in &names {
        call(&socket, "Unmount", &body(name)).succeeds();
    }
    wait_for("the others go", || {
        others.iter().all(|name| !is_mounted(&host, name))
    });
    assert!(slow.iter().all(|name| is_mounted(&host, name)));
    drop(stopped);
    wait_for("the slow ones go", || host.mounted().is_empty());
}

#[test]
fn a_list_looks_at_the_mount_table_once() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    if lacks_program(&["strace"]) {
        return;
    }
    let socket = host.docker_socket();
    for number in 0..20 {
        call(&socket, "Create", &body(&format!("v{number}"))).succeeds();
    }
    call(&socket, "Mount", &body("v7")).succeeds();
    let trace = host.dir().join("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "trace=openat", "-o"])
        .arg(&trace);
    strace.args(["-p", &host.plugin_pid().to_string()]);
    let strace = Guard::spawn(&mut strace);
    let tasks = format!("/proc/{}/task", host.plugin_pid());
    // How many threads there are that are traced, or not.
    let count = |is_traced: bool| {
        let tasks = fs::read_dir(&tasks).unwrap();
        let status =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        let found = status.filter(|status| status.contains("TracerPid:\t0\n") != is_traced);
        found.count()
    };
    wait_for("every thread is traced", || count(false) == 0);
    let list = call(&socket, "List", "{}").succeeds();
    let list = list["Volumes"].as_array().unwrap();
    assert_eq!(list.len(), 20);
    let places = list.iter().filter_map(|one| one["Mountpoint"].as_str());
    let places: Vec<&str> = places.filter(|place| !place.is_empty()).collect();
    assert_eq!(places, [host.place("v7").to_str().unwrap()]);
    // It writes what it has when it is asked to end.
    let pid = Pid::from_raw(i32::try_from(strace.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    wait_for("nothing is traced", || count(true) == 0);
    drop(strace);
    let trace = fs::read_to_string(&trace).unwrap();
    assert!(trace.contains("v19/volume.json"), "{trace}");
    assert_eq!(trace.matches("mountinfo").count(), 1, "{trace}");
    call(&socket, "Unmount", &body("v7")).succeeds();
}
