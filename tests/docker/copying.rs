//! What Docker copies by itself: an image's files into a new volume, and `docker cp`.

use std::fs;

use crate::harness::{assert_same_tree, sh, snapshot};
use crate::host::{Host, run_arguments};
use crate::image::{busybox_root, import, import_busybox};

/// An image whose `/data` has owners, modes, links, times and extended attributes.
#[test]
fn a_new_volume_gets_what_the_image_has_there() {
    let Some(host) = Host::new() else { return };
    let root = busybox_root(&host);
    let script = r#"mkdir "$1/data"; cd "$1/data"; mkdir -p conf/deep empty; echo one > conf/one; echo two > conf/deep/two
        ln -s one conf/link; ln conf/one conf/hard; mkfifo pipe; head -c 300000 /dev/urandom > large
        chown 999:998 conf conf/deep/two; chown -h 7:8 conf/link; chmod 4750 conf/deep/two; chmod 1777 empty
        setfattr -n user.note -v kept conf/one; touch -d '2001-02-03 04:05:06' conf/deep/two
        chown 70:71 .; chmod 2770 ."#;
    sh(script, &[&root]);
    import(&host, &root, crate::image::BUSYBOX);
    host.start_container("main", "db", "exec sleep 1000");
    let (expected, found) = (snapshot(&root.join("data")), snapshot(&host.place("db")));
    assert_same_tree(&expected, &found, &"copied into the new volume");
    let mtime = fs::metadata(host.place("db").join("conf/deep/two"))
        .unwrap()
        .modified()
        .unwrap();
    let written = fs::metadata(root.join("data/conf/deep/two"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(mtime, written);
    host.docker_ok(&["rm", "-f", "main"]);
    // What is there already stays as it is.
    host.run_in("used", "rm -r /data/* && echo mine > /data/mine");
    assert_eq!(host.run_in("used", "ls -A /data"), "mine");
    host.cask_ok(&["create", "made"]);
    let not_copied = run_arguments(
        &[
            "--rm",
            "--mount",
            "type=volume,src=made,dst=/else,volume-driver=cask,volume-nocopy",
        ],
        "db",
        "ls -A /else",
    );
    assert_eq!(host.docker_ok(&not_copied), "");
}

#[test]
fn docker_cp_leaves_a_running_container_its_volume_and_leaks_no_mount() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    host.start_container(
        "main",
        "db",
        "echo here > /data/out; n=0; while :; do n=$((n+1)); echo $n > /data/beat; sleep 0.1; done",
    );
    let (source, copy) = (host.dir().join("in"), host.dir().join("copy"));
    for round in 0..5 {
        let text = format!("round {round}");
        fs::write(&source, &text).unwrap();
        host.docker_ok(&["cp", source.to_str().unwrap(), "main:/data/in"]);
        assert_eq!(host.docker_ok(&["exec", "main", "cat", "/data/in"]), text);
        host.docker_ok(&["cp", "main:/data/out", copy.to_str().unwrap()]);
        assert_eq!(fs::read_to_string(&copy).unwrap(), "here\n");
        std::thread::sleep(crate::host::LINGER / 2);
    }
    // Longer than the linger: the container's own mount counts.
    std::thread::sleep(crate::host::LINGER * 2);
    assert_eq!(host.mounted(), ["db"]);
    let beat = host.docker_ok(&["exec", "main", "cat", "/data/beat"]);
    crate::host::wait_for("the container goes on", || {
        host.docker_ok(&["exec", "main", "cat", "/data/beat"]) != beat
    });
    host.docker_ok(&["stop", "-t", "0", "main"]);
    host.wait_until_unmounted();
    host.wait_until_closed("db");
    // The same with one that does not run.
    host.docker_ok(&["cp", "main:/data/in", copy.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&copy).unwrap(), "round 4");
    host.wait_until_unmounted();
    host.docker_ok(&["rm", "main"]);
    host.docker_ok(&["volume", "rm", "db"]);
}
