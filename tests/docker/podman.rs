//! Podman, as root, with a storage of the test's own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Guard, run_ok, sh};
use crate::host::{Host, assert_fails, wait_for};
use crate::image::{BUSYBOX, busybox_root};
use crate::remotes::Nas;

/// What these tests need beside Podman is named, not what it would find on a machine: of two runtimes that are
/// installed it takes crun, which refuses hosts with control groups of both versions.
pub(crate) const PROGRAMS: [&str; 2] = ["podman", RUNTIME];
const RUNTIME: &str = "runc";

/// Writes the configuration of a Podman that keeps its things below `base` into `dir`: nothing of the machine's own
/// counts.
#[track_caller]
pub(crate) fn configure(dir: &Path, base: &Path, socket: &Path) {
    let (base, socket) = (base.display(), socket.display());
    let config = format!(
        "[containers]\nnetns = \"none\"\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
         [engine]\nruntime = \"{RUNTIME}\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\n\
         [engine.volume_plugins]\ncask = \"{socket}\"\n"
    );
    fs::write(dir.join("containers.conf"), config).unwrap();
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\nrunroot = \"{base}/podman-run\"\ngraphroot = \"{base}/podman\"\n"
    );
    fs::write(dir.join("storage.conf"), storage).unwrap();
}

/// Podman with the host's plugin.
struct Podman {
    host: Host,
}

impl Podman {
    #[track_caller]
    fn new() -> Option<Self> {
        let mut host = Host::with_programs(&PROGRAMS)?;
        host.start_plugin();
        let socket = host.podman_socket();
        configure(&host.dir().join("etc"), host.dir(), &socket);
        let podman = Self { host };
        let root = busybox_root(&podman.host);
        let tar = podman.host.dir().join("image.tar");
        sh(r#"tar -C "$1" -cf "$2" ."#, &[&root, &tar]);
        podman.ok(&["import", "-q", tar.to_str().unwrap(), BUSYBOX]);
        Some(podman)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (mut command, dir) = (Command::new("podman"), self.host.dir());
        command.env("CONTAINERS_CONF", dir.join("etc/containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", dir.join("etc/storage.conf"));
        // Somebody else's Podman, or storage.
        for theirs in ["CONTAINER_HOST", "STORAGE_DRIVER", "STORAGE_OPTS"] {
            command.env_remove(theirs);
        }
        for (option, name) in [
            ("--root", "podman"),
            ("--runroot", "podman-run"),
            ("--tmpdir", "podman-tmp"),
        ] {
            command.arg(option).arg(dir.join(name));
        }
        command.args(arguments);
        command
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let out = run_ok(&mut self.command(arguments), 60);
        self.host.sandbox().note_connections();
        out.trim_end().to_owned()
    }

    #[track_caller]
    fn run(&self, options: &[&str], volume: &str, script: &str) -> Command {
        let mut command = self.command(&["run"]);
        let mount = format!("{volume}:/data");
        command
            .args(options)
            .args(["-v", &mount, BUSYBOX, "sh", "-ec", script]);
        command
    }

    #[track_caller]
    fn run_ok(&self, options: &[&str], volume: &str, script: &str) -> String {
        run_ok(&mut self.run(options, volume, script), 60)
            .trim_end()
            .to_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let drop_all = ["rm", "-af", "-t", "0"];
        drop(crate::harness::run(&mut self.command(&drop_all), 60));
    }
}

#[test]
fn podman_creates_lists_inspects_and_removes_volumes() {
    let Some(podman) = Podman::new() else { return };
    let create = [
        "volume",
        "create",
        "--driver",
        "cask",
        "-o",
        "size=64M",
        "-o",
        "uid=999",
        "-o",
        "mode=0700",
        "db",
    ];
    assert_eq!(podman.ok(&create), "db");
    assert_eq!(
        podman.ok(&["volume", "ls", "-q", "-f", "driver=cask"]),
        "db"
    );
    let shown: serde_json::Value =
        serde_json::from_str(&podman.ok(&["volume", "inspect", "db"])).unwrap();
    assert_eq!(shown[0]["Driver"], "cask");
    assert_eq!(shown[0]["Status"]["LimitBytes"], 64 << 20, "{shown}");
    let script = "df -k /data | tail -n 1 | awk '{print $2}'; stat -c '%u %a' /data";
    assert_eq!(podman.run_ok(&["--rm"], "db", script), "65536\n999 700");
    let refused = [
        "volume", "create", "--driver", "cask", "-o", "sise=1G", "other",
    ];
    assert_fails(&mut podman.command(&refused), &["sise"]);
    assert_eq!(podman.ok(&["volume", "rm", "db"]), "db");
    assert!(podman.host.volumes().is_empty());
    assert_eq!(podman.ok(&["volume", "ls", "-q"]), "");
}

#[test]
fn containers_of_podman_share_a_volume_one_after_the_other_and_at_once() {
    let Some(podman) = Podman::new() else { return };
    podman.ok(&["volume", "create", "--driver", "cask", "db"]);
    podman.run_ok(&["--rm"], "db", "echo kept > /data/f");
    podman.host.wait_until_unmounted();
    assert_eq!(podman.run_ok(&["--rm"], "db", "cat /data/f"), "kept");
    podman.ok(&[
        "run", "-d", "--name", "keeper", "-v", "db:/data", BUSYBOX, "sleep", "1000",
    ]);
    let script = "exec tool locked /data/number 1000";
    let mut running: Vec<_> = (0..2)
        .map(|_| Guard::spawn(&mut podman.run(&["--rm"], "db", script)))
        .collect();
    for one in &mut running {
        assert!(one.wait(Duration::from_secs(60)).unwrap().success());
    }
    assert_fails(&mut podman.command(&["volume", "rm", "db"]), &["db"]);
    podman.host.cask_fails(&["rm", "db"], &["db"]);
    std::thread::sleep(crate::host::LINGER * 2);
    assert_eq!(podman.host.mounted(), ["db"]);
    let bytes = fs::read(podman.host.place("db").join("number")).unwrap();
    assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()), 2000);
    podman.ok(&["rm", "-f", "-t", "0", "keeper"]);
    podman.host.wait_until_unmounted();
    podman.host.wait_until_closed("db");
    podman.ok(&["volume", "rm", "db"]);
}

