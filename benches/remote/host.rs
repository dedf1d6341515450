//! A host that reaches the engine: cask, and other programs with places of their own in the bucket.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cask::remote::{Key, Remotes};

use super::engines::{Endpoint, Engine};

/// Bytes of an object, and requests at once.
const OBJECT_BYTES: usize = 16 << 20;
const AT_ONCE: usize = 4;
const BUCKET: &str = "bench";

/// A host, whose root goes with it.
pub(crate) struct Host {
    pub(crate) dir: PathBuf,
    endpoint: Endpoint,
    prefix: String,
    _scratch: tempfile::TempDir,
}

impl Host {
    pub(crate) fn new(endpoint: &Endpoint, prefix: &str) -> Self {
        // Who was first has made it.
        endpoint.request("PUT", &format!("/{BUCKET}"), b"");
        let scratch = tempfile::Builder::new()
            .prefix("cask-bench-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let host = Self {
            dir: scratch.path().to_owned(),
            endpoint: endpoint.clone(),
            prefix: prefix.to_owned(),
            _scratch: scratch,
        };
        let key = host.dir.join("key");
        fs::write(&key, [7; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        host
    }

    /// Another host that has the same repository.
    pub(crate) fn another(&self) -> Self {
        let other = Self::new(&self.endpoint, &self.prefix);
        other.cask(&["remote", "add", "r", &other.url()]);
        other
    }

    pub(crate) fn url(&self) -> String {
        format!("s3://{BUCKET}/{}", self.prefix)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("CASK_ROOT", self.dir.join("root"))
            .env("AWS_ACCESS_KEY_ID", &self.endpoint.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.endpoint.secret_key)
            .env("RESTIC_PASSWORD", "bench")
            .env("RESTIC_CACHE_DIR", self.dir.join("restic"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Runs cask, which must succeed.
    pub(crate) fn cask(&self, arguments: &[&str]) {
        let mut command = self.command(env!("CARGO_BIN_EXE_cask"));
        command.args(arguments);
        if arguments.starts_with(&["remote", "add"]) {
            command.arg("--key-file").arg(self.dir.join("key"));
            command.args(["--endpoint", &self.endpoint.url(), "--region", "us-east-1"]);
        }
        assert!(command.status().unwrap().success(), "cask {arguments:?}");
    }

    /// Objects of so many bytes, by the client that cask uses and with as many requests at once.
    pub(crate) fn raw_put(&self, bytes: u64) -> Duration {
        self.raw(bytes, |shelf, key| {
            shelf.put(key, vec![9; OBJECT_BYTES].into()).unwrap();
        })
    }

    /// The same objects, back.
    pub(crate) fn raw_get(&self, bytes: u64) -> Duration {
        self.raw(bytes, |shelf, key| drop(shelf.get(key).unwrap()))
    }

    fn raw(&self, bytes: u64, act: impl Fn(&dyn cask::remote::Shelf, &Key) + Sync) -> Duration {
        let count = usize::try_from(bytes).unwrap() / OBJECT_BYTES;
        let remotes = Remotes::below(&self.dir.join("root"));
        let repository = self.with_environment(|| {
            let dir = remotes.dir_of(&"r".parse().unwrap());
            dir.open().unwrap()
        });
        timed(|| {
            thread::scope(|scope| {
                for first in 0..AT_ONCE {
                    let (act, repository) = (&act, &repository);
                    scope.spawn(move || {
                        for number in (first..count).step_by(AT_ONCE) {
                            act(repository.shelf(), &Key::new(format!("raw/{number:08}")));
                        }
                    });
                }
            });
        })
    }

    /// `None` where there is no restic.
    pub(crate) fn restic_backup(&self, files: &Path) -> Option<Duration> {
        if !is_there("restic") {
            return None;
        }
        if !self.dir.join("restic-is-there").exists() {
            self.restic(&["init"]);
            fs::write(self.dir.join("restic-is-there"), b"").unwrap();
        }
        Some(timed(|| {
            self.restic(&["backup", files.to_str().unwrap()]);
        }))
    }

    pub(crate) fn restic_restore(&self) -> Option<Duration> {
        let to = self.dir.join("restored");
        is_there("restic").then(|| {
            timed(|| {
                self.restic(&["restore", "latest", "--target", to.to_str().unwrap()]);
            })
        })
    }

    fn restic(&self, arguments: &[&str]) {
        let address = format!("s3:{}/{BUCKET}/restic-{}", self.endpoint.url(), self.prefix);
        let mut command = self.command("restic");
        command.args(["-q", "-r", &address]).args(arguments);
        assert!(command.status().unwrap().success(), "restic {arguments:?}");
    }

    /// `None` where there is no rclone.
    pub(crate) fn rclone_copy(&self, files: &Path) -> Option<Duration> {
        let program = Engine::program("rclone")?;
        let to = format!(
            ":s3,provider=Other,env_auth=true,region=us-east-1,endpoint='{}':{BUCKET}/rclone-{}",
            self.endpoint.url(),
            self.prefix
        );
        Some(timed(|| {
            let mut command = self.command(program.to_str().unwrap());
            command.args(["copy", files.to_str().unwrap(), &to]);
            assert!(command.status().unwrap().success(), "rclone");
        }))
    }

    /// The client takes credentials out of the environment of this process.
    fn with_environment<T>(&self, act: impl FnOnce() -> T) -> T {
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", &self.endpoint.access_key),
            ("AWS_SECRET_ACCESS_KEY", &self.endpoint.secret_key),
        ] {
            set_variable(name, value);
        }
        act()
    }
}

#[expect(unsafe_code, reason = "nothing else sets what this process sees")]
fn set_variable(name: &str, value: &str) {
    // SAFETY: called between two measurements, while no other thread runs that reads the environment.
    unsafe { std::env::set_var(name, value) }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// What the host's kernel holds of files is forgotten.
pub(crate) fn drop_caches() {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", b"3").unwrap();
}

pub(crate) fn timed(act: impl FnOnce()) -> Duration {
    let since = Instant::now();
    act();
    since.elapsed()
}

/// Reads a file, some of it at a time.
pub(crate) fn read_all(path: &Path) {
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer).unwrap() > 0 {}
}
