//! Snapshots as they are mounted.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cask::control::{Client, Device, Phase, Tree};

use crate::killing::kill_for_good;
use crate::support::{Bench, can_mount, run, wait_for};

/// A mounted volume whose file `a` said `one` when snapshot `s` was taken, and says `two`.
fn prepared() -> Bench {
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/a"), "one").unwrap();
    fs::create_dir(bench.path("mnt/dir")).unwrap();
    symlink("a", bench.path("mnt/dir/link")).unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    fs::write(bench.path("mnt/a"), "two").unwrap();
    bench
}

fn mount(bench: &Bench, what: &str, at: &str) {
    bench.run(&["mount", "--create", what, at]).succeeds();
}

fn read(bench: &Bench, path: &str) -> String {
    fs::read_to_string(bench.path(path)).unwrap()
}

#[test]
fn a_snapshot_is_mounted_beside_its_volume() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    mount(&bench, "db@s", "old");
    assert_eq!(
        (read(&bench, "old/a"), read(&bench, "mnt/a")),
        ("one".into(), "two".into())
    );
    assert_eq!(
        fs::read_link(bench.path("old/dir/link")).unwrap(),
        Path::new("a")
    );
    let mut names: Vec<_> = fs::read_dir(bench.path("old"))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    names.sort_by_key(fs::DirEntry::file_name);
    let numbers = names.iter().map(std::os::unix::fs::DirEntryExt::ino);
    let inodes = ["old/a", "old/dir"].map(|path| bench.path(path).metadata().unwrap().ino());
    assert!(numbers.eq(inodes), "readdir and stat differ");
    // They hold the directory open.
    drop(names);
    let live = ["mnt/a", "mnt/dir"].map(|path| bench.path(path).metadata().unwrap().ino());
    assert_eq!(
        inodes, live,
        "an inode has the number that it has in the volume"
    );
    let device = |path: &str| bench.path(path).metadata().unwrap().dev();
    assert_ne!(device("old/a"), device("mnt/a"), "but is another file");
    fs::copy(bench.path("old/a"), bench.path("mnt/copy")).unwrap();
    assert_eq!(read(&bench, "mnt/copy"), "one");
    let ls = bench.run(&["ls"]).succeeds().out;
    assert!(
        ls.contains(&format!("{},{}@s", bench.text("mnt"), bench.text("old"))),
        "{ls}"
    );
    let format = "{{.Mountpoints}} {{.SnapshotMounts}}";
    let shown = bench
        .run(&["inspect", "db", "--format", format])
        .succeeds()
        .out;
    assert_eq!(
        shown,
        format!("{} {}=s\n", bench.text("mnt"), bench.text("old"))
    );
    let source = run(Command::new("findmnt")
        .args(["-no", "SOURCE"])
        .arg(bench.path("old")));
    assert!(source.out.starts_with("db@s"), "{source:?}");
    bench.run(&["umount", "old"]).succeeds();
    assert_eq!(read(&bench, "mnt/a"), "two");
}

#[test]
fn a_snapshot_is_mounted_alone_and_its_volume_comes_and_goes() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    mount(&bench, "db@s", "old");
    assert_eq!(read(&bench, "old/a"), "one");
    let server = bench.server_of("db");
    for _ in 0..3 {
        mount(&bench, "db", "mnt");
        fs::write(bench.path("mnt/a"), "three").unwrap();
        let open = File::open(bench.path("mnt/a")).unwrap();
        fs::remove_file(bench.path("mnt/a")).unwrap();
        drop(open);
        bench.run(&["umount", "mnt"]).succeeds();
    }
    assert_eq!(bench.server_of("db"), server);
    mount(&bench, "db@s", "old2");
    assert_eq!(read(&bench, "old2/a"), "one");
    bench.run(&["umount", "old"]).succeeds();
    bench.run(&["umount", "db@s"]).succeeds();
    bench.run(&["rm", "-f", "db"]).succeeds();
}

