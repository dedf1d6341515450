//! Volumes that go with their last mount.

use std::fs;

use crate::support::{Bench, can_mount};

#[test]
fn an_ephemeral_volume_goes_with_its_last_mount() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/a"), "kept").unwrap();
    bench.run(&["create", "--ephemeral", "new"]).succeeds();
    bench
        .run(&["clone", "--ephemeral", "db", "copy"])
        .succeeds();
    for volume in ["new", "copy"] {
        // What only looks at it does not count.
        bench.run(&["sync", volume]).succeeds();
        let shown = bench.run(&["inspect", volume, "--format", "{{.Ephemeral}}"]);
        assert_eq!(shown.succeeds().out, "true\n");
        bench.run(&["mount", "--create", volume, "e1"]).succeeds();
        bench.run(&["mount", "--create", volume, "e2"]).succeeds();
        bench.run(&["snapshot", &format!("{volume}@s")]).succeeds();
        fs::write(bench.path("e1/b"), "gone").unwrap();
        bench.run(&["umount", "e1"]).succeeds();
        assert_eq!(fs::read_to_string(bench.path("e2/b")).unwrap(), "gone");
        bench.run(&["umount", "e2"]).succeeds();
        assert!(!bench.volume_dir(volume).exists());
    }
    assert_eq!(bench.run(&["ls", "-q"]).succeeds().out, "db\n");
    let left = fs::read_dir(bench.path("root/volumes")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter().all(|name| name == "db" || name == ".lock"),
        "{left:?}"
    );
    assert_eq!(fs::read_to_string(bench.path("mnt/a")).unwrap(), "kept");
}