#[test]
fn podman_uses_what_cask_creates() {
    let Some(podman) = Podman::new() else { return };
    podman.host.cask_ok(&["create", "db"]);
    // It learns of volumes when it is told to.
    podman.ok(&["volume", "reload"]);
    assert_eq!(
        podman.ok(&["volume", "ls", "-q", "-f", "driver=cask"]),
        "db"
    );
    podman.run_ok(&["--rm"], "db", "echo x > /data/f");
    podman.host.wait_until_unmounted();
    podman.host.cask_ok(&["snapshot", "db@snap"]);
    podman.ok(&[
        "volume",
        "create",
        "--driver",
        "cask",
        "-o",
        "from=db@snap",
        "copy",
    ]);
    assert_eq!(podman.run_ok(&["--rm"], "copy", "cat /data/f"), "x");
    podman.ok(&["volume", "rm", "copy", "db"]);
    wait_for("both are gone", || podman.host.volumes().is_empty());
}

#[test]
fn podman_makes_a_volume_of_a_snapshot_in_a_remote() {
    let Some(podman) = Podman::new() else { return };
    let nas = Nas::add(&podman.host);
    podman.host.cask_ok(&["create", "db"]);
    podman.ok(&["volume", "reload"]);
    podman.run_ok(&["--rm"], "db", "echo x > /data/f");
    podman.host.wait_until_unmounted();
    podman.host.cask_ok(&["snapshot", "db@snap"]);
    podman.host.cask_ok(&["push", "db@snap", "nas"]);
    let before = nas.content();
    let mut create = vec!["volume", "create", "--driver", "cask"];
    create.extend(["-o", "from=nas:db@snap", "-o", "prefetch=metadata", "far"]);
    podman.ok(&create);
    assert_eq!(podman.run_ok(&["--rm"], "far", "cat /data/f"), "x");
    podman.ok(&["volume", "rm", "far"]);
    wait_for("it is gone", || podman.host.volumes() == ["db"]);
    assert_eq!(nas.content(), before, "the remote is as it was");
}
