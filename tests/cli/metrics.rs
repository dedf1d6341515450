//! `cask metrics`, and the same over HTTP: what is counted, its names, and volumes in every state.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::support::{Bench, can_mount, wait_for};

/// What follows a name: `{volume="db"}`, say.
type Samples = BTreeMap<String, f64>;

/// Every line of `text` is a sample, whose metric was announced, or announces one.
#[track_caller]
fn parse(text: &str) -> Samples {
    let (mut samples, mut metric) = (Samples::new(), String::new());
    assert!(text.ends_with('\n'), "{text}");
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            let (name, kind) = about.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            name.clone_into(&mut metric);
        } else if line.strip_prefix("# HELP ").is_none() {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap();
            let ending = name
                .strip_prefix(&metric)
                .unwrap_or_else(|| panic!("{line}"));
            assert!(
                ["", "_bucket", "_sum", "_count"].contains(&ending),
                "{line}"
            );
            let is_legal = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(
                name.starts_with("cask_") && name.chars().all(is_legal),
                "{line}"
            );
            assert!(
                labels.starts_with("volume=\"") && labels.ends_with("\"}"),
                "{line}"
            );
            let value = value.replace("+Inf", "inf").parse().unwrap();
            assert_eq!(samples.insert(series.to_owned(), value), None, "{line}");
        }
    }
    samples
}

#[track_caller]
fn metrics(bench: &Bench) -> Samples {
    parse(&bench.run(&["metrics"]).succeeds().out)
}

fn state(samples: &Samples, volume: &str) -> Vec<String> {
    let states = [
        "unmounted",
        "starting",
        "mounted",
        "closing",
        "dead",
        "broken",
    ];
    let series =
        |state: &str| format!("cask_volume_state{{volume=\"{volume}\",state=\"{state}\"}}");
    let on = states.iter().filter(|state| samples[&series(state)] == 1.0);
    on.map(|state| (*state).to_owned()).collect()
}

/// How many requests of a kind were answered.
fn count(samples: &Samples, operation: &str) -> f64 {
    let series = "cask_request_duration_seconds_count";
    let series = format!("{series}{{volume=\"db\",operation=\"{operation}\"}}");
    samples.get(&series).copied().unwrap_or_default()
}

#[test]
fn what_a_mounted_volume_does_is_counted() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let before = metrics(&bench);
    let mut file = File::create_new(bench.path("mnt/file")).unwrap();
    file.write_all(&[7; 100_000]).unwrap();
    file.sync_all().unwrap();
    drop(file);
    // Read from the server, not out of the page cache.
    rustix::fs::fadvise(
        File::open(bench.path("mnt/file")).unwrap(),
        0,
        None,
        rustix::fs::Advice::DontNeed,
    )
    .unwrap();
    assert_eq!(fs::read(bench.path("mnt/file")).unwrap().len(), 100_000);
    let after = metrics(&bench);
    assert_eq!(state(&after, "db"), ["mounted"]);
    for operation in ["mknod", "fsync"] {
        let made = count(&after, operation) - count(&before, operation);
        assert!((made - 1.0).abs() < 0.1, "{operation}: {after:?}");
    }
    assert!(count(&after, "write") > 0.0 && count(&after, "read") > 0.0);
    let of = |samples: &Samples, name: &str| samples[&format!("{name}{{volume=\"db\"}}")];
    assert!((of(&after, "cask_written_bytes_total") - 100_000.0).abs() < 0.1);
    assert!(of(&after, "cask_read_bytes_total") >= 100_000.0);
    assert!((of(&after, "cask_logical_bytes") - 100_000.0).abs() < 0.1);
    assert!((of(&after, "cask_dedup_ratio") - 1.0).abs() < 0.01);
    assert!(of(&after, "cask_compression_ratio") > 0.0);
    assert!(of(&after, "cask_log_bytes") > 0.0);
    assert!(of(&after, "cask_writing_stopped") == 0.0);
    assert!(of(&after, "cask_server_start_time_seconds") > 1.7e9);
    // A bucket holds what those before it hold, too, and the last all.
    let buckets = after
        .iter()
        .filter(|(series, _)| series.contains("_bucket{volume=\"db\",operation=\"fsync\""));
    assert_eq!(buckets.clone().count(), 21);
    assert!(buckets.map(|(_, count)| *count).fold(0.0, f64::max) >= 1.0);
    let mut same = File::create_new(bench.path("mnt/same")).unwrap();
    same.write_all(&[7; 100_000]).unwrap();
    same.sync_all().unwrap();
    let doubled = of(&metrics(&bench), "cask_dedup_ratio");
    assert!((doubled - 2.0).abs() < 0.01, "{doubled}");
}

#[test]
fn a_volume_that_nobody_serves_is_measured_without_opening_it() {
    let bench = Bench::new();
    bench.run(&["create", "--size", "1G", "db"]).succeeds();
    bench.run(&["create", "broken"]).succeeds();
    bench.run(&["set", "db", "schedule=daily=2"]).succeeds();
    fs::write(bench.volume_dir("broken").join("volume.json"), "{").unwrap();
    let inventory = bench.inventory();
    let samples = metrics(&bench);
    assert_eq!(state(&samples, "db"), ["unmounted"]);
    assert_eq!(state(&samples, "broken"), ["broken"]);
    let limit = samples["cask_limit_bytes{volume=\"db\"}"];
    assert!((limit - f64::from(1 << 30)).abs() < 0.1, "{limit}");
    assert!(samples["cask_host_bytes{volume=\"db\"}"] > 0.0);
    assert!(samples["cask_schedule_failures{volume=\"db\"}"] == 0.0);
    assert!(samples["cask_scrub_damage{volume=\"db\"}"] == 0.0);
    assert!(!samples.contains_key("cask_schedule_failures{volume=\"broken\"}"));
    assert!(!samples.contains_key("cask_read_bytes_total{volume=\"db\"}"));
    assert_eq!(bench.inventory(), inventory);
}

