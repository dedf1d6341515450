//! A host: a root of its own, in which the program runs, and the store that it pushes to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::engines::{Endpoint, Engine, Kind};
use crate::proxy::Proxy;
use crate::support::{Bench, Outcome};

/// Longer than any command may take that meets a store which fails.
const WAIT_MAX: Duration = Duration::from_secs(150);
/// Where the objects of all tests are.
pub(crate) const BUCKET: &str = "cask-tests";
/// What the tests' key files hold.
pub(crate) const KEY: &[u8; 32] = b"thirty-two bytes of a key file!!";

/// A store that a test has for itself.
pub(crate) enum Store {
    Dir(TempDir),
    Bucket {
        endpoint: Box<Endpoint>,
        prefix: String,
        /// Ends with the last who needs it.
        _engine: Box<Engine>,
    },
}

/// A root, and what its commands know of a store.
pub(crate) struct Host {
    pub(crate) bench: Bench,
    address: Vec<String>,
    environment: Vec<(&'static str, String)>,
    tuning: Tuning,
    give_up_after: Option<Duration>,
}

/// How much servers do in the background.
#[derive(PartialEq, Eq)]
enum Tuning {
    /// As the run of the tests says.
    OfTests,
    Usual,
}

impl Store {
    pub(crate) fn dir() -> Self {
        Self::Dir(tempfile::tempdir().unwrap())
    }

    /// A part of a bucket for itself; `None` where there is no such engine. One bucket for all: each takes some of the
    /// volumes that SeaweedFS may have.
    #[track_caller]
    pub(crate) fn bucket(kind: Kind) -> Option<Self> {
        let engine = Engine::any(kind)?;
        // Whether it was there already, not every engine tells.
        engine.endpoint.put(&format!("/{BUCKET}"), b"");
        let own = tempfile::tempdir().unwrap();
        let own = own.path().file_name().unwrap().to_str().unwrap();
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Some(Self::Bucket {
            endpoint: Box::new(engine.endpoint.clone()),
            prefix: format!(
                "{}/{}-{}",
                clock.tv_sec,
                clock.tv_nsec,
                own.trim_start_matches('.')
            ),
            _engine: Box::new(engine),
        })
    }

    /// A host that reaches it.
    pub(crate) fn host(&self) -> Host {
        match self {
            Self::Dir(dir) => {
                let url = format!("file://{}", dir.path().join("repository").display());
                Host::new(vec![url], Vec::new())
            }
            Self::Bucket {
                endpoint, prefix, ..
            } => bucket_host(endpoint, prefix),
        }
    }

    /// A host that reaches it by way of a proxy.
    pub(crate) fn host_through(&self, proxy: &Proxy) -> Host {
        let Self::Bucket {
            endpoint, prefix, ..
        } = self
        else {
            panic!("a directory has no proxy");
        };
        bucket_host(&endpoint.through(proxy.address()), prefix)
    }

    pub(crate) fn proxy(&self) -> Proxy {
        let Self::Bucket { endpoint, .. } = self else {
            panic!("a directory has no proxy");
        };
        Proxy::before(endpoint.address)
    }

