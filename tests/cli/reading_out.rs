//! `cask export`, `cp` and `import` of what is large, deep or in use.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cask::meta::Database;
use cask::types::{Caller, FileKind, Ino, Name, NewNode};
use cask::volume::{SetIdBits, Volume, WriteOrigin};

use crate::support::{Bench, Outcome, Running, can_mount, run, sh, wait_for};

/// Far more than can be read through in the timeout of a test.
const HUGE: u64 = 1_200 << 30;

#[track_caller]
fn assert_huge(path: &Path) {
    let file = File::open(path).unwrap();
    let stat = file.metadata().unwrap();
    assert_eq!(stat.len(), HUGE);
    assert!(stat.blocks() * 512 < 1 << 20, "holes were filled");
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, HUGE - 1_000_001).unwrap();
    assert_eq!(bytes, [0, b'x', 0]);
}

#[test]
fn holes_of_a_terabyte_go_in_and_out_at_once() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let file = File::create(bench.path("d/huge")).unwrap();
    file.set_len(HUGE).unwrap();
    file.write_all_at(b"x", HUGE - 1_000_000).unwrap();
    let look = |volume: &str| {
        let (archive, copy) = (format!("{volume}.tar"), format!("{volume}.out"));
        bench.run(&["export", volume, "-o", &archive]).succeeds();
        assert!(bench.path(&archive).metadata().unwrap().len() < 1 << 20);
        sh(
            &bench,
            r#"mkdir x; tar -xf "$1" -C x"#,
            &[Path::new(&archive)],
        );
        assert_huge(&bench.path("x/huge"));
        fs::remove_dir_all(bench.path("x")).unwrap();
        bench
            .run(&["cp", &format!("{volume}:/huge"), &copy])
            .succeeds();
        assert_huge(&bench.path(&copy));
        fs::remove_file(bench.path(&copy)).unwrap();
    };
    bench.run(&["import", "dir", "d"]).succeeds();
    look("dir");
    bench.run(&["import", "tar", "dir.tar"]).succeeds();
    fs::remove_file(bench.path("dir.tar")).unwrap();
    look("tar");
    if can_mount() {
        fs::create_dir(bench.path("mnt")).unwrap();
        bench.run(&["mount", "dir", "mnt"]).succeeds();
        look("dir");
    }
}

/// Removes and cuts files, and counts in two of them, the first always first, until it is told to stop.
fn disturb(at: &Path, is_over: &AtomicBool) {
    let mut count: u64 = 0;
    while !is_over.load(Ordering::Relaxed) {
        for name in ["first", "second"] {
            fs::write(at.join(name), count.to_string()).unwrap();
        }
        fs::write(at.join(format!("passing{count}")), vec![7; 200_000]).unwrap();
        if count >= 20 {
            fs::remove_file(at.join(format!("passing{}", count - 20))).unwrap();
        }
        let mut log = File::options();
        let mut log = log.append(true).create(true).open(at.join("log")).unwrap();
        log.write_all(&[b'l'; 50_000]).unwrap();
        if count.is_multiple_of(7) {
            log.set_len(0).unwrap();
        }
        count += 1;
    }
}

#[track_caller]
fn assert_one_moment(at: &Path) {
    let count = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(at.join(name)).ok()?;
        text.parse().ok()
    };
    // Either may be empty: it had just been opened for the next number.
    if let (Some(first), Some(second)) = (count("first"), count("second")) {
        assert!(first == second || first == second + 1, "{first} {second}");
    }
}

