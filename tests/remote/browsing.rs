//! Looking into a repository without pulling: what is told and read there is what is told and read of the volume.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::inodes::{Size, plant};
use crate::random::Random;
use crate::support::can_mount;

const TREE: Size = Size {
    big_bytes: 3_000_001,
    small_files: 300,
};

/// A volume with two snapshots, between which much has changed, both pushed.
fn two_states(host: &Host) {
    host.create();
    let mnt = host.bench.path("mnt");
    host.run(&["mount", "--create", "db", mnt.to_str().unwrap()])
        .succeeds();
    plant(&mnt, TREE, 1);
    fs::create_dir_all(mnt.join("deep/er/still")).unwrap();
    for name in [
        "same",
        "grows",
        "goes",
        "linked",
        "becomes a link",
        "mode",
        "replaced",
    ] {
        fs::write(mnt.join("deep").join(name), Random::new(3).bytes(300_000)).unwrap();
    }
    fs::hard_link(mnt.join("deep/linked"), mnt.join("deep/er/linked too")).unwrap();
    host.run(&["snapshot", "db@a"]).succeeds();
    alter(&mnt.join("deep"));
    fs::rename(mnt.join("many"), mnt.join("fewer")).unwrap();
    host.run(&["snapshot", "db@b"]).succeeds();
    host.push("db@a");
    host.push("db@b");
}

fn alter(dir: &Path) {
    fs::write(dir.join("grows"), Random::new(3).bytes(300_001)).unwrap();
    fs::remove_file(dir.join("goes")).unwrap();
    fs::rename(dir.join("er/still"), dir.join("moved")).unwrap();
    fs::write(dir.join("linked"), b"both names tell of it").unwrap();
    fs::remove_file(dir.join("becomes a link")).unwrap();
    symlink("same", dir.join("becomes a link")).unwrap();
    fs::set_permissions(dir.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(dir.join("replaced")).unwrap();
    fs::write(dir.join("replaced"), b"another file").unwrap();
    fs::write(dir.join("moved/new\nline"), b"new").unwrap();
}

#[track_caller]
fn is_told_as_here(store: &Store) {
    let here = store.host();
    two_states(&here);
    let there = store.host();
    there.add(&["--key-file=key"]).succeeds();
    let told = there.run(&["diff", "r:db@a", "r:db@b"]).succeeds().out;
    assert_eq!(here.run(&["diff", "db@a", "db@b"]).succeeds().out, told);
    assert!(told.lines().count() > 9, "{told}");
    let newest = there.run(&["diff", "r:db@a", "--json"]).succeeds().out;
    assert_eq!(
        here.run(&["diff", "db@a", "db@b", "--json"]).succeeds().out,
        newest
    );
    for name in ["a", "b"] {
        let archive = |host: &Host, state: &str| {
            let path = host.bench.path(&format!("{name}.tar"));
            let to = path.to_str().unwrap();
            host.run(&["export", state, "-o", to]).succeeds();
            fs::read(&path).unwrap()
        };
        let (own, pushed) = (format!("db@{name}"), format!("r:db@{name}"));
        assert!(archive(&here, &own) == archive(&there, &pushed), "{name}");
    }
    let to = there.bench.path("copied");
    there
        .run(&["cp", "r:db@a:/deep/goes", to.to_str().unwrap()])
        .succeeds();
    assert!(fs::read(&to).unwrap() == Random::new(3).bytes(300_000));
    // Without a name it is the newest, and a directory comes whole.
    let dir = there.bench.path("dir");
    there
        .run(&["cp", "r:db:/deep", dir.to_str().unwrap()])
        .succeeds();
    assert_eq!(fs::read(dir.join("replaced")).unwrap(), b"another file");
    assert_eq!(there.volumes(), Vec::<String>::new(), "nothing was pulled");
}

#[test]
fn a_directory_tells_and_reads_as_the_volume_does() {
    if can_mount() {
        is_told_as_here(&Store::dir());
    }
}

#[test]
fn an_engine_tells_and_reads_as_the_volume_does() {
    if !can_mount() {
        return;
    }
    if let Some(store) = Store::bucket(Kind::SeaweedFs) {
        is_told_as_here(&store);
    }
}

/// A file out of many takes some requests, and not all that tells of the others.
#[test]
fn a_file_is_read_at_the_cost_of_a_file() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let here = store.host();
    here.create();
    let from = here.bench.path("files");
    for dir in 0..20 {
        fs::create_dir_all(from.join(dir.to_string())).unwrap();
        for file in 0..1000 {
            fs::write(from.join(format!("{dir}/{file}")), format!("{dir} {file}")).unwrap();
        }
    }
    here.run(&["import", "db", from.to_str().unwrap()])
        .succeeds();
    here.push("db");
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    proxy.reset_traffic();
    let to = there.bench.path("copied");
    there
        .run(&["cp", "r:db:/7/77", to.to_str().unwrap()])
        .succeeds();
    assert_eq!(fs::read(&to).unwrap(), b"7 77");
    let traffic = proxy.traffic();
    assert!(traffic.requests.len() <= 16, "{}", traffic.requests.len());
    assert!(traffic.down < 200_000, "{}", traffic.down);
}

#[test]
fn what_is_not_there_is_said() {
    let store = Store::dir();
    let here = store.host();
    here.create();
    here.make_volume("db", &[("file", b"file")]);
    here.run(&["snapshot", "db@a"]).succeeds();
    here.push("db@a");
    let to = here.bench.path("copied");
    let to = to.to_str().unwrap();
    here.run(&["cp", "r:db@a:/none", to])
        .fails(1, &["no /none in r:db@a"]);
    here.run(&["cp", "r:none:/file", to])
        .fails(3, &["there is no r:none"]);
    here.run(&["cp", "q:db:/file", to])
        .fails(3, &["no remote \"q\""]);
    here.run(&["diff", "r:db@a", "db@a"])
        .fails(2, &["one of the two is in a remote"]);
    here.run(&["diff", "r:db"]).fails(2, &["NAME@SNAP"]);
    here.run(&["diff", "r:db@a", "r:db@b"])
        .fails(3, &["there is no r:db@b"]);
    // What is damaged there is said, and nothing of it is taken for what was pushed.
    for dir in ["run", "pack"] {
        let below = store.objects().join(dir);
        let below = fs::read_dir(below).unwrap().next().unwrap().unwrap().path();
        let path = fs::read_dir(below).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let at = damaged.len() / 2;
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        let read = here.run(&["cp", "r:db@a:/file", to]);
        assert!(read.code != 0 || fs::read(to).unwrap() == b"file");
        drop(fs::remove_file(to));
        fs::write(&path, whole).unwrap();
    }
    here.run(&["cp", "r:db@a:/file", to]).succeeds();
}
