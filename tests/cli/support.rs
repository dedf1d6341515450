//! A root of volumes to try things in, and runs of the program with what came of them.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cask::server::mounts::{Mount, read_table};
use cask::volume::store::DirLock;
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

pub(crate) const CASK: &str = env!("CARGO_BIN_EXE_cask");
/// A new namespace begins with copies of all mounts: those of other tests would keep their volumes open.
const FORGET_MOUNTS: &str = r#"
    awk -v kept="$KEPT/" '$3 ~ /^fuse/ && $2 ~ /\/cask-test-/ && index($2, kept) != 1 {print $2}' \
        /proc/self/mounts | xargs -r umount -l"#;
/// Longer than any command may take.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A temporary directory with a root of volumes in it.
pub(crate) struct Bench {
    base: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // The name by which the mounted tests know what is nobody's any more, and what to forget.
        let base = TempDir::with_prefix(format!("cask-test-{:07}-", std::process::id())).unwrap();
        Self { base }
    }

    /// A bench with a volume `db` and a directory `mnt`.
    pub(crate) fn with_volume() -> Self {
        let bench = Self::new();
        bench.run(&["create", "db"]).succeeds();
        fs::create_dir(bench.path("mnt")).unwrap();
        bench
    }

    /// A bench with a volume `db` that is mounted at `mnt`.
    pub(crate) fn with_mount() -> Self {
        let bench = Self::with_volume();
        bench.run(&["mount", "db", &bench.text("mnt")]).succeeds();
        bench
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.base.path().join(below)
    }

    pub(crate) fn text(&self, below: &str) -> String {
        self.path(below).to_str().unwrap().to_owned()
    }

    pub(crate) fn volume_dir(&self, name: &str) -> PathBuf {
        self.path("root/volumes").join(name)
    }

    /// The program with this bench's root.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CASK);
        command.args(arguments).env("CASK_ROOT", self.path("root"));
        command.env_remove("RUST_LOG").current_dir(self.base.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments))
    }

    /// Runs a shell script in a mount namespace of its own, with the program as `$CASK`.
    pub(crate) fn unshared(&self, script: &str) -> Outcome {
        run(&mut self.unsharing(script))
    }

    /// A process that sleeps in a mount namespace of its own, with a copy of this bench's mounts.
    pub(crate) fn other_namespace(&self) -> Running {
        let other = start(&mut self.unsharing("exec sleep 1000"));
        let command = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm"));
        wait_for("the namespace is there", || {
            command(&other.id()).is_ok_and(|name| name == "sleep\n")
        });
        other
    }

    fn unsharing(&self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        let script = format!("{FORGET_MOUNTS}\n{script}");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script]);
        command
            .env("CASK", CASK)
            .env("CASK_ROOT", self.path("root"));
        command
            .env("KEPT", self.base.path())
            .current_dir(self.base.path());
        command
    }

    /// The mounts below this bench.
    pub(crate) fn mounts(&self) -> Vec<Mount> {
        let mut mounts = read_table().unwrap();
        mounts.retain(|mount| mount.mountpoint.starts_with(self.base.path()));
        mounts
    }

    /// The places of the mounts below this bench, and their options.
    pub(crate) fn mounted(&self) -> Vec<(PathBuf, String)> {
        let mounts = self.mounts().into_iter();
        mounts
            .map(|mount| (mount.mountpoint, mount.options))
            .collect()
    }

    /// Every path below the root and the size of every configuration: what a failing command must
    /// leave as it is. Logs and locks may come.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path(""), &mut found);
        found.sort();
        found
    }

    /// The process that serves `volume`.
    pub(crate) fn server_of(&self, volume: &str) -> rustix::process::Pid {
        let out = self
            .run(&["inspect", volume, "--format", "{{.Server.Pid}}"])
            .succeeds()
            .out;
        rustix::process::Pid::from_raw(out.trim().parse().unwrap()).unwrap()
    }

    /// Waits until nobody has `volume` open.
    #[track_caller]
    pub(crate) fn wait_until_closed(&self, volume: &str) {
        let dir = self.volume_dir(volume);
        wait_for("the volume is closed", || DirLock::take(&dir).is_ok());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for mount in self.mounts().iter().rev() {
            if let Err(e) = unmount(&mount.mountpoint, UnmountFlags::DETACH) {
                eprintln!("{} stays mounted: {e}", mount.mountpoint.display());
            }
        }
        // A server that is still ending may put a file into the directory that is being removed.
        let since = Instant::now();
        while fs::remove_dir_all(self.base.path()).is_err()
            && since.elapsed() < Duration::from_secs(5)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn list(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap();
        if !matches!(name, "lock" | ".lock" | "server.log") {
            let is_config = name == "volume.json";
            let text = if is_config {
                fs::read_to_string(&path).unwrap()
            } else {
                String::new()
            };
            found.push(format!("{} {text}", path.display()));
        }
        if path.is_dir() && !path.is_symlink() {
            list(&path, found);
        }
    }
}

/// Runs a shell script that must succeed, with `$1`, `$2` ... as its arguments and the program as `$CASK`.
#[track_caller]
pub(crate) fn sh(bench: &Bench, script: &str, arguments: &[&Path]) -> Outcome {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(arguments);
    command
        .env("CASK", CASK)
        .env("CASK_ROOT", bench.path("root"));
    run(command.current_dir(bench.path(""))).succeeds()
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let readers = (reader(child.stdout.take()), reader(child.stderr.take()));
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > WAIT_MAX {
            child.kill().unwrap();
            panic!("{command:?} takes too long");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Outcome {
        code: status.code().unwrap_or(-1),
        out: readers.0.join().unwrap(),
        err: readers.1.join().unwrap(),
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.unwrap().read_to_string(&mut text).unwrap();
        text
    })
}

impl Outcome {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// It failed with this code, and one line that holds each of these.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {self:?}");
        }
        assert!(self.out.is_empty(), "{self:?}");
        self
    }
}

/// A process that is ended with its guard.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a command that goes on until the guard is dropped.
pub(crate) fn start(command: &mut Command) -> Running {
    Running(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < WAIT_MAX, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether mounts can be made here. Where they must be (`CI` is set), their absence is a failure.
pub(crate) fn can_mount() -> bool {
    let missing = if !rustix::process::geteuid().is_root() {
        "root"
    } else if !Path::new("/dev/fuse").exists() {
        "/dev/fuse"
    } else {
        return true;
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "this test needs {missing}"
    );
    eprintln!("skipped: this test needs {missing}");
    false
}
