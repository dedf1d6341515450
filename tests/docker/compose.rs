//! Compose: the one that Debian 12 has (version 1); `newer_engine` runs this with version 2.

use std::fs;
use std::process::Command;

use crate::harness::{lacks_program, run_ok};
use crate::host::{Host, wait_for};
use crate::image::import_busybox;

const APP: &str = r#"version: "3.8"
services:
  app:
    image: busybox
    network_mode: none
    command: sh -c "exec tool append /data/log"
    volumes: ["db:/data"]
volumes:
  db: {driver: cask, name: db, driver_opts: {size: 1G, label.tier: hot}}
"#;
/// `old` is a snapshot: an `@` is allowed in the name, not in the key.
const READER: &str = r#"version: "3.8"
services:
  reader:
    image: busybox
    network_mode: none
    command: sh -c "cat /data/log"
    volumes: ["old:/data:ro"]
volumes:
  old: {external: true, name: db@before}
"#;

#[track_caller]
fn compose(host: &Host, file: &str, arguments: &[&str]) -> String {
    fs::write(host.dir().join("etc/docker-compose.yml"), file).unwrap();
    let mut command = Command::new("docker-compose");
    command.env("DOCKER_HOST", host.docker_address());
    command.current_dir(host.dir().join("etc")).args(arguments);
    run_ok(&mut command, 100)
}

#[test]
fn compose_brings_a_volume_up_keeps_it_and_reads_its_snapshot() {
    let Some(host) = Host::new() else { return };
    if lacks_program(&["docker-compose"]) {
        return;
    }
    import_busybox(&host);
    compose(&host, APP, &["up", "-d", "app"]);
    let log = host.place("db").join("log");
    let length = || fs::metadata(&log).map_or(0, |log| log.len());
    wait_for("the first lines", || length() > 20);
    let shown = host.inspect("db");
    assert_eq!(shown["Labels"]["tier"], "hot", "{shown}");
    compose(&host, APP, &["down"]);
    host.wait_until_unmounted();
    host.cask_ok(&["snapshot", "db@before"]);
    compose(&host, APP, &["up", "-d", "app"]);
    let before = length();
    wait_for("more lines", || length() > before);
    let read = compose(&host, READER, &["run", "--rm", "-T", "reader"]);
    assert!(
        read.starts_with("1\n2\n") && read.len() as u64 <= before,
        "{read}"
    );
    compose(&host, READER, &["down"]);
    compose(&host, APP, &["up", "-d", "app"]);
    compose(&host, APP, &["down", "-v"]);
    wait_for("the volume goes", || host.volumes().is_empty());
    host.wait_until_unmounted();
}
