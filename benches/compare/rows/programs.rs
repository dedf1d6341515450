//! Real programs: tar, git, PostgreSQL, SQLite.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measuring::{Scale, open_to_all, timed};
use crate::table::Sample;
use crate::target::{Target, settle};

pub(crate) const UNTAR_ROWS: &[&str] = &["untar sources"];
pub(crate) const GIT_ROWS: &[&str] = &["git clone", "git status warm"];
pub(crate) const PGBENCH_ROWS: &[&str] = &["pgbench"];
pub(crate) const SQLITE_ROWS: &[&str] = &["sqlite transactions", "sqlite transactions, WAL"];

/// Runs a shell script that must succeed; `$1`, `$2` ... are `arguments`. Returns what it printed.
fn sh(script: &str, arguments: &[&Path]) -> String {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(arguments);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A tar of real sources, made once: the crates that cargo has unpacked, up to some size.
fn sources(scale: &Scale, scratch: &Path) -> PathBuf {
    let tar = scratch.join("sources.tar");
    if !tar.exists() {
        let script = r#"cd "${CARGO_HOME:-$HOME/.cargo}/registry/src/"*/
            ls | awk 'NR % 3 != 0' | while read -r crate; do
                du -sm "$crate"; done | awk -v most="$2" '{sum += $1; if (sum <= most) print $2}' |
                tar -cf "$1" -T -"#;
        sh(script, &[&tar, scale.tree_mib.to_string().as_ref()]);
    }
    tar
}

pub(crate) fn measure_untar(target: &mut Target, scale: &Scale, scratch: &Path) -> Vec<Sample> {
    let tar = sources(scale, scratch);
    let dir = target.fresh_dir("untar");
    let count = sh(r#"tar -tf "$1" | wc -l"#, &[&tar])
        .trim()
        .parse()
        .unwrap();
    settle();
    let sample = timed(UNTAR_ROWS[0], count, || {
        sh(r#"tar -xf "$1" -C "$2""#, &[&tar, &dir]);
    });
    fs::remove_dir_all(dir).unwrap();
    vec![sample]
}

const GIT: &str = "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1; ";

pub(crate) fn measure_git(target: &mut Target, scale: &Scale, scratch: &Path) -> Vec<Sample> {
    let source = scratch.join("repository");
    if !source.exists() {
        let script = r#"mkdir "$2"; tar -xf "$1" -C "$2"; cd "$2"; git init -q -b main; git add -A
            git -c user.name=x -c user.email=x@example.org commit -qm sources"#;
        sh(
            &format!("{GIT}{script}"),
            &[&sources(scale, scratch), &source],
        );
    }
    let clone = target.fresh_dir("git").join("clone");
    settle();
    // Rates in 1/s say little; as clones an hour they have digits.
    let clone_sample = timed(GIT_ROWS[0], 3600, || {
        sh(
            &format!(r#"{GIT}git clone -q "file://$1" "$2""#),
            &[&source, &clone],
        );
    });
    let status = format!(r#"{GIT}git -C "$1" status --porcelain | wc -l"#);
    sh(&status, &[&clone]);
    let status_sample = timed(GIT_ROWS[1], 3600, || {
        assert_eq!(sh(&status, &[&clone]).trim(), "0");
    });
    fs::remove_dir_all(clone.parent().unwrap()).unwrap();
    vec![clone_sample, status_sample]
}

/// TPC-B with four clients, in transactions a second.
pub(crate) fn measure_pgbench(target: &mut Target, scale: &Scale, scratch: &Path) -> Vec<Sample> {
    let dir = target.fresh_dir("pgbench");
    let rate = run_pgbench(&dir, scale, scratch);
    fs::remove_dir_all(dir).unwrap();
    vec![Sample {
        row: PGBENCH_ROWS[0],
        rate,
        latencies: None,
    }]
}

/// Makes a cluster in `dir` and runs pgbench on it; transactions a second.
pub(super) fn run_pgbench(dir: &Path, scale: &Scale, scratch: &Path) -> f64 {
    let socket = scratch.join("socket");
    fs::create_dir_all(&socket).unwrap();
    open_to_all(&socket);
    let script = r#"
        dir=$1 socket=$2 scale=$3 seconds=$4; bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
        as() { (cd / && runuser -u postgres -- env PGHOST="$socket" "$bin/$@"); }
        chown postgres "$dir"
        as initdb -D "$dir/data" --auth=trust >/dev/null
        as pg_ctl -D "$dir/data" -w -l "$socket/log" -o "-c listen_addresses= -k $socket" start >/dev/null
        trap 'as pg_ctl -D "$dir/data" -m fast -w stop >/dev/null' EXIT
        as createdb bench; as pgbench -i -q -s "$scale" bench 2>/dev/null
        as pgbench -c 4 -j 2 -T "$seconds" bench 2>/dev/null | awk '/^tps/ {print $3}'"#;
    settle();
    let arguments = [scale.pgbench_scale, scale.pgbench_seconds].map(Path::new);
    let tps = sh(script, &[dir, &socket, arguments[0], arguments[1]]);
    tps.trim()
        .parse()
        .unwrap_or_else(|_| panic!("pgbench said {tps:?}"))
}

/// One insert a transaction, with a rollback journal and with a log.
pub(crate) fn measure_sqlite(target: &mut Target, scale: &Scale, scratch: &Path) -> Vec<Sample> {
    let dir = target.fresh_dir("sqlite");
    let mut samples = Vec::new();
    for (row, mode) in SQLITE_ROWS.iter().zip(["delete", "wal"]) {
        let (database, script) = (dir.join(mode), scratch.join("transactions.sql"));
        let insert = "insert into t(v) values (hex(randomblob(50)));\n";
        fs::write(&script, insert.repeat(scale.transactions)).unwrap();
        sh(
            &format!(
                "sqlite3 \"$1\" 'pragma journal_mode={mode}; create table t(id integer primary key, v)' >/dev/null"
            ),
            &[&database],
        );
        settle();
        samples.push(timed(row, scale.transactions, || {
            let mut sqlite = Command::new("sqlite3");
            sqlite
                .args(["-cmd", "pragma synchronous=full"])
                .arg(&database);
            let status = sqlite
                .stdin(File::open(&script).unwrap())
                .stdout(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }));
    }
    fs::remove_dir_all(dir).unwrap();
    samples
}