/// What a program may not do, also as root.
fn refusals(at: &Path) -> Vec<(&'static str, io::Result<()>)> {
    let a = at.join("a");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    let write = |options: &mut fs::OpenOptions| options.write(true).open(&a).map(drop);
    vec![
        ("open", write(&mut File::options())),
        ("truncate", write(File::options().truncate(true))),
        ("append", File::options().append(true).open(&a).map(drop)),
        ("create", fs::write(at.join("new"), "")),
        ("mkdir", fs::create_dir(at.join("new"))),
        ("symlink", symlink("a", at.join("new"))),
        ("link", fs::hard_link(&a, at.join("new"))),
        ("unlink", fs::remove_file(&a)),
        ("rmdir", fs::remove_dir(at.join("dir"))),
        ("rename", fs::rename(&a, at.join("new"))),
        ("chmod", fs::set_permissions(&a, mode)),
    ]
}

#[test]
fn nothing_in_a_snapshot_can_be_changed() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    mount(&bench, "db@s", "old");
    for (call, outcome) in refusals(&bench.path("old")) {
        let kind = outcome.map_err(|e| e.kind());
        assert_eq!(kind, Err(io::ErrorKind::ReadOnlyFilesystem), "{call}");
    }
    // Root can make the superblock read-write; the server refuses then.
    run(Command::new("mount")
        .args(["-i", "-o", "remount,rw"])
        .arg(bench.path("old")))
    .succeeds();
    for (call, outcome) in refusals(&bench.path("old")) {
        match call {
            // Nobody asks the server before something is written.
            "open" | "append" => {}
            _ => {
                let kind = outcome.map_err(|e| e.kind());
                assert_eq!(kind, Err(io::ErrorKind::ReadOnlyFilesystem), "{call}");
            }
        }
    }
    let mut file = File::options()
        .append(true)
        .open(bench.path("old/a"))
        .unwrap();
    let kind = io::Write::write(&mut file, b"x").map_err(|e| e.kind());
    assert_eq!(kind, Err(io::ErrorKind::ReadOnlyFilesystem));
    drop(file);
    assert_eq!(read(&bench, "old/a"), "one");
}

#[test]
fn a_mounted_snapshot_stays_and_others_come_and_go() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    mount(&bench, "db@s", "old");
    bench.run(&["snapshot", "rm", "db@s"]).fails(
        5,
        &["is mounted at", &bench.text("old"), "cask umount db@s"],
    );
    bench.run(&["snapshot", "db@t"]).succeeds();
    mount(&bench, "db@t", "newer");
    assert_eq!(read(&bench, "newer/a"), "two");
    bench.run(&["umount", "newer"]).succeeds();
    bench.run(&["snapshot", "rm", "db@t"]).succeeds();
    bench
        .run(&["mount", "db@t", "newer"])
        .fails(3, &["no snapshot \"t\" of volume \"db\""]);
    bench.run(&["snapshot", "db@u"]).succeeds();
    let pruned = bench.run(&["snapshot", "prune", "db", "--keep-last", "1"]);
    assert_eq!(pruned.succeeds().out, "", "the mounted one stays");
    let other = bench.other_namespace();
    bench
        .run(&["umount", "old"])
        .fails(5, &["mount namespace", &other.id()]);
    bench
        .run(&["snapshot", "rm", "db@s"])
        .fails(5, &["in the mount namespace of process", &other.id()]);
    drop(other);
    wait_for("the namespace is gone", || {
        bench.run(&["snapshot", "rm", "db@s"]).code == 0
    });
}

#[test]
fn places_and_snapshots_that_will_not_do() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    mount(&bench, "db@s", "old");
    bench
        .run(&["mount", "db@s", "old"])
        .fails(5, &["already mounted at"]);
    bench
        .run(&["mount", "db", "old"])
        .fails(5, &["already a cask mount", "db@s"]);
    bench
        .run(&["mount", "db@s", "mnt"])
        .fails(5, &["already a cask mount"]);
    bench.run(&["umount", "db"]).succeeds();
    assert!(bench.mounts().is_empty());
    bench.run(&["mount", "--create", "db@nope", "fresh"]).fails(
        3,
        &[
            "no snapshot \"nope\" of volume \"db\"",
            "cask snapshot ls db",
        ],
    );
    assert!(!bench.path("fresh").exists());
    bench.wait_until_closed("db");
    bench
        .run(&["umount", "db@s"])
        .fails(1, &["snapshot \"s\" of volume \"db\" is not mounted"]);
    bench
        .run(&["mount", "--create", "nope@s", "fresh"])
        .fails(3, &["no volume \"nope\""]);
    bench
        .run(&["mount", "--foreground", "db@s", "old"])
        .fails(2, &["in the foreground"]);
}

