//! Volumes in containers: made when they are named, kept, read-only, and not removed under anybody.

use crate::host::{Host, run_arguments, wait_for};
use crate::image::import_busybox;

#[test]
fn a_volume_that_a_container_names_is_made_and_outlives_it() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.run_in("db", "echo kept > /data/f");
    assert_eq!(host.volumes(), ["db"]);
    host.wait_until_unmounted();
    host.wait_until_closed("db");
    assert_eq!(host.run_in("db", "cat /data/f"), "kept");
    let of_container = host.docker_ok(&["volume", "ls", "-q", "-f", "dangling=true"]);
    assert_eq!(of_container, "db");
}

#[test]
fn a_volume_can_be_mounted_for_reading_only() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.run_in("db", "echo kept > /data/f");
    let arguments = run_arguments(&["--rm"], "db:ro", "cat /data/f; echo x > /data/g");
    host.docker_fails(&arguments, &["Read-only file system"]);
    // Of one container: another writes meanwhile.
    host.start_container(
        "reader",
        "db:ro",
        "until [ -e /data/g ]; do sleep 0.1; done; cat /data/g",
    );
    host.run_in("db", "echo seen > /data/t; mv /data/t /data/g");
    assert_eq!(host.docker_ok(&["wait", "reader"]), "0");
    assert_eq!(host.docker_ok(&["logs", "reader"]), "seen");
}

#[test]
fn what_one_program_creates_the_other_uses() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.cask_ok(&["create", "of-cask", "--label", "a=b"]);
    host.docker_ok(&["volume", "create", "-d", "cask", "of-docker"]);
    let listed = host.docker_ok(&["volume", "ls", "-q", "-f", "driver=cask"]);
    assert_eq!(listed, "of-cask\nof-docker");
    assert_eq!(host.volumes(), ["of-cask", "of-docker"]);
    host.run_in("of-cask", "echo 1 > /data/f");
    let copy = host.dir().join("copy");
    host.cask_ok(&["cp", "of-cask:/f", copy.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(copy).unwrap(), "1\n");
    host.cask_ok(&["rm", "of-docker"]);
    host.docker_fails(&["volume", "inspect", "of-docker"], &["no such volume"]);
    host.docker_ok(&["volume", "rm", "of-cask"]);
    assert!(host.volumes().is_empty());
}

#[test]
fn a_snapshot_is_a_volume_for_reading() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.run_in("db", "echo before > /data/f");
    host.cask_ok(&["snapshot", "db@snap"]);
    host.start_container("main", "db", "echo after > /data/f; exec sleep 1000");
    wait_for("the write", || {
        std::fs::read(host.place("db").join("f")).is_ok_and(|text| text == b"after\n")
    });
    assert_eq!(host.run_in("db@snap", "cat /data/f"), "before");
    assert_eq!(host.run_in("db@snap:ro", "cat /data/f"), "before");
    let arguments = run_arguments(&["--rm"], "db@snap", "echo x > /data/g");
    host.docker_fails(&arguments, &["Read-only file system"]);
    host.docker_ok(&["rm", "-f", "main"]);
    host.wait_until_unmounted();
    // Docker forgets it; the snapshot is the volume's.
    host.docker_ok(&["volume", "rm", "db@snap"]);
    assert!(host.cask_ok(&["snapshot", "ls", "db"]).contains("snap"));
}

#[test]
fn a_volume_in_use_cannot_be_removed() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.start_container("main", "db", "exec sleep 1000");
    host.docker_fails(&["volume", "rm", "db"], &["in use"]);
    host.cask_fails(&["rm", "db"], &["containers main", "stop"]);
    assert!(
        host.cask_ok(&["ls"])
            .contains(host.place("db").to_str().unwrap())
    );
    host.docker_ok(&["stop", "-t", "0", "main"]);
    host.docker_fails(&["volume", "rm", "db"], &["in use"]);
    host.docker_ok(&["rm", "main"]);
    // At once, while the mount still lingers.
    host.docker_ok(&["volume", "rm", "db"]);
    assert!(host.volumes().is_empty() && host.mounted().is_empty());
}

#[test]
fn a_volume_that_the_host_has_mounted_cannot_be_removed() {
    let Some(host) = Host::new() else { return };
    host.docker_ok(&["volume", "create", "-d", "cask", "db"]);
    let place = host.sandbox().subdir("elsewhere");
    host.cask_ok(&["mount", "db", place.to_str().unwrap()]);
    host.docker_fails(&["volume", "rm", "db"], &["in use"]);
    std::fs::write(place.join("f"), "still here").unwrap();
    host.cask_ok(&["umount", place.to_str().unwrap()]);
    host.docker_ok(&["volume", "rm", "db"]);
}

#[test]
fn ls_and_inspect_name_the_containers_that_use_a_volume() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let (outer, inner) = (host.sandbox().subdir("outer"), "inner");
    host.cask_ok(&["create", "db"]);
    host.cask_ok(&["create", "nested"]);
    host.cask_ok(&["mount", "db", outer.to_str().unwrap()]);
    for name in [inner, "sub"] {
        std::fs::create_dir(outer.join(name)).unwrap();
    }
    let inner = outer.join(inner);
    host.cask_ok(&["mount", "nested", inner.to_str().unwrap()]);
    host.start_container("volume", "db", "exec sleep 1000");
    host.cask_ok(&["snapshot", "db@snap"]);
    host.start_container("reader", "db@snap", "exec sleep 1000");
    host.start_container("stopped", "db", "true");
    host.docker_ok(&["wait", "stopped"]);
    for (name, source) in [
        ("bound", &outer.join("sub")),
        ("within", &inner),
        ("none", &host.dir().join("root")),
    ] {
        let mount = source.to_str().unwrap();
        host.start_container(name, mount, "exec sleep 1000");
    }
    let names = serde_json::json!(["bound", "reader", "volume"]);
    assert_eq!(host.inspect("db")["Containers"], names);
    let template = "{{.Name}} {{.Containers}}";
    let listed = host.cask_ok(&["ls", "--format", template]);
    assert_eq!(listed, "db bound,reader,volume\nnested within");
    assert!(host.cask_ok(&["ls"]).contains("bound,reader,volume"));
    host.cask_fails(&["rm", "db"], &["containers bound, reader, volume"]);
    // Without an engine nothing is known of containers, and nothing else changes.
    let mut ls = host.cask(&["ls", "--format", template]);
    ls.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let listed = crate::harness::run_ok(&mut ls, 60);
    assert_eq!(listed, "db \nnested \n");
    host.docker_ok(&["rm", "-f", "volume", "reader", "bound", "within", "none"]);
    host.cask_ok(&["umount", inner.to_str().unwrap()]);
    host.cask_ok(&["umount", outer.to_str().unwrap()]);
    host.wait_until_unmounted();
}

#[test]
fn a_protected_volume_is_not_removed_and_stays_mounted() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.run_in("db", "echo kept > /data/f");
    host.cask_ok(&["set", "db", "protect=on"]);
    // Started, so that its mount lingers when it is removed.
    host.run_in("db", "true");
    let device = std::fs::metadata(host.place("db")).unwrap();
    host.docker_fails(
        &["volume", "rm", "db"],
        &["protected", "cask set db protect=off"],
    );
    use std::os::unix::fs::MetadataExt;
    let after = std::fs::metadata(host.place("db")).unwrap();
    assert_eq!(device.dev(), after.dev(), "it is mounted as it was");
    host.cask_ok(&["set", "db", "protect=off"]);
    host.docker_ok(&["volume", "rm", "db"]);
    assert!(host.volumes().is_empty());
}
