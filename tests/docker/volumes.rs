//! `docker volume create`, `ls`, `inspect` and `rm`, and the options.

use crate::host::{Host, wait_for};
use crate::image::import_busybox;

#[test]
fn volumes_are_created_listed_inspected_and_removed() {
    let Some(host) = Host::new() else { return };
    // Twice: an engine asks again when it lost the answer.
    for _ in 0..2 {
        let created = host.docker_ok(&["volume", "create", "-d", "cask", "db"]);
        assert_eq!(created, "db");
    }
    host.docker_ok(&["volume", "create", "-d", "cask", "--label", "a=b", "other"]);
    let listed = host.docker_ok(&["volume", "ls", "-q", "-f", "driver=cask"]);
    assert_eq!(listed, "db\nother");
    let shown = host.docker_volume("db");
    assert_eq!(shown["Driver"], "cask");
    assert_eq!(shown["Scope"], "local");
    assert_eq!(shown["Mountpoint"], "");
    let created: jiff::Timestamp = shown["CreatedAt"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().as_second() - created.as_second();
    assert!((0..60).contains(&age), "{shown}");
    assert_eq!(shown["Status"]["Health"], "unmounted");
    assert!(
        shown["Status"]["PhysicalBytes"].as_u64().unwrap() > 0,
        "{shown}"
    );
    assert_eq!(host.docker_volume("other")["Labels"]["a"], "b");
    assert_eq!(
        host.docker_ok(&["volume", "rm", "db", "other"]),
        "db\nother"
    );
    assert!(host.volumes().is_empty());
    host.docker_fails(&["volume", "rm", "db"], &["no such volume"]);
    host.docker_fails(&["volume", "inspect", "db"], &["no such volume"]);
}

#[test]
fn the_status_of_a_volume_in_use_tells_what_it_holds() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.docker_ok(&["volume", "create", "-d", "cask", "-o", "size=1G", "db"]);
    host.start_container(
        "main",
        "db",
        "head -c 1000000 /dev/urandom > /data/f; exec sleep 1000",
    );
    wait_for("the file", || {
        host.place("db")
            .join("f")
            .metadata()
            .is_ok_and(|f| f.len() == 1_000_000)
    });
    host.cask_ok(&["snapshot", "db@before"]);
    let shown = host.docker_volume("db");
    assert_eq!(shown["Mountpoint"], host.place("db").to_str().unwrap());
    let status = &shown["Status"];
    assert_eq!(status["Health"], "served");
    assert_eq!(status["LimitBytes"], 1 << 30);
    assert_eq!(status["Snapshots"], serde_json::json!(["before"]));
    assert!(
        status["LogicalBytes"].as_u64().unwrap() >= 1_000_000,
        "{status}"
    );
    assert!(status["UniqueBytes"].as_u64().unwrap() > 0, "{status}");
}

#[test]
fn an_option_that_is_not_known_is_refused_by_its_name() {
    let Some(host) = Host::new() else { return };
    for option in [
        "sise=10G",
        "size=much",
        "mode=999",
        "from=nothing@at-all",
        "label.=x",
    ] {
        let name = option.split('=').next().unwrap();
        let named = if name == "from" {
            "nothing@at-all"
        } else {
            name
        };
        host.docker_fails(
            &["volume", "create", "-d", "cask", "-o", option, "db"],
            &[named],
        );
    }
    for name in ["../db", "a/b", "db@snap", ".db"] {
        host.docker_fails(&["volume", "create", "-d", "cask", name], &[name]);
    }
    assert!(host.volumes().is_empty());
}