#[test]
fn a_snapshot_whose_server_died_is_mounted_again() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    mount(&bench, "db@s", "old");
    kill_for_good(bench.server_of("db"));
    let (mnt, old) = (bench.path("mnt"), bench.path("old"));
    let answers = cask::server::mounts::answers;
    wait_for("the mounts are dead", || !answers(&mnt) && !answers(&old));
    mount(&bench, "db@s", "old");
    assert_eq!(bench.mounts().len(), 1);
    assert_eq!(read(&bench, "old/a"), "one");
    mount(&bench, "db", "mnt");
    assert_eq!(read(&bench, "mnt/a"), "two");
}

#[test]
fn many_mounts_at_once_of_either_kind_end_in_one_server() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["umount", "db"]).succeeds();
    for _ in 0..5 {
        std::thread::scope(|scope| {
            for i in 0..8 {
                let bench = &bench;
                let what = if i % 2 == 0 { "db" } else { "db@s" };
                scope.spawn(move || mount(bench, what, &format!("many-{i}")));
            }
        });
        assert_eq!(bench.mounts().len(), 8);
        for i in 0..8 {
            let expected = if i % 2 == 0 { "two" } else { "one" };
            assert_eq!(read(&bench, &format!("many-{i}/a")), expected);
        }
        bench.run(&["umount", "db"]).succeeds();
        assert!(bench.mounts().is_empty());
    }
}

/// What backup programs compare to know a file again, and archivers to find hard links (node-tar: as doubles).
#[test]
fn an_inode_has_one_number_in_all_snapshots() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    for number in 0..30 {
        fs::write(bench.path(&format!("mnt/f{number}")), "content").unwrap();
        let linked = bench.path(&format!("mnt/g{number}"));
        fs::hard_link(bench.path(&format!("mnt/f{number}")), linked).unwrap();
    }
    bench.run(&["snapshot", "db@s"]).succeeds();
    fs::rename(bench.path("mnt/f0"), bench.path("mnt/moved")).unwrap();
    fs::remove_file(bench.path("mnt/f1")).unwrap();
    fs::write(bench.path("mnt/f1"), "another").unwrap();
    bench.run(&["snapshot", "db@t"]).succeeds();
    for snapshot in ["s", "t"] {
        mount(&bench, &format!("db@{snapshot}"), snapshot);
    }
    let ino = |path: &str| bench.path(path).metadata().unwrap().ino();
    for number in 2..30 {
        let [s, t] = ["s", "t"].map(|snapshot| ino(&format!("{snapshot}/f{number}")));
        assert_eq!((s, t), (t, ino(&format!("mnt/g{number}"))));
        assert!(s < 1 << 53);
    }
    assert_eq!(ino("s/f0"), ino("t/moved"));
    assert_eq!(ino("s/g1"), ino("t/g1"));
    assert_ne!(ino("s/f1"), ino("t/f1"));
    let dev = |path: &str| bench.path(path).metadata().unwrap().dev();
    let devices = std::collections::BTreeSet::from(["mnt", "s", "t"].map(dev));
    assert_eq!(devices.len(), 3);
    // Each is gone for itself, and is there again.
    bench.run(&["umount", "db@s"]).succeeds();
    assert_eq!(read(&bench, "t/f1"), "another");
    bench.run(&["snapshot", "rm", "db@s"]).succeeds();
    bench
        .run(&["snapshot", "rm", "db@t"])
        .fails(5, &["is mounted at"]);
    mount(&bench, "db@t", "s");
    assert_eq!(
        dev("s"),
        dev("t"),
        "one superblock for all mounts of a snapshot"
    );
    let format = "{{.SnapshotMounts}}";
    let shown = bench
        .run(&["inspect", "db", "--format", format])
        .succeeds()
        .out;
    assert_eq!(
        shown,
        format!("{}=t,{}=t\n", bench.text("s"), bench.text("t"))
    );
    bench.run(&["umount", "db@t", "db"]).succeeds();
}

/// The name may stand for another state by now.
#[test]
fn a_snapshot_of_a_used_name_is_another() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    mount(&bench, "db@s", "old");
    let open = File::open(bench.path("old/a")).unwrap();
    bench.run(&["umount", "--lazy", "old"]).succeeds();
    bench.run(&["snapshot", "rm", "db@s"]).succeeds();
    bench.run(&["snapshot", "db@s"]).succeeds();
    mount(&bench, "db@s", "old");
    assert_eq!(read(&bench, "old/a"), "two");
    assert_ne!(
        open.metadata().unwrap().dev(),
        bench.path("old").metadata().unwrap().dev()
    );
    bench.run(&["umount", "db@s"]).succeeds();
    drop(open);
    bench.run(&["umount", "db"]).succeeds();
}

