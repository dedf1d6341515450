//! A directory of one test: where it lives, who may run it, how long it may take.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use super::cleanup;

/// What the name of every sandbox begins with; the pid of its test follows.
pub(super) const PREFIX: &str = "cask-test-";

/// A directory on the disk that other users may enter, gone at the end with all that is mounted in it.
pub(crate) struct Sandbox {
    dir: PathBuf,
    connections: Arc<Mutex<Vec<u32>>>,
}

impl Sandbox {
    /// Makes the sandbox, or says what is missing and returns `None`; under `CI` that is a failure.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        if let Some(missing) = missing() {
            skip(&missing);
            return None;
        }
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| {
            mount_fusectl();
            cleanup::sweep(&base());
        });
        // Six letters always: pjdfstest miscounts PATH_MAX for some lengths of its directory.
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{:07}-", std::process::id()))
            .tempdir_in(base())
            .unwrap()
            .keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let sandbox = Self {
            dir,
            connections: Arc::default(),
        };
        sandbox.start_watchdog();
        Some(sandbox)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a directory in the sandbox, open to all.
    #[track_caller]
    pub(crate) fn subdir(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    /// Tells the watchdog which FUSE connections are this test's.
    pub(crate) fn note_connections(&self) {
        let found = mounts_below(&self.dir)
            .into_iter()
            .filter(|mount| mount.is_fuse);
        let mut known = self.connections.lock().unwrap();
        for mount in found {
            if !known.contains(&mount.device_minor) {
                known.push(mount.device_minor);
            }
        }
    }

    /// After the time limit: aborts the connections, or a process that waits for one could not even be
    /// killed; then ends the test.
    fn start_watchdog(&self) {
        let (connections, dir) = (Arc::clone(&self.connections), self.dir.clone());
        let limit = super::budget_secs(150, 3300);
        std::thread::spawn(move || {
            std::thread::sleep(limit);
            eprintln!(
                "watchdog: {} s are over, aborting {}",
                limit.as_secs(),
                dir.display()
            );
            for minor in connections.lock().unwrap().iter() {
                cleanup::abort_connection(*minor);
            }
            std::thread::sleep(Duration::from_secs(5));
            std::process::abort();
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let complaints = cleanup::clean_up(&self.dir);
        if !complaints.is_empty() && !std::thread::panicking() {
            panic!("left behind by the test: {complaints:?}");
        }
    }
}

/// One line of `/proc/self/mountinfo`.
pub(crate) struct MountInfo {
    pub(crate) mountpoint: PathBuf,
    pub(crate) device_minor: u32,
    pub(crate) is_fuse: bool,
    pub(crate) options: String,
}

/// The mounts below `dir`, the youngest first. Touches none of them.
pub(crate) fn mounts_below(dir: &Path) -> Vec<MountInfo> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut found: Vec<_> = text.lines().filter_map(parse_mount).collect();
    found.retain(|mount| mount.mountpoint.starts_with(dir));
    found.reverse();
    found
}

fn parse_mount(line: &str) -> Option<MountInfo> {
    let (before, after) = line.split_once(" - ")?;
    let fields: Vec<_> = before.split(' ').collect();
    Some(MountInfo {
        mountpoint: PathBuf::from(fields.get(4)?),
        device_minor: fields.get(2)?.split_once(':')?.1.parse().ok()?,
        is_fuse: after.starts_with("fuse"),
        options: (*fields.get(5)?).to_owned(),
    })
}

/// Where sandboxes are made: `CASK_TEST_DIR`, else `/tmp` or `$TMPDIR`.
fn base() -> PathBuf {
    std::env::var_os("CASK_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// What keeps mounted tests from running here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mounted tests need root".to_owned());
    }
    if !Path::new("/dev/fuse").exists() {
        return Some("mounted tests need /dev/fuse".to_owned());
    }
    None
}

/// Says why a test does nothing. Under `CI` nothing may be missing.
#[track_caller]
pub(crate) fn skip(missing: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "CI must not skip: {missing}"
    );
    eprintln!("skipped: {missing}");
}

/// Says so, and returns true, where no loop device can be had (in a container).
#[track_caller]
pub(crate) fn no_loop_device() -> bool {
    let missing = !Path::new("/dev/loop-control").exists();
    if missing {
        skip("needs /dev/loop-control");
    }
    missing
}

/// Drops the kernel's caches. Where that is not allowed (in a container), says so and returns false.
#[track_caller]
pub(crate) fn drop_caches() -> bool {
    rustix::fs::sync();
    let result = fs::write("/proc/sys/vm/drop_caches", "3");
    if let Err(error) = &result {
        skip(&format!("cannot drop caches: {error}"));
    }
    result.is_ok()
}

/// Says so, and returns true, where no Docker daemon answers.
#[track_caller]
pub(crate) fn docker_missing() -> bool {
    let done = super::run(
        std::process::Command::new("sh").args(["-c", "docker info"]),
        60,
    );
    let missing = !done.status.success();
    if missing {
        skip("no Docker daemon answers");
    }
    missing
}

/// Says so, and returns true, where one of these programs is not to be found.
#[track_caller]
pub(crate) fn lacks_program(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing =
        |name: &&&str| !std::env::split_paths(&path).any(|dir| dir.join(name).exists());
    let missing = programs.iter().find(is_missing);
    if let Some(name) = missing {
        skip(&format!("there is no {name}"));
    }
    missing.is_some()
}

/// `/sys/fs/fuse/connections`, where a dead connection is aborted, is not mounted on every machine.
fn mount_fusectl() {
    let dir = "/sys/fs/fuse/connections";
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    if !mounts.contains(" - fusectl ") {
        // Not in a container without the right; then the watchdog can only end the test.
        drop(
            std::process::Command::new("mount")
                .args(["-t", "fusectl", "fusectl", dir])
                .status(),
        );
    }
}
