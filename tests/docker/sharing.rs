//! Two containers and the host have one filesystem: writes, locks, memory.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Guard, run_ok};
use crate::host::{Host, run_arguments, wait_for};
use crate::image::import_busybox;

/// Runs the tool in two containers and on the host at the same time; all must succeed.
fn everywhere(host: &Host, verb: &str, times: &str) {
    let root = import_busybox(host);
    host.start_container("keeper", "db", "exec sleep 1000");
    let script = format!("exec tool {verb} /data/number {times}");
    let mut running: Vec<_> = (0..2)
        .map(|_| Guard::spawn(&mut host.docker(&run_arguments(&["--rm"], "db", &script))))
        .collect();
    let mut here = Command::new(root.join("bin/tool"));
    here.arg(verb)
        .arg(host.place("db").join("number"))
        .arg(times);
    run_ok(&mut here, 60);
    for one in &mut running {
        assert!(one.wait(Duration::from_secs(60)).unwrap().success());
    }
    let bytes = std::fs::read(host.place("db").join("number")).unwrap();
    let total = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(total, 3 * times.parse::<u64>().unwrap());
}

#[test]
fn a_shared_mapping_is_one_memory_for_two_containers_and_the_host() {
    let Some(host) = Host::new() else { return };
    everywhere(&host, "add", "30000000");
}

#[test]
fn flock_excludes_between_two_containers_and_the_host() {
    let Some(host) = Host::new() else { return };
    everywhere(&host, "locked", "2000");
}

#[test]
fn a_lock_that_a_container_holds_is_busy_for_others_until_it_ends() {
    let Some(host) = Host::new() else { return };
    let root = import_busybox(&host);
    host.start_container("holder", "db", "exec tool hold /data/lock");
    wait_for("the lock", || host.docker_ok(&["logs", "holder"]) == "held");
    let place = host.place("db").join("lock");
    let on_the_host = || {
        let mut tool = Command::new(root.join("bin/tool"));
        run_ok(tool.arg("try").arg(&place), 60)
    };
    assert_eq!(host.run_in("db", "tool try /data/lock"), "busy");
    assert_eq!(on_the_host(), "busy\n");
    host.docker_ok(&["kill", "holder"]);
    host.docker_ok(&["wait", "holder"]);
    assert_eq!(on_the_host(), "free\n");
    assert_eq!(host.run_in("db", "tool try /data/lock"), "free");
}

#[test]
fn a_write_is_seen_at_once_by_the_other_container_and_the_host() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    // Each answers the other's file by its own, in turns.
    let turn = |mine: &str, other: &str| {
        format!(
            "n=0; while [ $n -lt 20 ]; do n=$((n+1)); echo $n > /data/t-{mine}; mv /data/t-{mine} /data/{mine}-$n; \
             until [ -e /data/{other}-$n ]; do :; done; [ $(cat /data/{other}-$n) = $n ]; done"
        )
    };
    host.start_container("left", "db", &turn("a", "b"));
    host.start_container("right", "db", &turn("b", "a"));
    for name in ["left", "right"] {
        assert_eq!(
            host.docker_ok(&["wait", name]),
            "0",
            "{}",
            host.docker_ok(&["logs", name])
        );
    }
    let place = host.place("db");
    assert_eq!(std::fs::read_to_string(place.join("b-20")).unwrap(), "20\n");
}
