//! Whoever uses a mount does not notice that its server died: they wait, then go on.

mod apps;
mod memory;
mod once;
mod upgrade;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Guard, Mount, VOLUME};
use crate::killing::supervisor_of;

/// For so long a server must have served for its being killed not to count against it.
const SOUND: Duration = Duration::from_millis(300);

/// Kills the server and waits until another one serves; returns that one.
#[track_caller]
fn kill_and_wait(mount: &Mount) -> Pid {
    let server = mount.server_pid();
    kill_process(server, Signal::KILL).unwrap();
    let next = await_other(mount, server);
    std::thread::sleep(SOUND);
    next
}

/// Waits until another server than `server` serves.
#[track_caller]
fn await_other(mount: &Mount, server: Pid) -> Pid {
    let start = Instant::now();
    loop {
        let next = mount.server_pid();
        if next != server {
            return next;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no other server comes"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn inspected(mount: &Mount, key: &str) -> String {
    let format = format!("{{{{.{key}}}}}");
    let text = mount.cask(&["inspect", VOLUME, "--format", &format]);
    text.trim().to_owned()
}

#[test]
fn a_file_without_a_name_lives_on_and_is_freed_at_its_end() {
    let Some(mount) = Mount::new() else { return };
    let bytes = crate::harness::Random::new(3).bytes(300_000);
    let make = |name: &str| {
        let path = mount.path().join(name);
        fs::write(&path, &bytes).unwrap();
        File::options().read(true).write(true).open(path).unwrap()
    };
    let remove = |name: &str| fs::remove_file(mount.path().join(name)).unwrap();
    let (mut before, mut after) = (make("before"), make("after"));
    remove("before");
    kill_and_wait(&mount);
    // One that the server that is there now removes, and of which another one told the kernel.
    remove("after");
    for round in 0..2_u8 {
        for file in [&mut before, &mut after] {
            file.write_all_at(&[round], 7).unwrap();
            rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            let mut found = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut found).unwrap();
            assert_eq!(found.len(), bytes.len());
            assert_eq!(found[7], round);
            assert!(found[8..] == bytes[8..]);
        }
        kill_and_wait(&mount);
    }
    // Long enough for the server to have asked the kernel.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(inspected(&mount, "Usage.Inodes"), "3");
    drop((before, after));
    wait_until("what had no name is freed", || {
        inspected(&mount, "Usage.Inodes") == "1"
    });
}

#[test]
fn every_mount_goes_on_also_of_a_snapshot() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "old").unwrap();
    mount.cask(&["snapshot", "v@s"]);
    fs::write(mount.path().join("file"), "new").unwrap();
    let (second, snapshot) = (
        mount.sandbox().subdir("second"),
        mount.sandbox().subdir("snapshot"),
    );
    mount.mount_at(&second);
    mount.cask(&["mount", "v@s", &snapshot.to_string_lossy()]);
    let lock = File::create(mount.path().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    for round in 0..3 {
        kill_and_wait(&mount);
        let read = |dir: &std::path::Path| fs::read_to_string(dir.join("file")).unwrap();
        assert_eq!(read(&mount.path()), "new", "round {round}");
        assert_eq!(read(&second), "new");
        assert_eq!(read(&snapshot), "old");
        // The kernel has this in its cache; what it asks the server for must be there as well.
        crate::harness::drop_caches();
        assert_eq!(read(&mount.path()), "new");
        assert_eq!(read(&snapshot), "old");
        let other = File::open(second.join("lock")).unwrap();
        let taken = rustix::fs::flock(&other, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        assert_eq!(taken, Err(rustix::io::Errno::WOULDBLOCK));
        fs::write(second.join(format!("{round}")), "x").unwrap();
    }
    drop(lock);
    let third = mount.sandbox().subdir("third");
    mount.mount_at(&third);
    assert!(third.join("2").exists());
    mount.umount();
    mount.mount();
    assert!(mount.path().join("2").exists());
}

#[test]
fn the_server_is_killed_while_it_is_idle_and_the_volume_is_unmounted_in_order() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "x").unwrap();
    let server = mount.server_pid();
    let supervisor = supervisor_of(server).unwrap();
    assert_eq!(
        inspected(&mount, "Server.Keeper"),
        supervisor.as_raw_nonzero().to_string()
    );
    kill_process(server, Signal::KILL).unwrap();
    // Without waiting for the next one.
    mount.umount();
    let gone = || fs::metadata(format!("/proc/{}", supervisor.as_raw_nonzero())).is_err();
    wait_until("the keeper ends", gone);
    mount.mount();
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"x");
}