    /// Where the objects are.
    pub(crate) fn objects(&self) -> PathBuf {
        let Self::Dir(dir) = self else {
            panic!("a bucket has no directory");
        };
        dir.path().join("repository")
    }
}

fn bucket_host(endpoint: &Endpoint, prefix: &str) -> Host {
    let address = [
        format!("s3://{BUCKET}/{prefix}"),
        format!("--endpoint={}", endpoint.url()),
        format!("--region={}", endpoint.region),
    ];
    let environment = vec![
        ("AWS_ACCESS_KEY_ID", endpoint.access_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", endpoint.secret_key.clone()),
    ];
    Host::new(address.to_vec(), environment)
}

impl Host {
    fn new(address: Vec<String>, environment: Vec<(&'static str, String)>) -> Self {
        let host = Self {
            bench: Bench::new(),
            address,
            environment,
            tuning: Tuning::OfTests,
            give_up_after: None,
        };
        fs::create_dir(host.bench.path("mnt")).unwrap();
        host.write_secret("key", KEY);
        host
    }

    /// The same, whose servers work in the background as those of users do.
    pub(crate) fn untuned(mut self) -> Self {
        self.tuning = Tuning::Usual;
        self
    }

    /// The same, which gives a store up earlier than is usual.
    pub(crate) fn gives_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = Some(time);
        self
    }

    /// The same, with a repository of its own below the store's.
    pub(crate) fn below(mut self, name: &str) -> Self {
        self.address[0] = format!("{}/{name}", self.address[0]);
        self
    }

    /// A file that only its owner may read.
    pub(crate) fn write_secret(&self, name: &str, bytes: &[u8]) {
        let path = self.bench.path(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Makes a repository in the store, as the remote `r`.
    #[track_caller]
    pub(crate) fn create(&self) -> Outcome {
        self.add(&["--create", "--key-file=key"]).succeeds()
    }

    /// Adds the repository in the store as the remote `r`, with more arguments.
    pub(crate) fn add(&self, more: &[&str]) -> Outcome {
        let mut command = self.command(&["remote", "add", "r"]);
        command.args(&self.address).args(more);
        finish(&mut command)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(arguments);
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "CASK_REMOTE_KEY_FILE",
        ] {
            command.env_remove(name);
        }
        if let Some(time) = self.give_up_after {
            let millis = time.as_millis().to_string();
            command.env("CASK_REMOTE_GIVE_UP_MS", millis);
        }
        if self.tuning == Tuning::Usual {
            command.env_remove("CASK_TUNING");
        }
        command.envs(self.environment.iter().cloned());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        finish(&mut self.command(arguments))
    }

    /// Starts the program; its output goes to files.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        let file = |name| fs::File::create(self.bench.path(name)).unwrap();
        command.stdin(Stdio::null()).stdout(file("out"));
        command.stderr(file("err")).spawn().unwrap()
    }

    /// Pushes `state`; the line that ends it, as JSON.
    #[track_caller]
    pub(crate) fn push(&self, state: &str) -> serde_json::Value {
        let done = self.run(&["push", state, "--format", "json"]).succeeds();
        last_json(&done.out)
    }

    /// The repository is whole.
    #[track_caller]
    pub(crate) fn verify(&self) -> Outcome {
        self.run(&["remote", "check", "--read-data"]).succeeds()
    }

    /// Makes the volume `name` with `file`, which holds these bytes.
    #[track_caller]
    pub(crate) fn make_volume(&self, name: &str, files: &[(&str, &[u8])]) {
        let from = self.bench.path(&format!("{name}-files"));
        fs::create_dir(&from).unwrap();
        for (file, bytes) in files {
            fs::write(from.join(file), bytes).unwrap();
        }
        self.run(&["import", name, from.to_str().unwrap()])
            .succeeds();
    }

    /// Has this host read none of the snapshots in the repository.
    pub(crate) fn forget_read_snapshots(&self) {
        let kept = self.bench.path("root/remotes/r/cache/snapshots");
        drop(fs::remove_dir_all(kept));
    }

    /// What `file` holds in a volume of this host.
    #[track_caller]
    pub(crate) fn read(&self, volume: &str, file: &str) -> Vec<u8> {
        let to = self.bench.path("copied");
        let from = format!("{volume}:/{file}");
        drop(fs::remove_file(&to));
        self.run(&["cp", &from, to.to_str().unwrap()]).succeeds();
        fs::read(&to).unwrap()
    }

    /// The names of the volumes of this host.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let listed = self.run(&["ls", "--format", "{{.Name}}"]).succeeds().out;
        listed.lines().map(str::to_owned).collect()
    }

    /// What is in the directory of volumes, with a dot before or not.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.bench.path("root/volumes")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
        names.sort();
        names
    }
}

pub(crate) fn last_json(text: &str) -> serde_json::Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let file = |name| fs::File::create(dir.path().join(name)).unwrap();
    let command = command.stdin(Stdio::null()).stdout(file("out"));
    let mut child = command.stderr(file("err")).spawn().unwrap();
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > WAIT_MAX {
            child.kill().unwrap();
            panic!("{command:?} takes too long");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |name| fs::read(dir.path().join(name)).unwrap();
    Outcome {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&text("out")).into_owned(),
        err: String::from_utf8_lossy(&text("err")).into_owned(),
    }
}
