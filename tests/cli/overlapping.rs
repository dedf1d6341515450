//! Mountpoints that a volume's server would meet itself behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Bench, can_mount, run};

const REASON: &str = "where volumes are kept";

#[test]
fn no_volume_is_mounted_over_what_volumes_are_made_of() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    bench.run(&["create", "other"]).succeeds();
    bench.run(&["create", "./apart"]).succeeds();
    symlink("root/volumes", bench.path("link")).unwrap();
    fs::create_dir(bench.path("root/inside")).unwrap();
    let before = bench.inventory();
    let at = [
        ("db", "root/volumes/db", "is"),
        ("db", "link/db", "is"),
        ("db", "link/db/segments", "lies in"),
        ("db", "link/other", "lies in"),
        ("db", "root", "contains"),
        ("db", ".", "contains"),
        ("db", "root/inside", "lies in"),
        ("./apart", "apart", "is"),
        ("./apart", "apart/segments", "lies in"),
        ("./apart", "root", "is"),
    ];
    for (volume, mountpoint, relation) in at {
        let refused = bench.run(&["mount", volume, mountpoint]);
        refused.fails(1, &[REASON, relation, "name a directory elsewhere"]);
    }
    let refused = bench.run(&["mount", "--foreground", "db", "root/volumes"]);
    refused.fails(1, &[REASON]);
    let refused = bench.run(&["mount", "--create", "new", "root/volumes/db/new/deep"]);
    refused.fails(1, &[REASON]);
    assert_eq!(bench.inventory(), before);
    assert!(bench.mounts().is_empty());
    // Beside them is not in them.
    bench.run(&["mount", "--create", "db", "root-2"]).succeeds();
    bench.run(&["snapshot", "db@s"]).succeeds();
    bench.run(&["mount", "db", "link"]).fails(1, &[REASON]);
    bench.run(&["mount", "db@s", "link"]).fails(1, &[REASON]);
}

/// A bind mount shows a directory at another place, and gets what is mounted over the first where both are shared.
#[test]
fn bind_mounts_hide_nothing() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let binds = [
        ("root/volumes/db", "b1", "b1", "is"),
        ("root/volumes/db", "b2", "b2/segments", "lies in"),
        ("root/volumes/db/segments", "b3", "b3", "lies in"),
        (".", "b4", "b4/root/volumes/db", "is"),
        (".", "b4", "b4", "contains"),
        ("root", "b5", "b5/volumes", "contains"),
    ];
    for (what, at, mountpoint, relation) in binds {
        fs::create_dir_all(bench.path(at)).unwrap();
        let mut bind = Command::new("mount");
        bind.arg("--bind").arg(bench.path(what)).arg(bench.path(at));
        run(&mut bind).succeeds();
        let refused = bench.run(&["mount", "db", mountpoint]);
        refused.fails(1, &[REASON, relation]);
        run(Command::new("umount").arg(bench.path(at))).succeeds();
    }
    assert!(bench.mounts().is_empty());
}

#[test]
fn a_volume_in_a_mounted_volume_works_but_not_over_what_carries_it() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let inner = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        run(command.env("CASK_ROOT", bench.path("mnt/root")))
    };
    inner(&["mount", "--create", "in", "inner"]).succeeds();
    fs::write(bench.path("inner/file"), "deep").unwrap();
    for (mountpoint, relation) in [("root", "contains"), ("root/volumes/db", "is")] {
        inner(&["mount", "in", mountpoint]).fails(1, &[REASON, relation]);
    }
    // In what carries it there is room for a mountpoint, too.
    inner(&["mount", "--create", "in", "mnt/there"]).succeeds();
    inner(&["umount", "mnt/there"]).succeeds();
    inner(&["umount", "inner"]).succeeds();
    bench.run(&["umount", "mnt"]).succeeds();
}