#[test]
fn a_server_that_dies_again_and_again_stays_down_and_says_why() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    let mut open = File::create(&path).unwrap();
    open.write_all(b"safe").unwrap();
    open.sync_all().unwrap();
    let supervisor = supervisor_of(mount.server_pid()).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", supervisor.as_raw_nonzero());
    let (start, mut killed) = (Instant::now(), Vec::new());
    let is_down = || inspected_while_dying(&mount).contains("died 5 times");
    while !(killed.len() >= 5 && is_down()) {
        assert!(start.elapsed() < Duration::from_secs(30), "it goes on");
        let child = fs::read_to_string(&children).unwrap_or_default();
        if let Ok(pid) = child.trim().parse::<i32>()
            && !killed.contains(&pid)
        {
            killed.push(pid);
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).ok();
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let error = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    assert_eq!(
        error(fs::create_dir(mount.path().join("d"))),
        Some(libc::EIO)
    );
    assert_eq!(error(open.sync_all()), Some(libc::EIO));
    let doctor = mount.try_cask(&["doctor"]);
    assert!(
        doctor.stdout.contains("is down: its server died 5 times"),
        "{}",
        doctor.output()
    );
    let measured = mount.cask(&["metrics"]);
    let down = format!("cask_volume_down{{volume=\"{VOLUME}\"}} 1\n");
    assert!(measured.contains(&down), "{measured}");
    drop(open);
    mount.umount();
    mount.mount();
    assert_eq!(fs::read(&path).unwrap(), b"safe");
    assert_eq!(inspected(&mount, "Down"), "");
}

/// Whatever ends the servers, and however long each has served.
#[test]
fn a_request_that_server_after_server_dies_of_is_given_up() {
    let Some((mount, blocked)) = mount_with_blocked("endless") else {
        return;
    };
    let path = mount.path();
    let endless = path.join("endless");
    fs::write(path.join("file"), "safe").unwrap();
    let reading = std::thread::spawn({
        let endless = endless.clone();
        move || fs::read(endless)
    });
    std::thread::sleep(SOUND);
    // Others that come and are answered count for nothing.
    for round in 0..4 {
        kill_and_wait(&mount);
        fs::create_dir(path.join(format!("{round}"))).unwrap();
        assert!(!reading.is_finished());
    }
    kill_process(mount.server_pid(), Signal::KILL).unwrap();
    wait_until("it is answered", || reading.is_finished());
    let error = reading.join().unwrap().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    let reason = "its server died 5 times in one and the same request";
    wait_until("it says why", || {
        inspected_while_dying(&mount).contains(reason)
    });
    let doctor = mount.try_cask(&["doctor"]).stdout;
    assert!(doctor.contains(reason), "{doctor}");
    let log = fs::read_to_string(mount.volume_dir().join("server.log")).unwrap();
    assert!(log.contains(reason), "{log}");
    mount.umount();
    blocked.end();
    mount.mount();
    assert_eq!(fs::read(path.join("file")).unwrap(), b"safe");
    // One that ends has as many servers as somebody likes to kill.
    for _ in 0..6 {
        kill_and_wait(&mount);
        // The kernel has it in its cache.
        let file = File::open(&endless).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        assert_eq!(fs::read(&endless).unwrap(), b"ends");
    }
}