#[test]
fn beside_writers_an_export_and_a_copy_hold_one_moment() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/big"), vec![1; 20_000_000]).unwrap();
    let (at, is_over) = (bench.path("mnt"), AtomicBool::new(false));
    thread::scope(|scope| {
        let writer = scope.spawn(|| disturb(&at, &is_over));
        wait_for("there is something", || at.join("passing25").exists());
        let tried: Vec<Outcome> = (0..6)
            .flat_map(|i| {
                let archive = format!("{i}.tar");
                let exported = bench.run(&["export", "db", "-o", &archive]);
                [exported, bench.run(&["cp", "db:/", &format!("c{i}")])]
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        for outcome in tried {
            assert_eq!(outcome.succeeds().err, "");
        }
    });
    for i in 0..6 {
        assert_one_moment(&bench.path(&format!("c{i}")));
        let script = r#"mkdir "x$1"; tar -xf "$1.tar" -C "x$1""#;
        sh(&bench, script, &[Path::new(&i.to_string())]);
        assert_one_moment(&bench.path(&format!("x{i}")));
    }
    assert_nothing_kept(&bench);
}

/// Closes the volume: no state of it is kept that nobody knows of.
#[track_caller]
fn assert_nothing_kept(bench: &Bench) {
    // Another test's namespace may have a copy of the mount for a moment.
    let unmounted = bench.run(&["umount", "db"]);
    assert!(matches!(unmounted.code, 0 | 5), "{unmounted:?}");
    bench.wait_until_closed("db");
    let database = Database::open(&bench.volume_dir("db").join("meta.db")).unwrap();
    assert_eq!(database.read_once().unwrap().all_snapshots().unwrap(), []);
    drop(database);
    bench.run(&["check", "db"]).succeeds();
}

/// An export that has begun, and waits for somebody to read it.
fn stuck_export(bench: &Bench) -> Running {
    let mut export = bench.command(&["export", "db"]);
    let export = export.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut export = Running(export.spawn().unwrap());
    let mut begun = [0; 512];
    export
        .0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut begun)
        .unwrap();
    export
}

#[test]
fn what_a_killed_export_kept_goes() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/big"), vec![1; 20_000_000]).unwrap();
    drop(stuck_export(&bench));
    // Of one whose server is killed, the next open clears away what it kept.
    let export = stuck_export(&bench);
    let server = bench.server_of("db");
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    wait_for("another server is there", || {
        let out = bench.run(&["inspect", "db", "--format", "{{.Server.Pid}}"]);
        let pid = out.out.trim().parse::<i32>();
        out.code == 0 && pid.is_ok_and(|pid| pid != server.as_raw_nonzero().get())
    });
    drop(export);
    assert_eq!(
        bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
        ""
    );
    assert_nothing_kept(&bench);
}

#[test]
fn a_volume_on_which_nothing_can_be_kept_is_read_all_the_same() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    sh(&bench, "mkdir d mnt; echo text > d/f", &[]);
    bench.run(&["import", "--seal", "db", "d"]).succeeds();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    bench.run(&["cp", "db:/f", "f"]).succeeds();
    assert_eq!(fs::read_to_string(bench.path("f")).unwrap(), "text\n");
    bench.run(&["export", "db", "-o", "x.tar"]).succeeds();
}

#[test]
fn what_a_filesystem_says_at_close_fails_the_command() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    sh(
        &bench,
        "mkdir src small; head -c 20000000 /dev/urandom > src/f",
        &[],
    );
    bench.run(&["import", "from", "src"]).succeeds();
    bench.run(&["create", "--size", "8M", "small"]).succeeds();
    bench.run(&["mount", "small", "small"]).succeeds();
    bench
        .run(&["cp", "from:/f", "small/f"])
        .fails(1, &["cannot copy", "No space left", "nothing was copied"]);
    assert!(!bench.path("small/f").exists());
    let mut export = bench.command(&["export", "from"]);
    export.stdin(Stdio::null()).stderr(Stdio::piped());
    let out = File::create(bench.path("small/out")).unwrap();
    let done = export.stdout(out).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.contains("No space left"), "{said}");
    // What others print, too.
    fs::remove_file(bench.path("small/out")).unwrap();
    let full =
        r#""$CASK" ls > /dev/full && exit 1; "$CASK" export from > /dev/full && exit 1; true"#;
    sh(&bench, full, &[]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_an_export_without_a_word() {
    let bench = Bench::new();
    sh(&bench, "mkdir d; head -c 5000000 /dev/urandom > d/f", &[]);
    bench.run(&["import", "db", "d"]).succeeds();
    let mut export = bench.command(&["export", "db"]);
    let export = export.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut export = export.spawn().unwrap();
    drop(export.stdout.take());
    let done = export.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(141), "{:?}", done.status.signal());
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    bench.run(&["check", "db"]).succeeds();
}

