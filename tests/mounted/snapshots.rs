//! Snapshots under load: what they hold, and what they cost.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::apps::postgres::{Cluster, check_balance};
use crate::harness::{Guard, Mount, Random, Sandbox, VOLUME, seed, short_or_long};

fn state(snapshot: &str) -> String {
    format!("{VOLUME}@{snapshot}")
}

/// A clone of the test's volume, mounted; removed when this goes.
struct Cloned<'m> {
    mount: &'m Mount,
    at: PathBuf,
}

impl<'m> Cloned<'m> {
    #[track_caller]
    fn of(mount: &'m Mount, snapshot: &str) -> Self {
        let at = mount.sandbox().dir().join("cloned");
        mount.cask(&["clone", &state(snapshot), "cloned"]);
        mount.cask(&["mount", "--create", "cloned", &at.to_string_lossy()]);
        Self { mount, at }
    }
}

impl Drop for Cloned<'_> {
    fn drop(&mut self) {
        for arguments in [&["umount", "cloned"][..], &["rm", "-f", "cloned"]] {
            let done = self.mount.try_cask(arguments);
            if !done.status.success() {
                eprintln!("cask {arguments:?}: {}", done.output());
            }
        }
    }
}

/// The long form has fifty clones, each of which is a recovery: more than the limit of one test.
#[test]
fn postgresql_recovers_from_a_clone_of_any_moment() {
    let Some(mount) = Mount::new() else { return };
    let cluster = Cluster::create(&mount);
    cluster.run("createdb", &["bench"]);
    cluster.run("pgbench", &["-i", "-q", "-s", "2", "bench"]);
    let mut load = cluster.command("pgbench", &["-c", "4", "-j", "2", "-T", "3600", "bench"]);
    let load = Guard::spawn(load.stdout(std::process::Stdio::null()));
    let mut random = Random::new(seed());
    let rounds = short_or_long(10, 50);
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(50 + random.below(700)));
        let name = format!("s{round}");
        mount.cask(&["snapshot", &state(&name)]);
        let clone = Cloned::of(&mount, &name);
        let recovered = Cluster::recover(&mount, clone.at.join("cluster"));
        check_balance(&recovered);
        recovered.run(
            "pg_amcheck",
            &["--install-missing", "--heapallindexed", "bench"],
        );
        drop(recovered);
        drop(clone);
        mount.cask(&["snapshot", "rm", &state(&name)]);
    }
    eprintln!("PostgreSQL recovered from {rounds} clones of {rounds}");
    drop(load);
}

