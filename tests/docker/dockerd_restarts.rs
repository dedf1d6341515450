//! dockerd is killed while containers run: nothing is lost, nothing stays mounted for ever.

use std::thread::sleep;

use crate::host::{Host, LINGER_STALE, run_arguments, wait_for};
use crate::image::import_busybox;

/// The numbers that `tool append` wrote, which must follow one another.
#[track_caller]
pub(crate) fn appended(host: &Host, volume: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(host.place(volume).join("log")).unwrap();
    let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    let mut last = 0;
    for number in &numbers {
        // A container that is started again begins again.
        assert!(*number == last + 1 || *number == 1, "{number} after {last}");
        last = *number;
    }
    numbers
}

/// The last number whose fsync had returned, as the container's output has it.
#[track_caller]
pub(crate) fn acknowledged(host: &Host, container: &str) -> u64 {
    let text = host.docker_ok(&["logs", "--tail", "1", container]);
    text.trim().parse().unwrap_or(0)
}

/// Starts a container that appends to the volume, and waits until it does.
#[track_caller]
pub(crate) fn start_appender(host: &Host, options: &[&str]) {
    let mut all = vec!["-d", "--name", "writer"];
    all.extend(options);
    host.docker_ok(&run_arguments(&all, "db", "exec tool append /data/log"));
    wait_for("the first lines", || acknowledged(host, "writer") > 20);
}

#[test]
fn a_dockerd_that_is_killed_loses_no_data_and_leaks_no_mount() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    start_appender(&host, &[]);
    host.kill_dockerd();
    // The container lives on, until the next dockerd ends it.
    let before = appended(&host, "db").len();
    wait_for("the container goes on", || {
        appended(&host, "db").len() > before + 20
    });
    host.start_dockerd(&[]);
    let state = host.docker_ok(&["inspect", "-f", "{{.State.Running}}", "writer"]);
    assert_eq!(state, "false");
    let acknowledged = acknowledged(&host, "writer");
    // Nobody uses it, and nobody says so: the mount goes all the same.
    host.wait_until_unmounted();
    host.wait_until_closed("db");
    host.docker_ok(&["start", "writer"]);
    let before = appended(&host, "db").len();
    wait_for("the container goes on", || {
        appended(&host, "db").len() > before
    });
    let numbers = appended(&host, "db");
    assert!(numbers.contains(&acknowledged), "{acknowledged} is lost");
    sleep(LINGER_STALE * 2);
    assert_eq!(host.mounted(), ["db"], "a container has it");
    host.docker_ok(&["stop", "writer"]);
    host.wait_until_unmounted();
    host.docker_ok(&["rm", "writer"]);
    host.docker_ok(&["volume", "rm", "db"]);
    assert!(host.volumes().is_empty());
}

#[test]
fn after_a_kill_the_same_ids_count_from_the_beginning() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    start_appender(&host, &["--restart=always"]);
    for _ in 0..3 {
        host.kill_dockerd();
        host.start_dockerd(&[]);
        let is_running =
            || host.docker_ok(&["inspect", "-f", "{{.State.Running}}", "writer"]) == "true";
        wait_for("the container is back", is_running);
        let before = host.docker_ok(&["exec", "writer", "wc", "-l", "/data/log"]);
        wait_for("it writes", || {
            host.docker_ok(&["exec", "writer", "wc", "-l", "/data/log"]) != before
        });
    }
    sleep(LINGER_STALE * 2);
    assert_eq!(host.mounted(), ["db"], "a container has it");
    appended(&host, "db");
    host.docker_ok(&["stop", "writer"]);
    host.wait_until_unmounted();
    host.wait_until_closed("db");
}

#[test]
fn with_live_restore_a_container_writes_on_while_dockerd_is_killed() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    host.kill_dockerd();
    host.start_dockerd(&["--live-restore"]);
    start_appender(&host, &[]);
    let pid = host.docker_ok(&["inspect", "-f", "{{.State.Pid}}", "writer"]);
    for _ in 0..2 {
        host.kill_dockerd();
        host.start_dockerd(&["--live-restore"]);
        let lines = || host.docker_ok(&["exec", "writer", "wc", "-l", "/data/log"]);
        // Longer than what only the last dockerd held stays: the container has its own mount.
        sleep(LINGER_STALE * 2);
        let before = lines();
        wait_for("the container goes on", || lines() != before);
        assert_eq!(
            host.docker_ok(&["inspect", "-f", "{{.State.Pid}}", "writer"]),
            pid
        );
        // A second one joins it in the same filesystem.
        let script = "tail -n 1 /data/log > /data/seen; wc -l < /data/log";
        let seen: u64 = host.run_in("db", script).parse().unwrap();
        let now: u64 = lines().split(' ').next().unwrap().parse().unwrap();
        assert!(seen > 0 && seen <= now, "{seen} of {now}");
        host.docker_fails(&["volume", "rm", "db"], &["in use"]);
        host.cask_fails(&["rm", "db"], &["db"]);
    }
    host.docker_ok(&["stop", "writer"]);
    assert_eq!(
        host.docker_ok(&["inspect", "-f", "{{.State.ExitCode}}", "writer"]),
        "0"
    );
    host.wait_until_unmounted();
    host.wait_until_closed("db");
    let last = acknowledged(&host, "writer");
    assert_eq!(host.run_in("db", "tail -n 1 /data/log"), last.to_string());
    assert_eq!(host.run_in("db", "wc -l < /data/log"), last.to_string());
    host.docker_ok(&["rm", "writer"]);
    host.wait_until_unmounted();
    host.docker_ok(&["volume", "rm", "db"]);
}
