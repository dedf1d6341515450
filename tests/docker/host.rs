//! A host of one test: dockerd, the plugin and a root of volumes, all below one sandbox and gone with it.
//!
//! The dockerd runs in a mount namespace where the sandbox's `plugins` is `/run/docker/plugins`: it finds this test's
//! plugin under the name `cask`, and no other dockerd does. Mounts that the plugin makes reach it by propagation.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Guard, Sandbox, lacks_program, mounts_below, run, run_ok, sh, short_or_long};

/// What the plugin is told instead of its usual delays, which are for people.
pub(crate) const LINGER: Duration = Duration::from_millis(300);
pub(crate) const LINGER_STALE: Duration = Duration::from_millis(1000);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The engine, the plugin and their volumes.
pub(crate) struct Host {
    plugin: Option<Guard>,
    dockerd: Option<Guard>,
    /// Holds the mount namespace of the engine.
    namespace: Option<Guard>,
    sandbox: Sandbox,
}

impl Host {
    /// A host with a plugin and a dockerd, or `None` with a word about what is missing.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        let mut host = Self::with_programs(&["docker", "dockerd", "nsenter", "unshare"])?;
        host.make_namespace();
        host.start_plugin();
        host.start_dockerd(&[]);
        Some(host)
    }

    /// A host with a plugin only.
    #[track_caller]
    pub(crate) fn without_engine() -> Option<Self> {
        let mut host = Self::with_programs(&[])?;
        host.start_plugin();
        Some(host)
    }

    /// A host on which nothing runs yet.
    #[track_caller]
    pub(crate) fn with_programs(programs: &[&str]) -> Option<Self> {
        let sandbox = Sandbox::new()?;
        if lacks_program(programs) {
            return None;
        }
        for name in ["run", "plugins", "containerd", "root", "etc"] {
            sandbox.subdir(name);
        }
        // Shared: the engine's namespace gets what is mounted here.
        let script = r#"mount --bind "$1" "$1"; mount --make-shared "$1""#;
        sh(script, &[&sandbox.dir().join("run")]);
        Some(Self {
            plugin: None,
            dockerd: None,
            namespace: None,
            sandbox,
        })
    }

    fn make_namespace(&mut self) {
        // What other tests have mounted by now goes from this namespace: it would hold it after they have unmounted it.
        let script = r#"findmnt -rno TARGET -t fuse.cask | while read -r other; do
                case $other in "$1"/*) ;; *) umount -l "$other" 2>/dev/null || : ;; esac
            done
            mount --bind "$1/plugins" /run/docker/plugins
            mount --bind "$1/containerd" /run/containerd; touch "$1/is-ready"; exec tail -f "$1/is-ready""#;
        fs::create_dir_all("/run/docker/plugins").unwrap();
        fs::create_dir_all("/run/containerd").unwrap();
        let mut command = Command::new("unshare");
        command.args([
            "-m",
            "--propagation",
            "slave",
            "sh",
            "-ec",
            script,
            "namespace",
        ]);
        self.namespace = Some(Guard::spawn(command.arg(self.dir())));
        wait_for("the engine's namespace", || {
            self.dir().join("is-ready").exists()
        });
    }

    pub(crate) fn dir(&self) -> &Path {
        self.sandbox.dir()
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Starts the plugin, in place of one that ran before.
    #[track_caller]
    pub(crate) fn start_plugin(&mut self) {
        let mut command = self.cask(&["docker", "serve"]);
        let dir = self.dir();
        command.arg("--socket").arg(self.docker_socket());
        command.arg("--podman-socket").arg(self.podman_socket());
        command.arg("--run-dir").arg(dir.join("run"));
        for (option, delay) in [("--linger-ms", LINGER), ("--linger-stale-ms", LINGER_STALE)] {
            command.arg(option).arg(delay.as_millis().to_string());
        }
        command.env("RUST_LOG", "info,cask::docker=debug");
        command.stderr(append(&dir.join("plugin.log")));
        self.plugin = Some(Guard::spawn(&mut command));
        let answers = |socket: &Path| std::os::unix::net::UnixStream::connect(socket).is_ok();
        wait_for("the plugin", || {
            answers(&self.docker_socket()) && answers(&self.podman_socket())
        });
    }

    /// `kill -9`.
    pub(crate) fn kill_plugin(&mut self) {
        self.plugin = None;
    }

    pub(crate) fn plugin_pid(&self) -> u32 {
        self.plugin.as_ref().unwrap().pid()
    }

    pub(crate) fn docker_socket(&self) -> PathBuf {
        self.dir().join("plugins/cask.sock")
    }

    pub(crate) fn podman_socket(&self) -> PathBuf {
        self.dir().join("run/podman.sock")
    }

    /// Starts a dockerd and waits until it answers.
    #[track_caller]
    pub(crate) fn start_dockerd(&mut self, options: &[&str]) {
        self.begin_dockerd(options);
        self.wait_for_dockerd();
    }

    /// Starts a dockerd.
    #[track_caller]
    pub(crate) fn begin_dockerd(&mut self, options: &[&str]) {
        let dir = self.dir().to_owned();
        fs::write(dir.join("etc/daemon.json"), "{}").unwrap();
        // One that was killed leaves it, and its number may be somebody's by now.
        drop(fs::remove_file(dir.join("dockerd.pid")));
        let mut command = Command::new("nsenter");
        let namespace = self.namespace.as_ref().unwrap().pid().to_string();
        command.args(["-m", "-t", &namespace, "dockerd"]);
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "dockerd.pid"),
            ("--config-file", "etc/daemon.json"),
        ] {
            command.arg(option).arg(dir.join(name));
        }
        command.args(["-H", &self.docker_address(), "--log-level=warn"]);
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--shutdown-timeout=2",
        ]);
        // Where containerd leaves its stacks when dockerd gives it up.
        command.env("TMPDIR", &dir);
        let log = append(&dir.join("dockerd.log"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.dockerd = Some(Guard::spawn(command.args(options)));
    }

    #[track_caller]
    pub(crate) fn wait_for_dockerd(&self) {
        wait_for("dockerd", || {
            run(&mut self.docker(&["info"]), 60).status.success()
        });
    }

    /// `kill -9`: containers live on.
    pub(crate) fn kill_dockerd(&mut self) {
        self.dockerd = None;
        // Its containerd goes with it, but is a zombie where nobody reaps; a dockerd would take that for alive.
        drop(fs::remove_file(
            self.dir().join("exec/containerd/containerd.pid"),
        ));
    }

    pub(crate) fn docker_address(&self) -> String {
        format!("unix://{}", self.dir().join("docker.sock").display())
    }

    /// A `docker` command for this host's dockerd.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_CONFIG", self.dir().join("etc"));
        command.args(["-H", &self.docker_address()]).args(arguments);
        command
    }

    /// Runs `docker`, which must succeed. Returns what it prints, without the newline.
    #[track_caller]
    pub(crate) fn docker_ok(&self, arguments: &[&str]) -> String {
        let out = run_ok(&mut self.docker(arguments), short_or_long(120, 600));
        // The watchdog shall know what to abort.
        self.sandbox.note_connections();
        out.trim_end().to_owned()
    }

    /// Runs `docker`, which must fail and say each of `words`.
    #[track_caller]
    pub(crate) fn docker_fails(&self, arguments: &[&str], words: &[&str]) {
        assert_fails(&mut self.docker(arguments), words);
    }

    /// What `docker volume inspect` says of a volume.
    #[track_caller]
    pub(crate) fn docker_volume(&self, name: &str) -> serde_json::Value {
        let text = self.docker_ok(&["volume", "inspect", name]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[0].take()
    }

    /// Runs a script in a new container with the volume at `/data`; returns what it prints.
    #[track_caller]
    pub(crate) fn run_in(&self, volume: &str, script: &str) -> String {
        self.docker_ok(&run_arguments(&["--rm"], volume, script))
    }

    /// Starts a container by the name of `name`.
    #[track_caller]
    pub(crate) fn start_container(&self, name: &str, volume: &str, script: &str) {
        self.docker_ok(&run_arguments(&["-d", "--name", name], volume, script));
    }

    /// A `cask` command with this host's root.
    pub(crate) fn cask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::harness::binary());
        command
            .env("CASK_ROOT", self.dir().join("root"))
            .env("DOCKER_HOST", self.docker_address())
            .args(arguments);
        command
    }

    /// Runs `cask`, which must succeed.
    #[track_caller]
    pub(crate) fn cask_ok(&self, arguments: &[&str]) -> String {
        run_ok(&mut self.cask(arguments), 60).trim_end().to_owned()
    }

    /// Runs `cask`, which must fail and say each of `words`.
    #[track_caller]
    pub(crate) fn cask_fails(&self, arguments: &[&str], words: &[&str]) {
        assert_fails(&mut self.cask(arguments), words);
    }

    /// What `cask inspect` says of a volume.
    #[track_caller]
    pub(crate) fn inspect(&self, name: &str) -> serde_json::Value {
        let text = self.cask_ok(&["inspect", name]);
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[0].take()
    }

    /// The volumes that are there, one a line.
    #[track_caller]
    pub(crate) fn volumes(&self) -> Vec<String> {
        let text = self.cask_ok(&["ls", "-q"]);
        text.lines().map(str::to_owned).collect()
    }

    /// Where the plugin mounts a volume.
    pub(crate) fn place(&self, volume: &str) -> PathBuf {
        self.dir().join("run/mounts").join(volume)
    }

    /// What the plugin has mounted.
    pub(crate) fn mounted(&self) -> Vec<String> {
        let dir = self.dir().join("run/mounts");
        let mounts = mounts_below(&dir).into_iter();
        let name = |place: PathBuf| place.file_name().unwrap().to_string_lossy().into_owned();
        mounts.map(|mount| name(mount.mountpoint)).collect()
    }

    #[track_caller]
    pub(crate) fn wait_until_unmounted(&self) {
        wait_for("nothing is mounted", || self.mounted().is_empty());
        let left = fs::read_dir(self.dir().join("run/mounts")).unwrap();
        wait_for("the mountpoints go", || {
            fs::read_dir(self.dir().join("run/mounts"))
                .unwrap()
                .next()
                .is_none()
        });
        drop(left);
    }

    /// Waits until no server has the volume open.
    #[track_caller]
    pub(crate) fn wait_until_closed(&self, volume: &str) {
        wait_for("the volume is closed", || {
            self.inspect(volume)["Server"].is_null()
        });
    }

    fn end_containers(&self) {
        let done = run(&mut self.docker(&["ps", "-aq"]), 60);
        let ids: Vec<_> = done.stdout.split_whitespace().collect();
        if !ids.is_empty() {
            drop(run(self.docker(&["rm", "-fv"]).args(ids), 120));
        }
    }

    fn tell_logs(&self) {
        for name in ["plugin.log", "dockerd.log"] {
            let log = fs::read_to_string(self.dir().join(name)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(15)..];
            eprintln!("--- {name}\n{}", end.join("\n"));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_logs();
        }
        if let Some(mut dockerd) = self.dockerd.take() {
            self.end_containers();
            dockerd.signal(Signal::TERM);
            dockerd.wait(Duration::from_secs(20));
        }
        // What a dockerd that was killed left.
        crate::harness::kill_contained(self.dir());
        self.plugin = None;
        self.namespace = None;
    }
}

/// The arguments of `docker run`.
pub(crate) fn run_arguments<'a>(
    options: &[&'a str],
    volume: &'a str,
    script: &'a str,
) -> Vec<&'a str> {
    let mut arguments = vec!["run", "--network=none", "--volume-driver=cask"];
    arguments.extend(options);
    // Leaked for the few that a test has: the arguments are all `&str`.
    let mount: &'static str = Box::leak(mount_argument(volume).into_boxed_str());
    arguments.extend(["-v", mount, super::image::BUSYBOX, "sh", "-ec", script]);
    arguments
}

/// `db` at `/data`; `db:ro` is for reading.
fn mount_argument(volume: &str) -> String {
    match volume.split_once(':') {
        Some((name, options)) => format!("{name}:/data:{options}"),
        None => format!("{volume}:/data"),
    }
}

fn append(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}

/// Runs a command that must fail and say each of `words`.
#[track_caller]
pub(crate) fn assert_fails(command: &mut Command, words: &[&str]) {
    let done = run(command, 60);
    assert!(!done.status.success(), "{command:?}: {}", done.output());
    for word in words {
        assert!(
            done.stderr.contains(word),
            "no {word:?}: {command:?}: {}",
            done.output()
        );
    }
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < WAIT_MAX, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