#[test]
fn a_snapshot_holds_what_was_fsynced_or_closed_before_it() {
    let Some(mount) = Mount::new() else { return };
    let (done, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let write = || {
        let mut log = File::create(mount.path().join("log")).unwrap();
        for number in 0_u64.. {
            if done.load(Ordering::Relaxed) {
                return;
            }
            fs::write(
                mount.path().join(format!("closed-{number}")),
                number.to_le_bytes(),
            )
            .unwrap();
            log.write_all(&number.to_le_bytes()).unwrap();
            log.sync_all().unwrap();
            acknowledged.store(number, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(write);
        for round in 0..short_or_long(10, 100) {
            std::thread::sleep(Duration::from_millis(20));
            let promised = acknowledged.load(Ordering::SeqCst);
            let name = format!("s{round}");
            mount.cask(&["snapshot", &state(&name)]);
            let clone = Cloned::of(&mount, &name);
            let log = fs::read(clone.at.join("log")).unwrap();
            let fsynced = log
                .as_chunks::<8>()
                .0
                .iter()
                .map(|n| u64::from_le_bytes(*n));
            let fsynced: Vec<u64> = fsynced.collect();
            assert!(
                fsynced.iter().enumerate().all(|(i, &n)| i as u64 == n),
                "wrong bytes"
            );
            assert!(fsynced.len() as u64 > promised || promised == 0);
            for number in 0..promised {
                let file = fs::read(clone.at.join(format!("closed-{number}"))).unwrap();
                assert_eq!(file, number.to_le_bytes());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Volumes of very different size, and what a snapshot of each costs.
#[test]
fn the_cost_of_a_snapshot_does_not_grow_with_the_volume() {
    if Sandbox::new().is_none() {
        return;
    }
    let small = cost(10);
    let large = cost(short_or_long(20_000, 200_000));
    eprintln!("{small:?} with 10 files, {large:?} with many");
    assert!(large.written <= small.written + 4096, "{small:?} {large:?}");
    assert!(
        large.cut < small.cut * 4 + Duration::from_millis(10),
        "{small:?} {large:?}"
    );
}

#[derive(Debug)]
struct Cost {
    /// The fastest `cask snapshot`, with the start of the program.
    cut: Duration,
    /// What the server wrote at least.
    written: u64,
}

#[track_caller]
fn cost(files: usize) -> Cost {
    let mount = Mount::new().unwrap();
    for i in 0..files {
        let dir = mount.path().join(format!("{}", i / 1000));
        if i % 1000 == 0 {
            fs::create_dir(&dir).unwrap();
        }
        fs::write(dir.join(format!("{i}")), format!("{i}")).unwrap();
    }
    mount.cask(&["snapshot", &state("first")]);
    let counters = format!("/proc/{}/io", mount.server_pid().as_raw_nonzero());
    let written = || {
        let text = fs::read_to_string(&counters).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let mut cost = Cost {
        cut: Duration::MAX,
        written: u64::MAX,
    };
    for round in 0..10 {
        let (before, since) = (written(), Instant::now());
        mount.cask(&["snapshot", &state(&format!("s{round}"))]);
        cost.cut = cost.cut.min(since.elapsed());
        cost.written = cost.written.min(written() - before);
    }
    cost
}

/// 20 000 files and 1 GiB in the long form.
#[test]
fn a_clone_takes_little_time_and_space() {
    let Some(mount) = Mount::new() else { return };
    let (files, bytes) = short_or_long((5_000, 50_000), (20_000, 53_687));
    let mut random = Random::new(1);
    for i in 0..files {
        let dir = mount.path().join(format!("{}", i / 1000));
        if i % 1000 == 0 {
            fs::create_dir(&dir).unwrap();
        }
        fs::write(dir.join(format!("{i}")), random.bytes(bytes)).unwrap();
    }
    mount.cask(&["snapshot", &state("s")]);
    let disk_used = || {
        let stat = rustix::fs::statvfs(mount.sandbox().dir()).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    };
    // What is still being written back would be counted.
    rustix::fs::sync();
    let (before, since) = (disk_used(), Instant::now());
    mount.cask(&["clone", &state("s"), "cloned"]);
    let elapsed = since.elapsed();
    rustix::fs::sync();
    let space = disk_used().saturating_sub(before);
    let held = (files * bytes) as u64;
    eprintln!("a clone of {files} files, {held} bytes: {elapsed:?}, {space} bytes of new space");
    assert!(space < held / 20, "{space} bytes of new space for {held}");
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
}

/// Not promised, for a program that wants its data kept calls fsync or close; but what the kernel can be
/// asked for, a snapshot has.
#[test]
fn a_snapshot_has_what_was_written_a_moment_before() {
    let Some(mount) = Mount::new() else { return };
    let (mut random, rounds) = (Random::new(seed()), short_or_long(20, 200));
    let mut whole = 0;
    for round in 0..rounds {
        let bytes = random.bytes(8 << 20);
        let mut file = File::create(mount.path().join("file")).unwrap();
        file.write_all(&bytes).unwrap();
        let name = format!("s{round}");
        mount.cask(&["snapshot", &state(&name)]);
        let copy = mount.sandbox().dir().join("copy");
        let from = format!("{}:/file", state(&name));
        mount.cask(&["cp", &from, &copy.to_string_lossy()]);
        whole += usize::from(fs::read(&copy).unwrap() == bytes);
        fs::remove_file(copy).unwrap();
        mount.cask(&["snapshot", "rm", &state(&name)]);
    }
    eprintln!("{whole} of {rounds} snapshots had all 8 MiB");
    assert!(whole * 10 >= rounds * 7, "{whole} of {rounds}");
}