#[test]
fn every_option_takes_effect() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let mut create = host.docker(&["volume", "create", "-d", "cask"]);
    for option in [
        "size=64M",
        "inodes=1000",
        "uid=999",
        "gid=998",
        "mode=2750",
        "compress=zstd:3",
        "chunk-size=128K",
        "label.tier=hot",
        "ephemeral=false",
    ] {
        create.args(["-o", option]);
    }
    crate::harness::run_ok(create.arg("db"), 60);
    let script = "df -k /data | tail -n 1 | awk '{print $2}'; df -i /data | tail -n 1 | awk '{print $2}'; \
                  stat -c '%u %g %a' /data";
    assert_eq!(host.run_in("db", script), "65536\n1000\n999 998 2750");
    let too_much = "dd if=/dev/urandom of=/data/f bs=1M count=100 conv=fsync";
    let arguments = crate::host::run_arguments(&["--rm"], "db", too_much);
    host.docker_fails(&arguments, &["No space left"]);
    let shown = host.inspect("db");
    assert_eq!(shown["Compression"], "zstd:3", "{shown}");
    assert_eq!(shown["ChunkBytes"], 131_072, "{shown}");
    assert_eq!(shown["Labels"]["tier"], "hot", "{shown}");
}

#[test]
fn a_volume_from_a_snapshot_is_a_clone_of_it() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.run_in("db", "echo before > /data/f");
    host.cask_ok(&["snapshot", "db@snap"]);
    host.run_in("db", "echo after > /data/f");
    host.docker_ok(&[
        "volume",
        "create",
        "-d",
        "cask",
        "-o",
        "from=db@snap",
        "-o",
        "size=1G",
        "old",
    ]);
    host.docker_ok(&["volume", "create", "-d", "cask", "-o", "from=db", "new"]);
    assert_eq!(
        host.run_in("old", "cat /data/f; echo clone > /data/f"),
        "before"
    );
    assert_eq!(host.run_in("new", "cat /data/f"), "after");
    assert_eq!(host.run_in("db", "cat /data/f"), "after");
    assert_eq!(
        host.run_in(
            "old",
            "cat /data/f; df -k /data | tail -n 1 | awk '{print $2}'"
        ),
        "clone\n1048576"
    );
}

#[test]
fn an_ephemeral_volume_goes_with_its_last_container() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.docker_ok(&[
        "volume",
        "create",
        "-d",
        "cask",
        "-o",
        "ephemeral=true",
        "scratch",
    ]);
    host.start_container("main", "scratch", "echo x > /data/f; exec sleep 1000");
    assert_eq!(host.run_in("scratch", "cat /data/f"), "x");
    host.docker_ok(&["rm", "-f", "main"]);
    wait_for("the volume goes", || host.volumes().is_empty());
    let left = host.docker_ok(&["volume", "ls", "-q", "-f", "driver=cask"]);
    assert_eq!(left, "");
}

#[test]
fn a_volume_comes_from_a_remote_and_leaves_it_alone() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let dir = tempfile::tempdir().unwrap();
    let (key, repository) = (dir.path().join("key"), dir.path().join("repository"));
    std::fs::write(&key, [7; 32]).unwrap();
    let url = format!("file://{}", repository.display());
    let key = key.to_str().unwrap();
    host.cask_ok(&["remote", "add", "nas", &url, "--create", "--key-file", key]);
    host.run_in("db", "echo before > /data/f");
    host.cask_ok(&["snapshot", "db@snap"]);
    host.cask_ok(&["push", "db@snap", "nas"]);
    host.run_in("db", "echo after > /data/f");
    let create = |from: &str| {
        let mut create = host.docker(&["volume", "create", "-d", "cask"]);
        create.args(["-o", from, "-o", "size=1G", "far"]);
        create.output().unwrap()
    };
    let refused = create("from=nas:db@other");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("nas:db@other"),
        "{said}"
    );
    let created = create("from=nas:db@snap");
    assert!(created.status.success(), "{created:?}");
    assert_eq!(
        host.run_in(
            "far",
            "cat /data/f; df -k /data | tail -n 1 | awk '{print $2}'"
        ),
        "before\n1048576"
    );
    host.docker_ok(&["volume", "rm", "far"]);
    let checked = host.cask_ok(&["remote", "check", "nas", "--read-data"]);
    assert!(checked.starts_with("1 snapshots"), "{checked}");
}