/// Whoever attaches what no kernel is behind waits alone.
#[test]
fn a_server_answers_while_it_waits_for_the_kernel() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    let connect = || Client::connect(&bench.volume_dir("db")).unwrap().unwrap();
    let (silent, held) = rustix::pipe::pipe().unwrap();
    let device = Device { major: 0, minor: 1 };
    std::thread::scope(|scope| {
        let attaching = scope.spawn(|| {
            let tree = Tree::Snapshot("s".parse().unwrap());
            connect().attach(&tree, device, silent.as_fd())
        });
        std::thread::sleep(Duration::from_millis(200));
        let since = Instant::now();
        assert_eq!(connect().status().unwrap().phase, Phase::Serving);
        mount(&bench, "db", "other");
        assert!(since.elapsed() < Duration::from_secs(5));
        assert!(!attaching.is_finished());
        drop(held);
        assert!(attaching.join().unwrap().is_err());
    });
    mount(&bench, "db@s", "old");
    assert_eq!(read(&bench, "old/a"), "one");
}

/// One superblock for all snapshots, as an earlier program makes it.
fn mount_all(bench: &Bench, at: &Path) {
    use rustix::mount as m;
    let fuse = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let context = m::fsopen("fuse", m::FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&fuse).to_string();
    let settings = [
        ("source", "db@s"),
        ("subtype", "cask"),
        ("fd", &number),
        ("rootmode", "40000"),
        ("user_id", "0"),
        ("group_id", "0"),
    ];
    for (key, value) in settings {
        m::fsconfig_set_string(context.as_fd(), key, value).unwrap();
    }
    for flag in ["default_permissions", "allow_other", "ro"] {
        m::fsconfig_set_flag(context.as_fd(), flag).unwrap();
    }
    m::fsconfig_create(context.as_fd()).unwrap();
    let made = m::fsmount(
        context.as_fd(),
        m::FsMountFlags::FSMOUNT_CLOEXEC,
        m::MountAttrFlags::empty(),
    );
    let made = made.unwrap();
    let flags = rustix::fs::AtFlags::EMPTY_PATH | rustix::fs::AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(&made, "", flags, rustix::fs::StatxFlags::empty()).unwrap();
    let device = Device {
        major: stat.stx_dev_major,
        minor: stat.stx_dev_minor,
    };
    let mut client = Client::connect(&bench.volume_dir("db")).unwrap().unwrap();
    client
        .attach(&Tree::Snapshots, device, fuse.as_fd())
        .unwrap();
    let flags = m::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    m::move_mount(&made, "", rustix::fs::CWD, at, flags).unwrap();
}

#[test]
fn what_an_earlier_program_mounts_is_served_as_it_knows_it() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    fs::create_dir(bench.path("all")).unwrap();
    mount_all(&bench, &bench.path("all"));
    mount(&bench, "db@s", "old");
    let ino = |path: &str| bench.path(path).metadata().unwrap().ino();
    for round in 0..2 {
        assert_eq!(read(&bench, "all/s/a"), "one", "{round}");
        assert_eq!(read(&bench, "old/a"), "one");
        assert!(ino("all/s/a") > i64::MAX.cast_unsigned());
        assert_eq!(ino("old/a"), ino("mnt/a"));
        let server = bench.server_of("db");
        rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
        wait_for("another server", || bench.server_of("db") != server);
    }
    bench.run(&["umount", "all"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
}

/// Each has threads of its own, with a buffer of 16 MiB each, of which little is ever used.
#[test]
fn many_mounted_snapshots_cost_the_server_little_memory() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    let resident_kib = || -> u64 {
        let status = format!("/proc/{}/status", bench.server_of("db").as_raw_nonzero());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    };
    let before = resident_kib();
    for number in 0..20 {
        let name = format!("db@m{number}");
        bench.run(&["snapshot", &name]).succeeds();
        mount(&bench, &name, &format!("m{number}"));
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 20 * 4 * 1024, "{grown} KiB for 20 snapshots");
}
