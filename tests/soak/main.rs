//! Everything at once for a while: writers, snapshots, clones, removals, collections, and a server that is killed.
//!
//! `CASK_TEST_LONG=1 CASK_SOAK_MINUTES=30 cargo nextest run --profile long --test soak` is the long run.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test that called it"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(clippy::print_stderr, reason = "a report of what was done")]

#[path = "../mounted"]
mod mounted {
    pub(crate) mod harness;
}
mod snapshots;
mod writer;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mounted::harness;
use rustix::process::{Signal, kill_process};

use harness::{Mount, VOLUME, run, seed};
use snapshots::Snapshots;
use writer::Writer;

const WRITERS: u64 = 3;
const BETWEEN_KILLS: Duration = Duration::from_secs(2);

/// What runs, and for how long.
struct Soak {
    mount: Mount,
    over: AtomicBool,
    kills: AtomicU32,
    collections: AtomicU32,
    given_up: AtomicU32,
}

impl Soak {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Waits, but not beyond the end.
    fn pause(&self, pause: Duration) {
        let start = Instant::now();
        while self.goes_on() && start.elapsed() < pause {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn duration() -> Duration {
    let minutes = std::env::var("CASK_SOAK_MINUTES").ok();
    let minutes = minutes.and_then(|text| text.parse::<u64>().ok());
    minutes.map_or(Duration::from_secs(20), |minutes| {
        Duration::from_secs(60 * minutes)
    })
}

#[test]
fn everything_at_once_loses_nothing() {
    let Some(mount) = Mount::new() else { return };
    let soak = Soak {
        mount,
        over: AtomicBool::new(false),
        kills: AtomicU32::new(0),
        collections: AtomicU32::new(0),
        given_up: AtomicU32::new(0),
    };
    let (soak, seed) = (&soak, seed());
    let (writers, snapshots) = std::thread::scope(|scope| {
        let start = |i| {
            let mut writer = Writer::new(soak.mount.path().join(format!("writer-{i}")), seed + i);
            scope.spawn(move || {
                while soak.goes_on() {
                    writer.step();
                }
                writer
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(start).collect();
        let snapshots = scope.spawn(|| Snapshots::new(soak).run());
        scope.spawn(|| kill_again_and_again(soak));
        scope.spawn(|| collect_again_and_again(soak));
        // A thread that fails ends the others, too.
        let begun = Instant::now();
        let is_well =
            || writers.iter().all(|writer| !writer.is_finished()) && !snapshots.is_finished();
        while begun.elapsed() < duration() && is_well() {
            std::thread::sleep(Duration::from_millis(100));
        }
        soak.over.store(true, Ordering::Relaxed);
        let writers: Vec<_> = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect();
        (writers, snapshots.join().unwrap())
    });
    let check = || writers.iter().for_each(Writer::check_all);
    check();
    umount(&soak.mount);
    let checked = soak.mount.cask(&["check", "--read-data", VOLUME]);
    soak.mount.mount();
    check();
    let steps: u64 = writers.iter().map(Writer::steps).sum();
    eprintln!(
        "{:?}: {steps} steps of {WRITERS} writers, {snapshots}, {} collections and {} that were given up, {} kills; {}",
        duration(),
        soak.collections.load(Ordering::Relaxed),
        soak.given_up.load(Ordering::Relaxed),
        soak.kills.load(Ordering::Relaxed),
        checked.trim(),
    );
}

/// A container that starts on the host has a copy of every mount for a moment, or longer: that is waited for.
fn umount(mount: &Mount) {
    let start = Instant::now();
    loop {
        let done = mount.try_cask(&["umount", VOLUME]);
        match done.status.code() {
            Some(0) => return,
            Some(5) if start.elapsed() < Duration::from_secs(60) => {}
            _ => panic!("cask umount: {}", done.output()),
        }
    }
}

fn kill_again_and_again(soak: &Soak) {
    while soak.goes_on() {
        soak.pause(BETWEEN_KILLS);
        kill_process(soak.mount.server_pid(), Signal::KILL).unwrap();
        soak.kills.fetch_add(1, Ordering::Relaxed);
    }
}

fn collect_again_and_again(soak: &Soak) {
    while soak.goes_on() {
        // A kill ends a collection, and the command begins it again: one that is never let finish is given up.
        let mut command = Command::new("timeout");
        let cask = soak.mount.command(&["gc", VOLUME]);
        let variables = cask
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?)));
        command
            .arg("10")
            .arg(cask.get_program())
            .args(cask.get_args())
            .envs(variables);
        let done = run(&mut command, 60);
        match done.status.code() {
            Some(0) => soak.collections.fetch_add(1, Ordering::Relaxed),
            code => {
                assert_eq!(code, Some(124), "cask gc: {}", done.output());
                soak.given_up.fetch_add(1, Ordering::Relaxed)
            }
        };
        soak.pause(Duration::from_millis(700));
    }
}
