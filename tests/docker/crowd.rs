//! Many containers at once.

use std::time::Duration;

use crate::harness::Guard;
use crate::host::{Host, run_arguments};
use crate::image::import_busybox;

const CONTAINERS: usize = 20;

/// Starts all at once and waits for all.
fn run_all(host: &Host, volume: impl Fn(usize) -> String, script: impl Fn(usize) -> String) {
    let run = |number| {
        let (volume, script) = (volume(number), script(number));
        Guard::spawn(&mut host.docker(&run_arguments(&["--rm"], &volume, &script)))
    };
    let mut running: Vec<_> = (0..CONTAINERS).map(run).collect();
    for one in &mut running {
        assert!(one.wait(Duration::from_secs(90)).unwrap().success());
    }
}

#[test]
fn twenty_containers_start_at_once_with_one_volume() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    run_all(
        &host,
        |_| "db".to_owned(),
        |number| format!("echo {number} >> /data/log"),
    );
    let text = host.run_in("db", "sort -n /data/log");
    let numbers: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (0..CONTAINERS).collect::<Vec<_>>());
    host.wait_until_unmounted();
    host.wait_until_closed("db");
}

#[test]
fn twenty_containers_start_at_once_with_a_volume_each() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let script = |number: usize| format!("[ ! -e /data/log ]; echo {number} > /data/log");
    run_all(&host, |number| format!("v{number}"), script);
    assert_eq!(host.volumes().len(), CONTAINERS);
    host.wait_until_unmounted();
    for number in 0..CONTAINERS {
        let volume = format!("v{number}");
        host.wait_until_closed(&volume);
        let copy = host.dir().join(&volume);
        host.cask_ok(&["cp", &format!("{volume}:/log"), copy.to_str().unwrap()]);
        assert_eq!(
            std::fs::read_to_string(copy).unwrap(),
            format!("{number}\n")
        );
    }
}
