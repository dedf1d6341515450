//! The engines that users have today: Docker and Compose of a newer Debian than this machine's. The same tests, run
//! again by this program with those in front of `PATH`.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{lacks_program, run_ok, skip};

/// One for each way that an engine calls the plugin; all of them by hand: `PATH=BIN:$PATH cargo nextest run --test docker`.
const TESTS: &[&str] = &[
    "compose::compose_brings_a_volume_up_keeps_it_and_reads_its_snapshot",
    "dockerd_restarts::a_dockerd_that_is_killed_loses_no_data_and_leaks_no_mount",
    "pausing::those_that_use_the_volume_are_paused_and_go_on",
    "using::ls_and_inspect_name_the_containers_that_use_a_volume",
    "volumes::every_option_takes_effect",
];
/// Seconds for one.
const WAIT_MAX: u64 = 50;

/// Where `./test.sh` puts them.
fn programs() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let programs = base
        .or_else(of_home)?
        .join("cask-tests/docker-trixie-1/bin");
    programs.is_dir().then_some(programs)
}

#[test]
fn docker_26_and_compose_2_use_volumes_as_older_ones_do() {
    if lacks_program(&["unshare"]) {
        return;
    }
    let Some(programs) = programs() else {
        skip("there is no newer Docker: ./test.sh installs it");
        return;
    };
    let path = format!(
        "{}:{}",
        programs.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for name in TESTS {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name, "--nocapture"]);
        let said = run_ok(again.env("PATH", &path), WAIT_MAX);
        assert!(said.contains("1 passed"), "{name}: {said}");
    }
}
