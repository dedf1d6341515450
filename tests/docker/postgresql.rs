//! PostgreSQL in a container on a volume: what the upgrade story of `docs/examples/compose.yaml` promises.

use std::fs;

use crate::harness::{lacks_program, short_or_long};
use crate::host::{Host, wait_for};
use crate::image::{POSTGRESQL, import_postgresql};

const TOTALS: &str = "select sum(abalance), (select sum(bbalance) from pgbench_branches), \
                      (select count(*) from pgbench_history) from pgbench_accounts";
const START: &str = "[ -e /data/db/PG_VERSION ] || /pg/initdb -D /data/db --no-locale -E UTF8 -A trust >/dev/null; \
                     exec /pg/postgres -D /data/db -c listen_addresses= -c unix_socket_directories=/tmp";

/// Starts PostgreSQL and waits until it answers.
fn start(host: &Host) {
    host.docker_ok(&[
        "run",
        "-d",
        "--name",
        "postgres",
        "--network=none",
        "--volume-driver=cask",
        "--user",
        "70:70",
        "--shm-size=256m",
        "-v",
        "db:/data",
        POSTGRESQL,
        "sh",
        "-ec",
        START,
    ]);
    let asked = [
        "exec", "postgres", "/pg/psql", "-h", "/tmp", "-c", "select 1", "postgres",
    ];
    wait_for("PostgreSQL answers", || {
        crate::harness::run(&mut host.docker(&asked), 60)
            .status
            .success()
    });
}

/// Asks for one value.
#[track_caller]
fn psql(host: &Host, query: &str) -> String {
    host.docker_ok(&[
        "exec",
        "postgres",
        "/pg/psql",
        "-h",
        "/tmp",
        "-At",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        query,
        "postgres",
    ])
}

fn stop(host: &Host) {
    host.docker_ok(&["stop", "-t", "30", "postgres"]);
    host.docker_ok(&["rm", "postgres"]);
}

#[test]
fn a_postgresql_container_is_back_to_its_snapshot_after_a_rollback() {
    let Some(host) = Host::new() else { return };
    let bin = fs::read_dir("/usr/lib/postgresql");
    if bin.is_err() && lacks_program(&["postgresql"]) {
        return;
    }
    import_postgresql(&host);
    host.docker_ok(&[
        "volume",
        "create",
        "-d",
        "cask",
        "-o",
        "uid=70",
        "-o",
        "gid=70",
        "-o",
        "mode=0700",
        "db",
    ]);
    start(&host);
    let pgbench = ["exec", "postgres", "/pg/pgbench", "-h", "/tmp", "postgres"];
    host.docker_ok(&[&pgbench[..], &["-i", "-q", "-s", "1"]].concat());
    let seconds = short_or_long("5", "120");
    host.docker_ok(&[&pgbench[..], &["-c", "4", "-j", "2", "-T", seconds]].concat());
    let before = psql(&host, TOTALS);
    assert_ne!(before.split('|').next_back(), Some("0"), "{before}");
    host.cask_ok(&["snapshot", "db@before-upgrade"]);
    host.docker_ok(&[&pgbench[..], &["-c", "2", "-T", "1"]].concat());
    assert_ne!(psql(&host, TOTALS), before);
    psql(
        &host,
        "drop table pgbench_accounts; update pgbench_branches set bbalance = 0",
    );
    stop(&host);
    // The files are damaged as well.
    let damage = "dd if=/dev/zero of=/data/db/global/pg_control bs=1K count=8 2>/dev/null; rm -r /data/db/base/1";
    let image = [
        "run",
        "--rm",
        "-v",
        "db:/data",
        "--volume-driver=cask",
        "--network=none",
        POSTGRESQL,
    ];
    host.docker_ok(&[&image[..], &["sh", "-ec", damage]].concat());
    host.wait_until_unmounted();
    host.wait_until_closed("db");
    host.cask_ok(&["rollback", "db@before-upgrade"]);
    start(&host);
    assert_eq!(psql(&host, TOTALS), before);
    assert_eq!(
        psql(&host, "select count(*) from pgbench_accounts"),
        "100000"
    );
    psql(
        &host,
        "create extension if not exists amcheck; select bt_index_check('pgbench_accounts_pkey')",
    );
    stop(&host);
    host.wait_until_unmounted();
    host.docker_ok(&["volume", "rm", "db"]);
}
