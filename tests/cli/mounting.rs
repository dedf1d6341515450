//! cask mount: one mount, several, with options, and the server behind them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use crate::support::{Bench, can_mount, run};

#[test]
fn create_makes_the_volume_and_the_mountpoint() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    bench.run(&["mount", "--create", "demo", "a/b"]).succeeds();
    bench.run(&["mount", "--create", "demo", "c"]).succeeds();
    let mounts = bench.mounts();
    assert_eq!(mounts.len(), 2);
    assert_eq!(mounts[0].filesystem, "fuse.cask");
    assert_eq!(mounts[0].source, "demo");
    assert_eq!(
        bench
            .run(&["ls", "-q", "--filter", "mounted=true"])
            .succeeds()
            .out,
        "demo\n"
    );
}

#[test]
fn what_is_written_is_there_at_the_next_mount() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    File::create(bench.path("mnt/file"))
        .unwrap()
        .write_all(b"hello")
        .unwrap();
    bench.run(&["sync", "db"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
    assert!(!bench.path("mnt/file").exists());
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(fs::read(bench.path("mnt/file")).unwrap(), b"hello");
}

#[test]
fn a_second_mount_shows_the_same_superblock() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt2")).unwrap();
    bench.run(&["mount", "db", "mnt2"]).succeeds();
    let device = |at: &str| fs::metadata(bench.path(at)).unwrap().dev();
    assert_eq!(device("mnt"), device("mnt2"));
    File::create(bench.path("mnt/file")).unwrap();
    assert!(bench.path("mnt2/file").exists());
}

#[test]
fn read_only_is_of_one_mount() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    fs::create_dir(bench.path("mnt2")).unwrap();
    bench
        .run(&[
            "mount",
            "db",
            "mnt",
            "--read-only",
            "-o",
            "nosuid,nodev,noexec",
        ])
        .succeeds();
    bench
        .run(&["mount", "db", "mnt2", "-o", "noatime"])
        .succeeds();
    let error = File::create(bench.path("mnt/file")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    File::create(bench.path("mnt2/file")).unwrap();
    let options: Vec<String> = bench
        .mounted()
        .into_iter()
        .map(|(_, options)| options)
        .collect();
    assert_eq!(options, ["ro,nosuid,nodev,noexec,relatime", "rw,noatime"]);
}

#[test]
fn remount_changes_one_mount() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt2")).unwrap();
    bench.run(&["mount", "db", "mnt2"]).succeeds();
    bench
        .run(&["mount", "db", "mnt2", "-o", "remount,ro,nosuid"])
        .succeeds();
    let options: Vec<String> = bench
        .mounted()
        .into_iter()
        .map(|(_, options)| options)
        .collect();
    assert_eq!(options, ["rw,relatime", "ro,nosuid,relatime"]);
    bench
        .run(&["mount", "db", "mnt2", "-o", "remount,rw"])
        .succeeds();
    let held = File::create(bench.path("mnt2/file")).unwrap();
    let busy = bench.run(&["mount", "db", "mnt2", "-o", "remount,ro"]);
    busy.fails(5, &["cannot remount mnt2", "open for writing"]);
    drop(held);
}

#[test]
fn a_mountpoint_that_is_not_empty_gets_a_warning() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    File::create(bench.path("mnt/a")).unwrap();
    File::create(bench.path("mnt/b")).unwrap();
    let mounted = bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(
        mounted.err,
        "cask: warning: mnt is not empty: the mount hides the 2 entries in it\n"
    );
}

#[test]
fn the_source_is_the_directory_or_what_fsname_says() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    fs::create_dir(bench.path("mnt2")).unwrap();
    bench.run(&["mount", "root/volumes/db", "mnt"]).succeeds();
    bench
        .run(&["mount", "db", "mnt2", "-o", "fsname=a,nofail,x-a=b"])
        .succeeds();
    let mounts = bench.mounts();
    let dir = bench.volume_dir("db");
    assert_eq!(mounts[0].source, dir.as_os_str());
    assert_eq!(mounts[1].source, "a");
    assert_eq!(mounts[0].device, mounts[1].device);
}

#[test]
fn a_mountpoint_that_was_made_is_taken_back_when_the_mount_fails() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let lock = cask::volume::store::DirLock::take(&bench.volume_dir("db")).unwrap();
    bench
        .run(&["mount", "db", "--create", "fresh/mountpoint"])
        .fails(5, &["open in another process"]);
    assert!(bench.mounted().is_empty());
    assert!(!bench.path("fresh").exists());
    drop(lock);
}

#[test]
fn many_mounts_at_once_end_in_one_server() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let names: Vec<String> = (0..6).map(|i| format!("m{i}")).collect();
    names
        .iter()
        .for_each(|name| fs::create_dir(bench.path(name)).unwrap());
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| bench.run(&["mount", "db", name]).succeeds());
        }
    });
    let mounts = bench.mounts();
    assert_eq!(mounts.len(), 6);
    assert!(mounts.iter().all(|mount| mount.device == mounts[0].device));
    bench.run(&["umount", "db"]).succeeds();
    assert!(bench.mounts().is_empty());
}

#[test]
fn mounts_and_unmounts_at_once_all_succeed() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let names: Vec<String> = (0..3).map(|i| format!("m{i}")).collect();
    names
        .iter()
        .for_each(|name| fs::create_dir(bench.path(name)).unwrap());
    let bench = &bench;
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || {
                for round in 0..25 {
                    bench.run(&["mount", "db", name]).succeeds();
                    File::create(bench.path(&format!("{name}/{name}-{round}"))).unwrap();
                    bench.run(&["umount", name]).succeeds();
                }
            });
        }
    });
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(fs::read_dir(bench.path("mnt")).unwrap().count(), 75);
}

#[test]
fn a_path_longer_than_a_socket_address_works() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let dir = bench.text(&format!("{}/v", "d".repeat(150)));
    fs::create_dir(bench.path(&"d".repeat(150))).unwrap();
    bench.run(&["create", &dir]).succeeds();
    bench.run(&["mount", &dir, "mnt"]).succeeds();
    bench.run(&["umount", &dir]).succeeds();
}

#[test]
fn the_server_holds_none_of_its_starters_files() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    // A pipe that the server inherited would keep `cat` waiting.
    let script = format!("({} mount db mnt 3>&1) | cat", crate::support::CASK);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script])
        .env("CASK_ROOT", bench.path("root"));
    run(command.current_dir(bench.path(""))).succeeds();
    let pid = bench.server_of("db").as_raw_nonzero();
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert_eq!(cwd, std::path::Path::new("/"));
    let mode = fs::metadata(bench.volume_dir("db").join("server.log"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
