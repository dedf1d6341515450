//! A PostgreSQL cluster on a mount: filled, worked on by four clients, checked, dumped, restored.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Mount, run, run_ok, sh, short_or_long};

/// A running cluster; stopped when this goes.
pub(crate) struct Cluster {
    bin: PathBuf,
    data: PathBuf,
    socket: PathBuf,
}

impl Cluster {
    #[track_caller]
    pub(crate) fn create(mount: &Mount) -> Self {
        let socket = mount.sandbox().subdir("socket");
        let data = mount.path().join("cluster");
        sh(r#"mkdir "$2"; chown postgres "$1" "$2""#, &[&socket, &data]);
        let cluster = Self {
            bin: programs(),
            data,
            socket,
        };
        let data = cluster.data.display().to_string();
        run_ok(
            &mut cluster.command("initdb", &["-D", &data, "--auth=trust"]),
            100,
        );
        cluster.start();
        cluster
    }

    /// Starts a cluster that was copied to `data` while it ran; it recovers.
    #[track_caller]
    pub(crate) fn recover(mount: &Mount, data: PathBuf) -> Self {
        let socket = mount.sandbox().dir().join("other-socket");
        sh(
            r#"mkdir -p "$1"; chown postgres "$1"; rm -f "$2/postmaster.pid""#,
            &[&socket, &data],
        );
        let cluster = Self {
            bin: programs(),
            data,
            socket,
        };
        cluster.start();
        cluster
    }

    /// One of PostgreSQL's programs, run as its user.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("runuser");
        command
            .args(["-u", "postgres", "--"])
            .arg(self.bin.join(program))
            .args(arguments);
        command
            .env("PGHOST", &self.socket)
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        run_ok(
            &mut self.command(program, arguments),
            short_or_long(100, 1800),
        )
    }

    #[track_caller]
    fn query(&self, sql: &str) -> String {
        self.run(
            "psql",
            &["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "bench", "-c", sql],
        )
    }

    #[track_caller]
    fn start(&self) {
        let (data, log) = (self.data.display(), self.socket.join("log"));
        let options = format!("-c listen_addresses= -k {}", self.socket.display());
        let log = log.to_str().unwrap();
        self.run(
            "pg_ctl",
            &[
                "-D",
                &data.to_string(),
                "-w",
                "-l",
                log,
                "-o",
                &options,
                "start",
            ],
        );
    }

    fn stop(&self, mode: &str) {
        let data = self.data.display().to_string();
        let arguments = ["-D", &data, "-w", "-m", mode, "stop"];
        drop(run(&mut self.command("pg_ctl", &arguments), 100));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("immediate");
    }
}

/// Debian's newest PostgreSQL.
#[track_caller]
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let mut versions: Vec<_> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    versions.pop().unwrap().join("bin")
}

#[test]
fn a_postgresql_cluster_lives_on_a_mount() {
    let Some(mount) = Mount::new() else { return };
    let cluster = Cluster::create(&mount);
    cluster.run("createdb", &["bench"]);
    cluster.run("pgbench", &["-i", "-q", "-s", "4", "bench"]);
    let seconds = short_or_long("8", "120");
    let report = cluster.run("pgbench", &["-c", "4", "-j", "2", "-T", seconds, "bench"]);
    let speed = report
        .lines()
        .find(|line| line.starts_with("tps"))
        .unwrap_or_default();
    eprintln!("pgbench: {speed}");
    assert!(
        report.contains("number of failed transactions: 0 "),
        "{report}"
    );
    check_balance(&cluster);
    cluster.run(
        "pg_amcheck",
        &[
            "--install-missing",
            "--heapallindexed",
            "--parent-check",
            "bench",
        ],
    );
    check_restore(&cluster, &mount.sandbox().dir().join("socket"));
    let before = cluster.query("select count(*), sum(bid), sum(aid) from pgbench_history");

    cluster.stop("fast");
    mount.remount();
    cluster.start();
    assert_eq!(
        cluster.query("select count(*), sum(bid), sum(aid) from pgbench_history"),
        before
    );
    check_balance(&cluster);
}

/// TPC-B's invariant: accounts, tellers, branches and the history agree.
#[track_caller]
pub(crate) fn check_balance(cluster: &Cluster) {
    let sums = cluster.query(
        "select (select sum(abalance) from pgbench_accounts) = s and \
         (select sum(tbalance) from pgbench_tellers) = s and \
         (select sum(bbalance) from pgbench_branches) = s \
         from (select coalesce(sum(delta), 0) s from pgbench_history) h",
    );
    assert_eq!(sums.trim(), "t", "the balances differ");
}

/// A dump restored into another database dumps to the same bytes.
#[track_caller]
fn check_restore(cluster: &Cluster, scratch: &Path) {
    let [first, second] = ["first.sql", "second.sql"].map(|name| scratch.join(name));
    let [first, second] = [&first, &second].map(|path| path.to_str().unwrap());
    cluster.run("createdb", &["copy"]);
    // The history has no key, so its order is not the dump's to keep.
    let dump = ["--no-owner", "-T", "pgbench_history", "-f"];
    cluster.run("pg_dump", &[&dump[..], &[first, "bench"]].concat());
    cluster.run(
        "psql",
        &["-Xq", "-v", "ON_ERROR_STOP=1", "-d", "copy", "-f", first],
    );
    cluster.run("pg_dump", &[&dump[..], &[second, "copy"]].concat());
    // pgbench's updates move rows about: compare the sorted lines.
    let [first, second] = [first, second].map(Path::new);
    // (`\restrict` carries a new random key in each dump.)
    let compare = r#"diff <(grep -v restrict "$1" | sort) <(grep -v restrict "$2" | sort)"#;
    sh(compare, &[first, second]);
}
