//! A host that reaches the engine, with cask and a root of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cask::remote::{Key, Remotes};

use super::engines::Endpoint;
use super::writing::noise;

/// Bytes of an object, and requests at once.
const OBJECT_BYTES: usize = 16 << 20;
const AT_ONCE: usize = 4;
/// Longer than any program takes to mount.
const READY_MAX: Duration = Duration::from_secs(30);
/// Where all objects are.
pub(crate) const BUCKET: &str = "bench";

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

    /// Runs cask, which must succeed: the one that was built with this, or `CASK_BIN`.
    pub(crate) fn cask(&self, arguments: &[&str]) {
        let built = || env!("CARGO_BIN_EXE_cask").into();
        let mut command = Command::new(std::env::var_os("CASK_BIN").unwrap_or_else(built));
        command
            .env("CASK_ROOT", self.dir.join("root"))
            .env("AWS_ACCESS_KEY_ID", &self.endpoint.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.endpoint.secret_key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .args(arguments);
        if arguments.starts_with(&["remote", "add"]) {
            command.arg("--key-file").arg(self.dir.join("key"));
            command.args(["--endpoint", &self.endpoint.url(), "--region", "us-east-1"]);
        }
        assert!(command.status().unwrap().success(), "cask {arguments:?}");
    }

    /// Objects of so many bytes, by the client that cask uses and with as many requests at once.
    pub(crate) fn raw_put(&self, bytes: u64) -> Duration {
        let object: cask::remote::Bytes = noise(OBJECT_BYTES, 9).into();
        self.raw(bytes, |shelf, key| shelf.put(key, object.clone()).unwrap())
    }

    /// The same objects, back.
    pub(crate) fn raw_get(&self, bytes: u64) -> Duration {
        self.raw(bytes, |shelf, key| drop(shelf.get(key).unwrap()))
    }

    /// The same, to files that are synced: what anybody does at least who keeps them.
    pub(crate) fn raw_get_to_files(&self, bytes: u64) -> Duration {
        let dir = self.dir.join("raw");
        fs::create_dir(&dir).unwrap();
        let took = self.raw(bytes, |shelf, key| {
            let (object, _) = shelf.get(key).unwrap();
            let mut file = File::create(dir.join(key.last())).unwrap();
            file.write_all(&object).unwrap();
            file.sync_all().unwrap();
        });
        fs::remove_dir_all(&dir).unwrap();
        took
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

/// Waits for what is about to be.
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < READY_MAX, "it did not come about");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reads a file, some of it at a time.
pub(crate) fn read_all(path: &Path) {
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer).unwrap() > 0 {}
}
