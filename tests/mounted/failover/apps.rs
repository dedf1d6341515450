//! PostgreSQL, fsx and git work while the server is killed again and again.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::await_other;
use crate::apps::git::{MAKE_REPOSITORY, git};
use crate::apps::postgres::{Cluster, check_balance};
use crate::fsx;
use crate::harness::{Mount, seed, sh, short_or_long};

const BETWEEN_KILLS: Duration = Duration::from_secs(2);
/// What the slowest of a hundred pauses may take.
const PAUSE_MAX: Duration = Duration::from_millis(500);

#[test]
fn programs_do_not_notice_that_the_server_is_killed() {
    let Some(mount) = Mount::new() else { return };
    let source = mount.plain().join("source");
    sh(MAKE_REPOSITORY, &[&source]);
    let cluster = Cluster::create(&mount);
    cluster.run("createdb", &["bench"]);
    cluster.run("pgbench", &["-i", "-q", "-s", "2", "bench"]);
    let seconds = short_or_long(60, 600);
    let over = AtomicBool::new(false);
    let (kills, pauses) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_again_and_again(&mount, &over));
        let fsx = scope.spawn(|| {
            let seeds = seed()..;
            let runs = seeds.take_while(|_| !over.load(Ordering::Relaxed));
            runs.map(|seed| fsx::check(&mount, seed)).count()
        });
        let git = scope.spawn(|| clone_again_and_again(&mount, &source, &over));
        let probe = scope.spawn(|| measure_pauses(&mount, &over));
        let time = seconds.to_string();
        let report = cluster.run("pgbench", &["-c", "4", "-j", "2", "-T", &time, "bench"]);
        over.store(true, Ordering::Relaxed);
        assert!(
            report.contains("number of failed transactions: 0 "),
            "{report}"
        );
        let done = (fsx.join().unwrap(), git.join().unwrap());
        eprintln!(
            "{} runs of fsx, {} clones, pgbench: {report}",
            done.0, done.1
        );
        (killer.join().unwrap(), probe.join().unwrap())
    });
    check_balance(&cluster);
    cluster.run(
        "pg_amcheck",
        &["--install-missing", "--heapallindexed", "bench"],
    );
    drop(cluster);
    report_pauses(kills, pauses);
    mount.umount();
    mount.cask(&["check", "--read-data", crate::harness::VOLUME]);
}

fn kill_again_and_again(mount: &Mount, over: &AtomicBool) -> u32 {
    let mut kills = 0;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(BETWEEN_KILLS);
        let server = mount.server_pid();
        kill_process(server, Signal::KILL).unwrap();
        await_other(mount, server);
        kills += 1;
    }
    kills
}

fn clone_again_and_again(mount: &Mount, source: &std::path::Path, over: &AtomicBool) -> u32 {
    let (url, mut clones) = (format!("file://{}", source.display()), 0);
    while !over.load(Ordering::Relaxed) {
        let clone = mount.path().join("clone");
        let path = clone.to_str().unwrap();
        git(&["clone", "-q", "--no-local", &url, path]);
        git(&["-C", path, "fsck", "--full", "--strict"]);
        assert_eq!(git(&["-C", path, "status", "--porcelain"]), "");
        fs::remove_dir_all(clone).unwrap();
        clones += 1;
    }
    clones
}

/// How long requests took, one after the other, for as long as the rest works.
fn measure_pauses(mount: &Mount, over: &AtomicBool) -> Vec<Duration> {
    let (dir, mut taken) = (mount.path().join("probe"), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        fs::create_dir(&dir).unwrap();
        taken.push(start.elapsed());
        fs::remove_dir(&dir).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    taken
}

/// The longest requests are those that waited for another server: one a kill.
#[track_caller]
fn report_pauses(kills: u32, mut taken: Vec<Duration>) {
    taken.sort();
    let pauses = &taken[taken.len() - usize::try_from(kills).unwrap()..];
    let p99 = pauses[(pauses.len() * 99).div_ceil(100) - 1];
    eprintln!(
        "{kills} kills; the longest {kills} of {} requests: p50 {:?}, p99 {p99:?}; all: p50 {:?}",
        taken.len(),
        pauses[pauses.len() / 2],
        taken[taken.len() / 2],
    );
    assert!(p99 < PAUSE_MAX, "{p99:?}");
}