/// Has strace kill each of these processes, and of those that they start, as it begins to sync the log.
fn kill_at_sync(mount: &Mount, processes: &[Pid]) -> Guard {
    let trace = mount.sandbox().dir().join("strace.log");
    let mut strace = Command::new("strace");
    for process in processes {
        strace.args(["-p", &process.as_raw_nonzero().to_string()]);
    }
    strace
        .args(["-f", "-e", "trace=fdatasync", "-P"])
        .arg(mount.volume_dir().join("meta.db-wal"))
        .args(["-e", "inject=fdatasync:signal=KILL", "-o", "/dev/null"])
        .stderr(File::create(&trace).unwrap())
        .stdout(Stdio::null());
    let guard = Guard::spawn(&mut strace);
    wait_until("strace is there", || {
        let attached = fs::read_to_string(&trace).unwrap();
        attached.matches("attached").count() >= processes.len()
    });
    guard
}

/// No thread waits with it that has read it: it is under way all the same.
#[test]
fn an_fsync_that_server_after_server_dies_of_is_given_up() {
    if crate::harness::lacks_program(&["strace"]) {
        return;
    }
    let Some(mount) = Mount::new() else {
        return;
    };
    let file = File::create(mount.path().join("file")).unwrap();
    std::thread::sleep(SOUND);
    let server = mount.server_pid();
    let supervisor = supervisor_of(server).unwrap();
    let strace = kill_at_sync(&mount, &[supervisor, server]);
    let error = rustix::fs::fsync(&file).unwrap_err();
    drop(file);
    assert_eq!(error, rustix::io::Errno::IO);
    let reason = "its server died 5 times in one and the same request";
    wait_until("it says why", || {
        inspected_while_dying(&mount).contains(reason)
    });
    drop(strace);
    mount.umount();
    mount.mount();
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"");
}

#[test]
fn an_fsync_that_a_server_dies_of_is_answered_by_the_next() {
    if crate::harness::lacks_program(&["strace"]) {
        return;
    }
    let Some(mount) = Mount::new() else {
        return;
    };
    let mut file = File::create(mount.path().join("file")).unwrap();
    file.write_all(b"synced").unwrap();
    std::thread::sleep(SOUND);
    let server = mount.server_pid();
    let strace = kill_at_sync(&mount, &[server]);
    file.sync_all().unwrap();
    drop(strace);
    assert_ne!(await_other(&mount, server), server);
    drop(file);
    mount.umount();
    mount.mount();
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"synced");
}

#[test]
fn a_request_that_waits_keeps_no_other_waiting() {
    let Some((mount, blocked)) = mount_with_blocked("waiting") else {
        return;
    };
    let path = mount.path();
    let waiting = path.join("waiting");
    let make = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            fs::create_dir(path.join(format!("{number}"))).unwrap();
        }
    };
    // So many that each of the server's threads has had one, and only one reads on.
    make(0..64);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| fs::read(&waiting).unwrap());
        std::thread::sleep(SOUND);
        let others = scope.spawn(|| make(64..128));
        wait_until("others are answered", || others.is_finished());
        assert!(!reading.is_finished());
        blocked.end();
        kill_process(mount.server_pid(), Signal::KILL).unwrap();
        assert_eq!(reading.join().unwrap(), b"ends");
    });
}

/// A mount with a file of that name, of which a read never ends.
#[track_caller]
fn mount_with_blocked(called: &str) -> Option<(Mount, Blocked)> {
    let mount = Mount::new()?;
    mount.umount();
    mount_untuned(&mount);
    fs::write(mount.path().join(called), "ends").unwrap();
    // After a kill recovery opens the segments from the last mark on, which was set before the last close: with two
    // closes more that is behind this one.
    for _ in 0..2 {
        mount.umount();
        mount_untuned(&mount);
    }
    mount.umount();
    let blocked = Blocked::new(the_only_segment(&mount));
    mount_untuned(&mount);
    Some((mount, blocked))
}