#[test]
fn a_volume_whose_server_died_is_dead_and_measured() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let foreground = bench.text("mnt");
    let mut serving =
        crate::support::start(&mut bench.command(&["mount", "--foreground", "db", &foreground]));
    wait_for("the mount", || !bench.mounts().is_empty());
    wait_for("the volume is mounted", || {
        state(&metrics(&bench), "db") == ["mounted"]
    });
    kill_process(bench.server_of("db"), Signal::KILL).unwrap();
    drop(serving.0.wait());
    let samples = metrics(&bench);
    assert_eq!(state(&samples, "db"), ["dead"]);
    assert!(samples["cask_host_bytes{volume=\"db\"}"] > 0.0);
}

#[test]
fn a_server_that_does_not_answer_holds_up_nobody_for_long() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    bench.run(&["create", "other"]).succeeds();
    bench.run(&["mount", "db", &bench.text("mnt")]).succeeds();
    let server = bench.server_of("db");
    kill_process(server, Signal::STOP).unwrap();
    let since = Instant::now();
    let asked = bench.run(&["metrics"]);
    let took = since.elapsed();
    kill_process(server, Signal::CONT).unwrap();
    let samples = parse(&asked.succeeds().out);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(state(&samples, "db"), ["broken"]);
    assert_eq!(state(&samples, "other"), ["unmounted"]);
    assert!(!samples.contains_key("cask_writing_stopped{volume=\"db\"}"));
    wait_for("it answers again", || {
        state(&metrics(&bench), "db") == ["mounted"]
    });
    bench.run(&["umount", "db"]).succeeds();
}

/// A plugin that serves metrics at a free port, which is returned, too.
fn serving(bench: &Bench) -> (crate::support::Running, u16) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let address = format!("127.0.0.1:{port}");
    let serving = crate::support::start(&mut serve(bench, &address));
    wait_for("the endpoint", || TcpStream::connect(&address).is_ok());
    (serving, port)
}

fn serve(bench: &Bench, address: &str) -> std::process::Command {
    let (socket, run) = (bench.text("cask.sock"), bench.text("run"));
    bench.command(&[
        "docker",
        "serve",
        "--socket",
        &socket,
        "--run-dir",
        &run,
        "--metrics",
        address,
    ])
}

/// What a request is answered: its head and its body.
#[track_caller]
fn fetch(port: u16, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_plugin_serves_them_over_http() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    let (_serving, port) = serving(&bench);
    let (head, body) = fetch(port, "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert_eq!(state(&parse(&body), "db"), ["unmounted"]);
    let refused = |request: &str, status: &str| {
        let (head, _) = fetch(port, request);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{head}"
        );
    };
    refused("GET /", "404 Not Found");
    refused("POST /VolumeDriver.List", "404 Not Found");
    refused("POST /metrics", "405 Method Not Allowed");
}

#[test]
fn an_address_that_cannot_be_served_is_an_error() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |address: &str| crate::support::run(&mut serve(&bench, address));
    let wanted = ["cannot serve metrics", &address, "in use", "--metrics"];
    run(&address).fails(1, &wanted);
    run("0.0.0.0:9750").fails(2, &["loopback"]);
    run("nonsense").fails(2, &["127.0.0.1:9750"]);
    assert!(!bench.path("cask.sock").exists());
}

/// A panel or an alert about what there is not is silent for ever.
#[test]
fn what_the_examples_ask_for_is_told() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    let options = ["--size", "1G", "--schedule", "hourly=2"];
    bench
        .run(&[&["create", "db"][..], &options].concat())
        .succeeds();
    fs::create_dir(bench.path("mnt")).unwrap();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    let told = |name: &str| {
        let name = name.trim_end_matches("_bucket").trim_end_matches("_count");
        bench
            .run(&["metrics"])
            .succeeds()
            .out
            .contains(&format!("\n{name}"))
    };
    // The first snapshot of the schedule is taken soon.
    wait_for("there is a snapshot", || {
        told("cask_schedule_last_success_timestamp_seconds")
    });
    for example in ["alerts.yaml", "grafana.json"] {
        let path = format!("{}/docs/examples/{example}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let mut names: Vec<_> = words.filter(|word| word.starts_with("cask_")).collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            assert!(told(name), "{example} asks for {name}");
        }
    }
    bench.run(&["umount", "db"]).succeeds();
}

#[test]
fn top_has_a_line_for_each_mounted_volume_and_ends_when_it_shall() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["create", "at-rest"]).succeeds();
    fs::write(bench.path("mnt/file"), [7; 5000]).unwrap();
    let shown = bench.run(&["top", "-n", "2"]).succeeds().out;
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(
        lines[0].starts_with("NAME") && lines[2] == lines[0],
        "{shown}"
    );
    assert!(
        lines[1].starts_with("db ") && lines[1].contains("4.8KiB"),
        "{shown}"
    );
    assert!(
        !shown.contains('\x1b') && !shown.contains("at-rest"),
        "{shown}"
    );
    bench.run(&["top", "nothing"]).fails(3, &["nothing"]);
    bench.run(&["umount", "db"]).succeeds();
}
