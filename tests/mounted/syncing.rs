//! `fsync` is honest: the server syncs segment and log before it returns, and an error is not forgotten.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Signal, kill_process};

use crate::harness::{Guard, Mount, VOLUME, run_ok};
use crate::killing::kill_for_good;

/// strace attached to the volume's server.
struct Trace {
    guard: Guard,
    dir: PathBuf,
}

/// A mount whose collector does not sync what the test is about to.
#[track_caller]
fn calm_mount() -> Option<Mount> {
    let mount = Mount::new()?;
    mount.umount();
    let mut command = mount.command(&["mount", VOLUME, &mount.path().to_string_lossy()]);
    run_ok(command.env_remove("CASK_TUNING"), 60);
    mount.sandbox().note_connections();
    Some(mount)
}

impl Trace {
    #[track_caller]
    fn attach(mount: &Mount, name: &str, expressions: &[&str]) -> Self {
        let dir = mount.sandbox().subdir(name);
        let server = mount.server_pid().as_raw_nonzero().to_string();
        let said = File::create(dir.join("said")).unwrap();
        let mut strace = Command::new("strace");
        // One file a thread, so that no call is split into two lines.
        strace
            .args(["-ff", "-y", "-ttt", "-T", "-p", &server, "-o"])
            .arg(dir.join("thread"));
        for expression in expressions {
            strace.args(["-e", expression]);
        }
        let guard = Guard::spawn(strace.stderr(said));
        let start = Instant::now();
        while !fs::read_to_string(dir.join("said"))
            .unwrap()
            .contains("attached")
        {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "strace does not attach"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // Each thread is attached after the first.
        std::thread::sleep(Duration::from_millis(200));
        Self { guard, dir }
    }

    /// Detaches. Returns the calls that ran wholly between the two moments.
    #[track_caller]
    fn calls(mut self, begin: f64, end: f64) -> Vec<String> {
        self.guard.signal(Signal::INT);
        self.guard.wait(Duration::from_secs(20)).unwrap();
        let is_trace = |path: &PathBuf| path.file_name().unwrap() != "said";
        let files = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let text: Vec<_> = files
            .filter(is_trace)
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        let lines = text.iter().flat_map(|text| text.lines());
        let inside = |line: &&str| span(line).is_some_and(|(from, to)| from >= begin && to <= end);
        lines.filter(inside).map(str::to_owned).collect()
    }
}

/// When the call of an strace line began and ended.
fn span(line: &str) -> Option<(f64, f64)> {
    let begin: f64 = line.split_whitespace().next()?.parse().ok()?;
    let took: f64 = line.rsplit_once('<')?.1.strip_suffix('>')?.parse().ok()?;
    Some((begin, begin + took))
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// Runs `act` under strace; what it asked for must have reached a file whose name contains each of `paths`.
#[track_caller]
fn check_syncs(name: &str, mount: &Mount, paths: &[&str], act: impl FnOnce(&Path)) {
    let trace = Trace::attach(
        mount,
        name,
        &["trace=fsync,fdatasync,sync_file_range,syncfs"],
    );
    let begin = now();
    act(&mount.path());
    let end = now();
    let calls = trace.calls(begin, end);
    eprintln!(
        "{name}: {} syncs in {:.1} ms\n{}",
        calls.len(),
        (end - begin) * 1e3,
        calls.join("\n")
    );
    for path in paths {
        let reached = calls
            .iter()
            .any(|call| call.contains(path) && call.contains("= 0"));
        assert!(
            reached,
            "{name}: {path} was not synced before the call returned: {calls:#?}"
        );
    }
}

#[test]
fn fsync_of_a_file_reaches_segment_and_log_before_it_returns() {
    let Some(mount) = calm_mount() else { return };
    let bytes = crate::harness::Random::new(7).bytes(1 << 20);
    let mut file = File::create_new(mount.path().join("file")).unwrap();
    file.write_all(&bytes).unwrap();
    check_syncs("fsync", &mount, &["/segments/", "meta.db-wal"], |_| {
        file.sync_all().unwrap();
    });
    file.write_all(&bytes[100..]).unwrap();
    check_syncs("fdatasync", &mount, &["/segments/", "meta.db-wal"], |_| {
        file.sync_data().unwrap();
    });
}

#[test]
fn fsync_of_a_directory_reaches_the_log_before_it_returns() {
    let Some(mount) = calm_mount() else { return };
    fs::create_dir(mount.path().join("dir")).unwrap();
    check_syncs("directory", &mount, &["meta.db-wal"], |path| {
        fs::write(path.join("dir/one"), "x").unwrap();
        fs::rename(path.join("dir/one"), path.join("dir/two")).unwrap();
        File::open(path.join("dir")).unwrap().sync_all().unwrap();
    });
}

#[test]
fn an_append_with_o_dsync_reaches_the_disk() {
    use std::os::unix::fs::OpenOptionsExt as _;
    let Some(mount) = calm_mount() else { return };
    let mut options = File::options();
    options
        .append(true)
        .create(true)
        .custom_flags(libc::O_DSYNC);
    let mut file = options.open(mount.path().join("log")).unwrap();
    check_syncs("O_DSYNC", &mount, &["meta.db-wal"], |_| {
        file.write_all(&[7; 4096]).unwrap();
    });
}

/// A file whose fsync the disk let fail, once; it works again.
#[track_caller]
fn file_that_was_not_synced(mount: &Mount) -> File {
    let mut file = File::create_new(mount.path().join("file")).unwrap();
    file.write_all(&[7; 300_000]).unwrap();
    let inject = "inject=fsync,fdatasync:error=EIO";
    let trace = Trace::attach(mount, "inject", &["trace=fsync,fdatasync", inject]);
    assert!(file.sync_all().is_err(), "the disk failed, fsync did not");
    drop(trace);
    file
}

#[test]
fn a_failed_fsync_is_reported_and_not_forgotten_on_retry() {
    let Some(mount) = calm_mount() else { return };
    let file = file_that_was_not_synced(&mount);
    // What the disk lost nobody can write again: success would be a lie.
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        file.sync_all().is_err(),
        "the retry claims that the bytes are safe"
    );
    drop(file);
    // Unmounting says so too; the next mount starts from what had reached the disk.
    let done = mount.try_cask(&["umount", crate::harness::VOLUME]);
    assert!(
        !done.status.success(),
        "nothing was said: {}",
        done.output()
    );
    mount.mount();
    let file = File::create_new(mount.path().join("another")).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn a_server_that_takes_over_after_a_failed_fsync_takes_no_writes_either() {
    let Some(mount) = calm_mount() else { return };
    let file = file_that_was_not_synced(&mount);
    for _ in 0..2 {
        let server = mount.server_pid();
        kill_process(server, Signal::KILL).unwrap();
        while mount.server_pid() == server {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(
            file.sync_all().is_err(),
            "the next server claims that the bytes are safe"
        );
        assert!(File::create_new(mount.path().join("late")).is_err());
        assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1);
    }
    drop(file);
    let done = mount.try_cask(&["umount", crate::harness::VOLUME]);
    assert!(!done.status.success(), "{}", done.output());
    mount.mount();
    let file = File::create_new(mount.path().join("another")).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn readers_go_on_while_their_file_is_removed() {
    let Some(mount) = calm_mount() else { return };
    let path = mount.path().join("file");
    let bytes = crate::harness::Random::new(8).bytes(8 << 20);
    fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for round in 0..5_u64 {
        fs::write(mount.path().join(format!("other-{round}")), &bytes[1..]).unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let mut found = vec![0; bytes.len()];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut found, 0).unwrap();
        assert!(found == bytes, "other bytes in round {round}");
    }
}

#[test]
fn a_server_that_takes_over_makes_durable_what_the_dead_one_left() {
    let Some(mount) = calm_mount() else {
        return;
    };
    fs::write(mount.path().join("closed"), [7; 300_000]).unwrap();
    kill_for_good(mount.server_pid());
    while fs::metadata(mount.path()).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    // In the foreground the traced program is the server.
    let trace = mount.sandbox().dir().join("takeover");
    let (name, mountpoint) = (volume_name(&mount), mount.path());
    let cask = mount.command(&["mount", "--foreground", &name]);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&trace)
        .arg(cask.get_program());
    let root = cask
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    strace.envs(root).args(cask.get_args()).arg(&mountpoint);
    let mut server = Guard::spawn(&mut strace);
    let start = Instant::now();
    while fs::read(mountpoint.join("closed")).ok() != Some(vec![7; 300_000]) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it is not mounted again"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let text = fs::read_to_string(&trace).unwrap();
    let synced = |line: &str| line.contains("sync(") && line.contains("00000001.seg");
    assert!(text.lines().any(synced), "{text}");
    mount.umount();
    server.wait(Duration::from_secs(20)).unwrap();
}

fn volume_name(mount: &Mount) -> String {
    mount
        .volume_dir()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}
