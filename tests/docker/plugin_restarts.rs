//! The plugin is killed, restarted, late: containers notice nothing.

use std::thread::sleep;
use std::time::Duration;

use crate::dockerd_restarts::{acknowledged, appended, start_appender};
use crate::harness::{Guard, short_or_long};
use crate::host::{Host, LINGER, LINGER_STALE, run_arguments, wait_for};
use crate::image::import_busybox;

#[test]
fn a_container_that_writes_does_not_notice_that_the_plugin_is_killed() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    start_appender(&host, &[]);
    let server = host.inspect("db")["Server"]["Pid"].clone();
    for _ in 0..short_or_long(5, 100) {
        host.kill_plugin();
        let before = acknowledged(&host, "writer");
        wait_for("the container goes on", || {
            acknowledged(&host, "writer") > before + 20
        });
        host.start_plugin();
        assert_eq!(host.inspect("db")["Server"]["Pid"], server);
        // Who has what mounted was written down.
        host.docker_ok(&[
            "run",
            "--rm",
            "--network=none",
            "-v",
            "db:/data",
            "busybox",
            "true",
        ]);
    }
    sleep(LINGER_STALE * 2);
    assert_eq!(host.mounted(), ["db"]);
    host.docker_ok(&["stop", "writer"]);
    assert_eq!(
        host.docker_ok(&["inspect", "-f", "{{.State.ExitCode}}", "writer"]),
        "0"
    );
    let last = acknowledged(&host, "writer");
    host.wait_until_unmounted();
    host.wait_until_closed("db");
    assert_eq!(
        host.run_in("db", "wc -l < /data/log; tail -n 1 /data/log"),
        format!("{last}\n{last}")
    );
}

#[test]
fn calls_wait_for_a_plugin_that_comes_back() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    start_appender(&host, &[]);
    host.kill_plugin();
    let mut stop = Guard::spawn(&mut host.docker(&["stop", "writer"]));
    let mut start = Guard::spawn(&mut host.docker(&run_arguments(&["--rm"], "db", "true")));
    let mut create = Guard::spawn(&mut host.docker(&["volume", "create", "-d", "cask", "other"]));
    sleep(Duration::from_millis(1500));
    host.start_plugin();
    for call in [&mut stop, &mut start, &mut create] {
        assert!(call.wait(Duration::from_secs(60)).unwrap().success());
    }
    assert_eq!(host.volumes(), ["db", "other"]);
    host.wait_until_unmounted();
}

#[test]
fn a_plugin_that_starts_after_dockerd_serves_what_there_is() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    start_appender(&host, &["--restart=always"]);
    host.docker_ok(&[
        "volume", "create", "-d", "cask", "--label", "a=b", "labelled",
    ]);
    host.kill_dockerd();
    host.kill_plugin();
    host.begin_dockerd(&[]);
    sleep(Duration::from_secs(1));
    host.start_plugin();
    host.wait_for_dockerd();
    let is_running =
        || host.docker_ok(&["inspect", "-f", "{{.State.Running}}", "writer"]) == "true";
    wait_for("the container is back", is_running);
    appended(&host, "db");
    assert_eq!(host.docker_volume("labelled")["Labels"]["a"], "b");
    host.docker_ok(&["rm", "-f", "writer"]);
    host.wait_until_unmounted();
}

#[test]
fn a_plugin_that_is_killed_in_the_middle_of_calls_leaves_no_mount() {
    let Some(mut host) = Host::new() else { return };
    import_busybox(&host);
    host.cask_ok(&["create", "db"]);
    for round in 0..short_or_long(4, 40) {
        let script = "echo x >> /data/f";
        let mut runs: Vec<_> = (0..3)
            .map(|_| Guard::spawn(&mut host.docker(&run_arguments(&["--rm"], "db", script))))
            .collect();
        sleep(Duration::from_millis(100 + 60 * round));
        host.kill_plugin();
        sleep(Duration::from_millis(50));
        host.start_plugin();
        for run in &mut runs {
            // One may fail: its call was cut off. None may hang.
            assert!(run.wait(Duration::from_secs(60)).is_some());
        }
    }
    host.run_in("db", "echo y > /data/g");
    host.docker_ok(&["volume", "inspect", "db"]);
    host.kill_dockerd();
    host.start_dockerd(&[]);
    host.docker_ok(&["volume", "inspect", "db"]);
    host.wait_until_unmounted();
    host.wait_until_closed("db");
}

#[test]
fn the_plugin_keeps_nothing_of_mounts_that_ended() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let children = |state: &str| {
        let text = crate::harness::run(
            std::process::Command::new("ps").args([
                "-o",
                "stat=",
                "--ppid",
                &host.plugin_pid().to_string(),
            ]),
            10,
        );
        text.stdout
            .lines()
            .filter(|line| line.starts_with(state))
            .count()
    };
    let open = || {
        std::fs::read_dir(format!("/proc/{}/fd", host.plugin_pid()))
            .unwrap()
            .count()
    };
    host.run_in("warm", "true");
    host.wait_until_unmounted();
    let before = open();
    for name in ["aa", "bb", "cc"] {
        host.run_in(name, "true");
        sleep(LINGER);
    }
    host.wait_until_unmounted();
    wait_for("the servers end", || children("S") == 0);
    wait_for("none is left as a zombie", || children("Z") == 0);
    assert!(open() <= before + 1, "{} files, {before} before", open());
}
