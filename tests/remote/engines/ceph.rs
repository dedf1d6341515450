//! Ceph: one monitor, one object store that keeps everything in memory, one S3 gateway.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Running;
use super::endpoint::Endpoint;
use super::home::Home;
use super::port::Port;
use super::process::Process;

pub(super) const PROGRAMS: [&str; 6] = [
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "radosgw",
    "radosgw-admin",
];

const ACCESS_KEY: &str = "cask";
const SECRET_KEY: &str = "ceph-secret";
/// What each of Ceph's commands may take, in seconds: they wait for the cluster.
const COMMAND_SECS: &str = "60";

pub(super) fn start(home: Home) -> Running {
    let [monitor, monitor_old, gateway] = [(); 3].map(|()| Port::reserve());
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    let addresses = format!(
        "[v2:127.0.0.1:{},v1:127.0.0.1:{}]",
        monitor.number, monitor_old.number
    );
    let config = config(&home, uuid.trim(), &addresses);
    let cluster = Cluster {
        config: home.file("ceph.conf", &config),
        home: &home,
    };
    cluster.make_keys();
    let monitor_process = cluster.start_monitor(uuid.trim());
    let store_process = cluster.start_store();
    cluster.make_user();
    let frontend = format!(
        "--rgw_frontends=beast endpoint=127.0.0.1:{}",
        gateway.number
    );
    let gateway_process = cluster.start("radosgw", &["-n", "client.admin", &frontend]);
    Running {
        // The gateway first: it would wait for the others.
        processes: vec![gateway_process, store_process, monitor_process],
        endpoint: Endpoint::new(gateway.number, ACCESS_KEY, SECRET_KEY),
        home,
        _ports: vec![monitor, monitor_old, gateway],
    }
}

/// One to be set up.
struct Cluster<'a> {
    config: String,
    home: &'a Home,
}

impl Cluster<'_> {
    /// It wants keys also where everybody is on loopback.
    fn make_keys(&self) {
        let keyring = self.home.text("keyring");
        for (name, caps) in [
            ("mon.", &["mon"][..]),
            ("client.admin", &["mon", "osd", "mgr", "mds"]),
            ("osd.0", &["mon", "osd", "mgr"]),
        ] {
            let mut arguments = vec![keyring.as_str(), "--gen-key", "-n", name];
            if !Path::new(&keyring).exists() {
                arguments.push("--create-keyring");
            }
            for cap in caps {
                arguments.extend(["--cap", cap, "allow *"]);
            }
            self.command("ceph-authtool", &arguments);
        }
    }

    fn start_monitor(&self, uuid: &str) -> Process {
        let keyring = self.home.text("keyring");
        let make = ["-i", "a", "--mkfs", "--fsid", uuid, "--keyring", &keyring];
        self.configured("ceph-mon", &make);
        let process = self.start("ceph-mon", &["-i", "a"]);
        self.configured("ceph", &["auth", "import", "-i", &keyring]);
        process
    }

    fn start_store(&self) -> Process {
        self.configured("ceph", &["osd", "create"]);
        self.configured("ceph-osd", &["-i", "0", "--mkfs"]);
        self.start("ceph-osd", &["-i", "0"])
    }

    fn make_user(&self) {
        self.configured(
            "radosgw-admin",
            &[
                "user",
                "create",
                "--uid=cask",
                "--display-name=cask",
                &format!("--access-key={ACCESS_KEY}"),
                &format!("--secret-key={SECRET_KEY}"),
            ],
        );
    }

    /// A daemon in the foreground.
    fn start(&self, program: &str, arguments: &[&str]) -> Process {
        let all = [&["-f", "-c", &self.config], arguments].concat();
        Process::start(self.home, program, &all)
    }

    /// A command that reads the configuration.
    fn configured(&self, program: &str, arguments: &[&str]) {
        self.command(program, &[&["-c", &self.config], arguments].concat());
    }

    fn command(&self, program: &str, arguments: &[&str]) {
        let log = self.home.log("commands");
        let mut command = Command::new("timeout");
        command.args([COMMAND_SECS, program]).args(arguments);
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let status = command.status().unwrap();
        assert!(
            status.success(),
            "{command:?}: {status}{}",
            self.home.logs()
        );
    }
}

fn config(home: &Home, uuid: &str, monitor: &str) -> String {
    let dir = home.text("");
    for name in ["mon", "osd", "run"] {
        home.subdir(name);
    }
    format!(
        "[global]
fsid = {uuid}
mon host = {monitor}
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {dir}keyring
run dir = {dir}run
admin socket = {dir}run/$name.asok
pid file = {dir}run/$name.pid
log file = {dir}$name.log
mon data = {dir}mon
osd data = {dir}osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = true
mon allow pool size one = true
mon warn on pool no redundancy = false
mon osd full ratio = .99
mon data avail warn = 1
mon data avail crit = 0
mon max pg per osd = 1000
rgw dns name = 127.0.0.1
rgw enable usage log = false
rgw thread pool size = 64
[mon.a]
host = localhost
public addrv = {monitor}
[osd.0]
host = localhost
public addr = 127.0.0.1
"
    )
}
