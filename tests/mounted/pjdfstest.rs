//! pjdfstest: errno, modes and times of the POSIX system calls; the yardstick is a plain directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Mount, run};

const EXCLUSIONS: &str = include_str!("pjdfstest-exclusions.txt");

const CONFIG: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
secondary_fs = "/dev/shm"
[settings]
naptime = 0.01
[dummy_auth]
entries = [["nobody", "nogroup"], ["tests", "tests"]]
"#;

#[test]
fn what_passes_on_the_hosts_filesystem_passes_on_a_mount() {
    let Some(mount) = Mount::new() else { return };
    let config = mount.sandbox().dir().join("pjdfstest.toml");
    fs::write(&config, CONFIG).unwrap();
    let plain = outcomes(&mount.plain(), &config);
    let cask = outcomes(&mount.path(), &config);
    eprintln!("pjdfstest on a plain directory: {}", summary(&plain));
    eprintln!("pjdfstest on cask: {}", summary(&cask));
    assert!(
        count(&plain, "ok") > 350,
        "the yardstick is broken: {}",
        summary(&plain)
    );

    let excluded = exclusions();
    let passes = |results: &BTreeMap<String, String>, name: &str| {
        results.get(name).is_some_and(|outcome| outcome == "ok")
    };
    let wrong: Vec<_> = plain
        .keys()
        .filter(|name| passes(&plain, name) && !passes(&cask, name))
        .filter(|name| !excluded.contains_key(name.as_str()))
        .map(|name| {
            format!(
                "{name}: {}",
                cask.get(name).map_or("not run", String::as_str)
            )
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} tests fail on cask alone: {wrong:#?}",
        wrong.len()
    );
    let idle: Vec<_> = excluded.keys().filter(|name| passes(&cask, name)).collect();
    assert!(idle.is_empty(), "excluded, but they pass: {idle:?}");
}

/// Runs the suite in `dir`. Returns what came of each test.
#[track_caller]
fn outcomes(dir: &Path, config: &Path) -> BTreeMap<String, String> {
    let mut command = Command::new("pjdfstest");
    command
        .env("NO_COLOR", "1")
        .arg("-c")
        .arg(config)
        .arg("-p")
        .arg(dir);
    let done = run(&mut command, 100);
    assert!(
        done.stdout.contains("Summary:"),
        "pjdfstest broke off: {}",
        done.output()
    );
    fs::write(config.with_extension("last.txt"), &done.stdout).unwrap();
    done.stdout.lines().filter_map(outcome).collect()
}

fn outcome(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let known = ["ok", "FAILED", "skipped", "expected failure"];
    let is_test = name.contains("::") && known.contains(&rest.trim());
    is_test.then(|| (name.to_owned(), rest.trim().to_owned()))
}

fn count(outcomes: &BTreeMap<String, String>, wanted: &str) -> usize {
    outcomes
        .values()
        .filter(|outcome| outcome.as_str() == wanted)
        .count()
}

fn summary(outcomes: &BTreeMap<String, String>) -> String {
    let [ok, failed, skipped] = ["ok", "FAILED", "skipped"].map(|word| count(outcomes, word));
    format!("{ok} pass, {failed} fail, {skipped} skipped")
}

/// The names in the exclusions file, each with its reason.
#[track_caller]
fn exclusions() -> BTreeMap<String, String> {
    let lines = EXCLUSIONS
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let parse = |line: &str| {
        let (name, reason) = line
            .split_once('#')
            .unwrap_or_else(|| panic!("no reason: {line}"));
        assert!(!reason.trim().is_empty(), "no reason: {line}");
        (name.trim().to_owned(), reason.trim().to_owned())
    };
    lines.map(parse).collect()
}