/// Makes directories of this name, each in the last, and a file `bottom`.
fn dig(volume: &Volume, name: &Name, levels: usize) -> Ino {
    let new = |kind| NewNode {
        kind,
        mode: 0o755,
        umask: 0,
        rdev: 0,
        target: &[],
    };
    let mut at = Ino::ROOT;
    for _ in 0..levels {
        let directory = new(FileKind::Directory);
        at = volume
            .create(&Caller::root(), at, name, &directory)
            .unwrap()
            .ino;
    }
    let bottom = Name::parse(b"bottom").unwrap();
    let file = new(FileKind::File);
    let file = volume
        .create(&Caller::root(), at, bottom, &file)
        .unwrap()
        .ino;
    let other = Name::parse(b"other").unwrap();
    volume.link(&Caller::root(), file, at, other).unwrap();
    write(volume, file, b"here");
    file
}

fn write(volume: &Volume, file: Ino, bytes: &[u8]) {
    let origin = WriteOrigin::Caller;
    volume
        .write(file, 0, bytes, origin, SetIdBits::Keep)
        .unwrap();
}

fn deep(name: &str, levels: usize) {
    let bench = Bench::with_volume();
    let volume = Volume::open(&bench.volume_dir("db")).unwrap();
    let file = dig(&volume, Name::parse(name.as_bytes()).unwrap(), levels);
    volume.take_snapshot(&"s".parse().unwrap(), "").unwrap();
    write(&volume, file, b"HERE");
    volume.close().unwrap();
    let path = vec![name; levels].join("/");
    let changed = bench.run(&["diff", "db@s"]).succeeds().out;
    assert_eq!(changed, format!("M {path}/bottom\nM {path}/other\n"));
    bench.run(&["check", "--read-data", "db"]).succeeds();
    bench.run(&["cp", "db:/", "copy"]).succeeds();
    bench.run(&["export", "db", "-o", "x.tar"]).succeeds();
    bench.run(&["import", "dir", "copy"]).succeeds();
    bench.run(&["import", "tar", "x.tar"]).succeeds();
    for volume in ["dir", "tar"] {
        let from = format!("{volume}:/");
        // One that cannot end takes all back.
        let cut = r#"ulimit -f 0; "$CASK" cp "$1" cut 2> said && exit 1; test ! -e cut"#;
        sh(&bench, cut, &[Path::new(&from)]);
        bench.run(&["cp", &from, "again"]).succeeds();
        let look = r#"cd again; python3 - "$1" "$2" <<'END'
import os, sys
for i in range(int(sys.argv[2])): os.chdir(sys.argv[1])
assert open("bottom").read() == "HERE" and os.path.samefile("bottom", "other")
END
            cd ..; rm -r again"#;
        sh(
            &bench,
            look,
            &[Path::new(name), Path::new(&levels.to_string())],
        );
    }
    sh(&bench, "rm -r copy", &[]);
}

#[test]
fn trees_deeper_than_a_path_is_long_go_in_and_out() {
    deep("twenty-letters-a-name", 300);
}

#[test]
fn trees_of_very_many_levels_go_in_and_out() {
    deep("d", 5000);
}

#[test]
fn equal_inode_numbers_of_two_filesystems_are_two_files() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    let script = r#"mkdir d; mount -t tmpfs none d; mkdir d/sub; mount -t tmpfs none d/sub
        for at in d d/sub; do for i in $(seq 20); do echo "$at $i" > $at/f$i; ln $at/f$i $at/g$i; done; done
        comm -12 <(stat -c %i d/f* | sort) <(stat -c %i d/sub/f* | sort) | grep -q ."#;
    sh(&bench, script, &[]);
    bench.run(&["import", "db", "d"]).succeeds();
    bench.run(&["cp", "db:/", "out"]).succeeds();
    let same = r#"diff -r d out; for i in $(seq 20); do test out/sub/f$i -ef out/sub/g$i; done"#;
    let outcome = run(std::process::Command::new("bash")
        .args(["-euc", same])
        .current_dir(bench.path("")));
    sh(&bench, "umount d/sub d", &[]);
    outcome.succeeds();
}