/// With a background that leaves a small volume alone: whose segments are read is up to the test.
fn mount_untuned(mount: &Mount) {
    let mut command = mount.command(&["mount", VOLUME, &mount.path().to_string_lossy()]);
    crate::harness::run_ok(command.env_remove("CASK_TUNING"), 60);
    mount.sandbox().note_connections();
}

/// The segment file of a volume that has one; it is closed, and takes no more records.
fn the_only_segment(mount: &Mount) -> PathBuf {
    let found = fs::read_dir(mount.volume_dir().join("segments")).unwrap();
    let [segment] = &found.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()[..] else {
        panic!("not one segment");
    };
    segment.clone()
}

/// A file that a pipe stands in for: open(2) of one for reading waits until somebody writes to it (fifo(7)), which
/// nobody does.
struct Blocked {
    path: PathBuf,
    kept: PathBuf,
}

impl Blocked {
    fn new(path: PathBuf) -> Self {
        let kept = path.with_extension("kept");
        fs::rename(&path, &kept).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        Self { path, kept }
    }

    /// The file is there again.
    fn end(self) {
        fs::rename(self.kept, self.path).unwrap();
    }
}

fn inspected_while_dying(mount: &Mount) -> String {
    mount
        .try_cask(&["inspect", VOLUME, "--format", "{{.Down}}"])
        .stdout
}

#[test]
fn on_an_older_kernel_what_was_in_flight_fails_and_the_rest_goes_on() {
    let Some(mount) = Mount::new() else { return };
    mount.umount();
    let path = mount.path();
    let mut command = mount.command(&["mount", VOLUME, &path.to_string_lossy()]);
    crate::harness::run_ok(command.env("CASK_RESEND", "off"), 60);
    mount.sandbox().note_connections();
    fs::write(path.join("file"), "x").unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    let work = |name: String| {
        let (mut done, mut failed) = (0, 0);
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            let dir = path.join(format!("{name}-{done}-{failed}"));
            match fs::create_dir(dir) {
                Ok(()) => done += 1,
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
                    failed += 1;
                }
            }
        }
        (done, failed)
    };
    let work = &work;
    let counts: Vec<(u32, u32)> = std::thread::scope(|scope| {
        let start = |i| scope.spawn(move || work(format!("{i}")));
        let workers: Vec<_> = (0..4).map(start).collect();
        std::thread::sleep(SOUND);
        for _ in 0..5 {
            kill_and_wait(&mount);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    let sum = |pick: fn(&(u32, u32)) -> u32| counts.iter().map(pick).sum::<u32>();
    eprintln!("{} done, {} failed", sum(|c| c.0), sum(|c| c.1));
    assert!(sum(|c| c.0) > 100 && sum(|c| c.1) <= 5 * 5);
    assert_eq!(fs::read(path.join("file")).unwrap(), b"x");
}

#[test]
fn a_large_write_that_is_on_its_way_to_a_server_when_it_is_killed_is_not_lost() {
    let Some(mount) = Mount::new() else { return };
    let mut random = crate::harness::Random::new(crate::harness::seed());
    let path = mount.path().join("file");
    for round in 0..15 {
        std::thread::sleep(SOUND);
        // A server that has just begun has had no large request yet.
        let (server, bytes) = (mount.server_pid(), random.bytes(16 << 20));
        std::thread::scope(|scope| {
            let written = scope.spawn(|| {
                let file = File::create(&path)?;
                file.write_all_at(&bytes, 0)?;
                file.sync_all()
            });
            std::thread::sleep(Duration::from_micros(4000 + random.below(20_000)));
            kill_process(server, Signal::KILL).unwrap();
            let written = written.join().unwrap();
            written.unwrap_or_else(|error| panic!("round {round}: {error}"));
        });
        assert!(fs::read(&path).unwrap() == bytes, "round {round}");
        await_other(&mount, server);
    }
}
