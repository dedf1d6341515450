//! What must hold when things go wrong below: full disks, many threads at once, odd input, damaged hints.
//!
//! The small disks are mounted, which needs root.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and tell"
)]

#[path = "../common/volume.rs"]
mod common;
#[path = "../common/tuning.rs"]
mod tuning;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cask::types::{Caller, Ino, SetAttr};
use cask::volume::{self, ChangeKind, Depth, Error, SetXattrMode, Tuning, Volume};
use tuning::EAGER;

use common::{name, try_make as make, write};

fn sh(script: &str, args: &[&Path]) {
    let status = Command::new("bash")
        .args(["-ec", script, "sh"])
        .args(args)
        .status();
    assert!(status.unwrap().success(), "{script}");
}

/// `None` where disks cannot be mounted, which CI must not be.
fn may_mount() -> Option<()> {
    if rustix::process::geteuid().is_root() {
        return Some(());
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run as root");
    eprintln!("skipped: mounting a small disk needs root");
    None
}

/// A small filesystem of its own.
struct Disk(tempfile::TempDir);
impl Disk {
    fn tmpfs(mib: u32) -> Option<Self> {
        may_mount()?;
        let dir = tempfile::tempdir().unwrap();
        sh(
            &format!("mount -t tmpfs -o size={mib}M tmpfs \"$1\""),
            &[dir.path()],
        );
        Some(Self(dir))
    }
    fn ext4(mib: u32) -> Option<Self> {
        may_mount()?;
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().with_extension("img");
        sh(
            &format!(
                "truncate -s {mib}M \"$1\"; mkfs.ext4 -q -m 0 \"$1\"; mount -o loop \"$1\" \"$2\"; rm \"$1\""
            ),
            &[&image, dir.path()],
        );
        Some(Self(dir))
    }
    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
    /// Fills the disk but for `left` KiB.
    fn fill(&self, left: u64) {
        sh(
            "dd if=/dev/zero of=\"$1\" bs=64K status=none || true; sync -f \"$1\"
            truncate -s $(( $(stat -c %s \"$1\") / 4096 * 4096 )) \"$1\"",
            &[&self.ballast()],
        );
        if left > 0 {
            sh(
                &format!("truncate -s -{left}K \"$1\"; sync -f \"$1\""),
                &[&self.ballast()],
            );
        }
        eprintln!("free: {} KiB", self.free_kib());
    }
    fn free_kib(&self) -> u64 {
        let s = rustix::fs::statvfs(self.0.path()).unwrap();
        s.f_bavail * s.f_frsize / 1024
    }
}
impl Drop for Disk {
    fn drop(&mut self) {
        sh("umount -l \"$1\"", &[self.0.path()]);
    }
}

fn create(at: &Path) -> PathBuf {
    let dir = at.join("v");
    common::create(&dir);
    dir
}

#[test]
fn an_xattr_over_the_limit_does_not_give_up_the_reserve() {
    let home = tempfile::tempdir().unwrap();
    let dir = create(home.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    let set =
        |key: &[u8]| volume.set_xattr(&Caller::root(), ino, key, &[1; 40_000], SetXattrMode::Any);
    set(b"user.a").unwrap();
    assert!(matches!(set(b"user.b"), Err(Error::AttributesFull)));
    assert_ne!(
        fs::metadata(dir.join("reserve")).unwrap().len(),
        0,
        "the reserve was given up"
    );
}

#[test]
fn an_xattr_over_the_limit_does_not_stop_all_writing_on_a_disk_that_is_nearly_full() {
    let Some(disk) = Disk::tmpfs(100) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    write(&volume, ino, 0, b"x").unwrap();
    disk.fill(12 * 1024);
    let set =
        |key: &[u8]| volume.set_xattr(&Caller::root(), ino, key, &[1; 40_000], SetXattrMode::Any);
    set(b"user.a").unwrap();
    assert!(matches!(set(b"user.b"), Err(Error::AttributesFull)));
    eprintln!("free now: {} KiB", disk.free_kib());
    write(&volume, ino, 0, b"y").unwrap();
}

#[test]
fn all_names_of_an_inode_fit_into_one_listxattr() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open_with(&create(home.path()), EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    for i in 0..9000 {
        let key = format!(
            "user.{}{}",
            char::from(b'a' + u8::try_from(i % 26).unwrap()),
            i / 26
        );
        let _unused =
            volume.set_xattr(&Caller::root(), ino, key.as_bytes(), b"", SetXattrMode::Any);
    }
    // Nothing was removed, so that at no time there were more.
    let bytes = volume.xattr_names(ino).unwrap().len();
    assert!(bytes > 60_000 && bytes <= 65_536, "{bytes} bytes of names");
}

#[test]
fn a_segment_that_could_not_be_begun_does_not_end_all_writing() {
    let Some(disk) = Disk::tmpfs(64) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    disk.fill(0);
    let first = write(&volume, ino, 0, &[1; 5000]);
    assert!(matches!(first, Err(Error::NoSpace)), "{first:?}");
    fs::remove_file(disk.ballast()).unwrap();
    let second = write(&volume, ino, 0, &[1; 5000]);
    assert!(second.is_ok(), "there is space again, and yet: {second:?}");
}

#[test]
fn a_volume_on_a_full_disk_can_be_closed_and_opened_to_remove_files() {
    for disk in [Disk::tmpfs(64), Disk::ext4(64)].into_iter().flatten() {
        let dir = create(disk.0.path());
        let volume = Volume::open_with(&dir, EAGER).unwrap();
        let ino = make(&volume, "f").unwrap().ino;
        write(&volume, ino, 0, &[1; 5000]).unwrap();
        disk.fill(0);
        let closed = volume.close();
        eprintln!("close: {closed:?}");
        disk.fill(0);
        let opened = Volume::open_with(&dir, EAGER);
        eprintln!("open: {:?}", opened.as_ref().err());
        let volume = opened.unwrap();
        volume
            .unlink(&Caller::root(), Ino::ROOT, name("f"))
            .unwrap();
        closed.unwrap();
    }
}

#[test]
fn opening_on_a_nearly_full_disk_does_not_eat_what_is_left() {
    let Some(disk) = Disk::ext4(100) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    // So many tables that the disk has no room for what they need aside.
    for i in 0..100 {
        let ino = make(&volume, &format!("f{i}")).unwrap().ino;
        let value = [1; 40_000];
        volume
            .set_xattr(&Caller::root(), ino, b"user.a", &value, SetXattrMode::Any)
            .unwrap();
    }
    volume.close().unwrap();
    // As after the reserve was given up.
    fs::File::options()
        .write(true)
        .open(dir.join("reserve"))
        .unwrap()
        .set_len(0)
        .unwrap();
    disk.fill(14 * 1024);
    let before = disk.free_kib();
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    let after = disk.free_kib();
    let blocks =
        std::os::unix::fs::MetadataExt::blocks(&fs::metadata(dir.join("reserve")).unwrap()) / 2;
    eprintln!("free before {before} KiB, after {after} KiB; reserve takes {blocks} KiB");
    drop(volume);
    assert!(
        before < 16 * 1024 && blocks == 0,
        "a reserve that counts as given up takes {blocks} KiB"
    );
}

#[test]
fn an_attribute_that_was_set_is_the_one_that_is_read() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open_with(&create(home.path()), EAGER).unwrap();
    // Over FUSE the answer is the volume's directory on the host, for any process in any container.
    volume
        .set_xattr(
            &Caller::root(),
            Ino::ROOT,
            b"user.cask.dir",
            b"mine",
            SetXattrMode::Any,
        )
        .unwrap();
}

#[test]
fn a_collection_on_a_full_disk_gives_back_what_is_dead() {
    let Some(disk) = Disk::tmpfs(128) else { return };
    let dir = create(disk.0.path());
    // Each has a segment of its own.
    let open = || Volume::open_with(&dir, Tuning::default()).unwrap();
    let fill = |volume: &Volume, called: &str, mib: std::ops::Range<u8>| {
        let ino = make(volume, called).unwrap().ino;
        for i in mib {
            // No two pages in a row are equal, nor two chunks.
            let bytes: Vec<u8> = (0..=255_u8).flat_map(|page| [page ^ i; 4096]).collect();
            write(volume, ino, u64::from(i) << 20, &bytes).unwrap();
        }
    };
    let volume = open();
    fill(&volume, "gone", 0..16);
    volume.close().unwrap();
    let volume = open();
    fill(&volume, "half gone", 16..20);
    fill(&volume, "half", 20..22);
    volume.close().unwrap();
    let volume = open();
    // To put it together takes space.
    let pieces = make(&volume, "pieces").unwrap().ino;
    let page = |i: u8| [i + 1; 4096];
    for i in 0..64 {
        write(&volume, pieces, u64::from(i) * 4096, &page(i)).unwrap();
    }
    for called in ["gone", "half gone"] {
        volume
            .unlink(&Caller::root(), Ino::ROOT, name(called))
            .unwrap();
    }
    volume.sync().unwrap();
    disk.fill(0);
    let collected = volume.collect().unwrap();
    eprintln!("{collected:?}, free: {} KiB", disk.free_kib());
    assert!(disk.free_kib() >= 19 * 1024);
    let bytes: Vec<u8> = (0..64).flat_map(page).collect();
    assert!(volume.read(pieces, 0, 1 << 20).unwrap() == bytes);
    assert_eq!(volume.audit().unwrap(), [""; 0]);
    write(&volume, pieces, 0, &[9; 4096]).unwrap();
    volume.close().unwrap();
}

/// The extents of what was copied are still to be written, and whoever frees the source needs space first.
#[test]
fn the_source_of_copies_can_be_cut_and_removed_on_a_full_disk() {
    const GIB: u64 = 1 << 30;
    let Some(disk) = Disk::tmpfs(160) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, Tuning::default()).unwrap();
    let root = Caller::root();
    let fill = |called: &str, mib: u8| {
        let ino = make(&volume, called).unwrap().ino;
        for i in 0..mib {
            let bytes: Vec<u8> = (0..=255_u8).flat_map(|page| [page ^ i; 4096]).collect();
            write(&volume, ino, u64::from(i) << 20, &bytes).unwrap();
        }
        ino
    };
    let copy = |from: Ino, to: Ino, at: u64, end: u64| {
        let mut at = at;
        while at < end {
            let from_at = if from == to { 0 } else { at };
            let len = (end - at).min(if from == to { at } else { end });
            at += volume
                .copy_range(&root, (from, from_at), (to, at), len)
                .unwrap();
        }
    };
    let source = fill("source", 16);
    copy(source, source, 16 << 20, 2 * GIB);
    fill("junk", 8);
    let copies = (0..40).map(|i| make(&volume, &format!("copy {i}")).unwrap().ino);
    let copies: Vec<_> = copies.collect();
    for target in &copies {
        copy(source, *target, 0, 2 * GIB);
    }
    disk.fill(0);
    let shorter = SetAttr {
        size: Some(GIB),
        ..SetAttr::default()
    };
    volume.setattr(&root, source, &shorter).unwrap();
    for called in ["junk", "source", "copy 0"] {
        volume.unlink(&root, Ino::ROOT, name(called)).unwrap();
    }
    volume.reap().unwrap();
    assert_eq!(volume.audit().unwrap(), [""; 0]);
    let page = |target: &Ino, mib: u64| volume.read(*target, mib << 20, 4096).unwrap();
    for target in &copies[1..] {
        assert!(page(target, 0) == [0; 4096] && page(target, 2040) == [8; 4096]);
    }
    volume.close().unwrap();
}

/// A volume with 6000 files.
fn with_files(disk: &Disk) -> (PathBuf, Volume) {
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    for i in 0..6000 {
        make(&volume, &format!("f{i}")).unwrap();
    }
    (dir, volume)
}

/// Of 16 MiB the reserve takes 5, and the log of 6000 new files would take more than the rest.
#[test]
fn a_disk_that_is_full_of_the_log_is_not_full() {
    let Some(disk) = Disk::tmpfs(16) else { return };
    let (_dir, volume) = with_files(&disk);
    volume.close().unwrap();
}

/// The format has it that a log is of 4 MiB at least: a shorter one was cut by something else.
#[test]
fn a_log_that_was_shortened_on_a_full_disk_is_no_damage() {
    let Some(disk) = Disk::tmpfs(16) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    let length = || fs::metadata(dir.join("meta.db-wal")).unwrap().len();
    let shrank = (0..6000).any(|i| {
        let before = length();
        make(&volume, &format!("f{i}")).unwrap();
        length() < before
    });
    assert!(shrank, "the disk was never full of the log");
    // As a kill leaves it.
    drop(volume);
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    assert_eq!(volume.check(Depth::Metadata).unwrap().problems, [""; 0]);
    volume.close().unwrap();
}

#[test]
fn removals_on_a_full_disk_work_from_many_threads() {
    let Some(disk) = Disk::tmpfs(96) else { return };
    let (dir, volume) = with_files(&disk);
    volume.checkpoint().unwrap();
    disk.fill(0);
    let failed = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for t in 0..8 {
            let (volume, failed) = (&volume, &failed);
            scope.spawn(move || {
                for i in (t..6000).step_by(8) {
                    if let Err(e) =
                        volume.unlink(&Caller::root(), Ino::ROOT, name(&format!("f{i}")))
                    {
                        if failed.load(std::sync::atomic::Ordering::SeqCst) < 20 {
                            let start = std::time::Instant::now();
                            while start.elapsed().as_secs() < 3
                                && volume
                                    .unlink(&Caller::root(), Ino::ROOT, name(&format!("f{i}")))
                                    .is_err()
                            {
                                pause(20);
                            }
                            eprintln!(
                                "unlink f{i}: {e}; it worked, or not, after {:?}",
                                start.elapsed()
                            );
                        }
                        failed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            });
        }
    });
    sh("ls -lsR \"$1\" >&2", &[&dir]);
    assert_eq!(failed.into_inner(), 0);
}

/// Who removes: whoever made the files, or who opens the volume next, with nothing of a log that it could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remover {
    Same,
    Next,
}

/// Makes files with all that a file can have, has a snapshot see them, fills the disk, and removes them all.
fn remove_all_on_a_full(disk: &Disk, files: u32, remover: Remover) {
    let dir = create(disk.0.path());
    let mut volume = Volume::open_with(&dir, EAGER).unwrap();
    for i in 0..files {
        let ino = make(&volume, &format!("f{i}")).unwrap().ino;
        write(&volume, ino, 0, format!("content of {i}").as_bytes()).unwrap();
        let value = [7; 100];
        volume
            .set_xattr(&Caller::root(), ino, b"user.a", &value, SetXattrMode::Any)
            .unwrap();
    }
    let seen = "seen".parse().unwrap();
    volume.take_snapshot(&seen, "").unwrap();
    disk.fill(0);
    if remover == Remover::Next {
        volume.close().unwrap();
        disk.fill(0);
        volume = Volume::open_with(&dir, EAGER).unwrap();
    }
    let unlink = |i: u32| volume.unlink(&Caller::root(), Ino::ROOT, name(&format!("f{i}")));
    unlink(0).unwrap();
    let refused = (0..100).find_map(|i| make(&volume, &format!("new {i}")).err());
    assert!(
        matches!(refused, None | Some(Error::NoSpace)),
        "{refused:?}"
    );
    for i in 1..files {
        unlink(i).unwrap_or_else(|e| panic!("f{i} of {files}: {e}"));
    }
    volume.close().unwrap();
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    assert_eq!(volume.check(Depth::Data).unwrap().problems, [""; 0]);
    let snapshot = volume.snapshot(&seen).unwrap();
    let changes = volume.diff(&snapshot, None).unwrap().into_iter();
    let removed = changes.filter(|change| change.kind == ChangeKind::Removed);
    assert_eq!(removed.count(), usize::try_from(files).unwrap());
    volume.close().unwrap();
}

#[test]
fn a_small_volume_on_a_full_disk_can_be_emptied() {
    for remover in [Remover::Same, Remover::Next] {
        for disk in [Disk::tmpfs(8), Disk::ext4(16)].into_iter().flatten() {
            remove_all_on_a_full(&disk, 12, remover);
        }
    }
}

#[test]
fn a_volume_that_grew_can_be_emptied_on_a_full_disk() {
    let sizes = [
        (Disk::tmpfs(64), 200, Remover::Next),
        (Disk::tmpfs(64), 800, Remover::Same),
        (Disk::ext4(128), 2500, Remover::Next),
    ];
    for (disk, files, remover) in sizes {
        let Some(disk) = disk else { continue };
        remove_all_on_a_full(&disk, files, remover);
    }
}

#[test]
fn a_state_file_that_cannot_be_understood_does_not_lock_the_volume_up() {
    let home = tempfile::tempdir().unwrap();
    let dir = create(home.path());
    Volume::open_with(&dir, EAGER).unwrap().close().unwrap();
    fs::File::create(dir.join("state")).unwrap();
    assert!(Volume::open_with(&dir, EAGER).is_ok());
}

// The following need faults: races.sh runs each under strace.

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = std::time::Instant::now();
    let result = run();
    eprintln!("{what} took {:?}", start.elapsed());
    result
}

fn pause(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}

#[test]
fn everything_can_be_removed_on_a_full_disk() {
    let Some(disk) = Disk::ext4(160) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    for i in 0..40_000 {
        let ino = make(
            &volume,
            &format!("a-rather-long-name-that-takes-some-space-{i}"),
        )
        .unwrap()
        .ino;
        if i % 4 == 0 {
            write(&volume, ino, 0, &u32::to_le_bytes(i)).unwrap();
        }
    }
    disk.fill(0);
    sh("ls -lsR \"$1\" >&2", &[&dir]);
    for i in 0..40_000 {
        if let Err(e) = volume.unlink(
            &Caller::root(),
            Ino::ROOT,
            name(&format!("a-rather-long-name-that-takes-some-space-{i}")),
        ) {
            sh("ls -lsR \"$1\" >&2", &[&dir]);
            pause(3000);
            let again = volume.unlink(
                &Caller::root(),
                Ino::ROOT,
                name(&format!("a-rather-long-name-that-takes-some-space-{i}")),
            );
            eprintln!(
                "3 s later: {again:?}; checkpoint: {:?}",
                volume.checkpoint()
            );
            sh("ls -lsR \"$1\" >&2", &[&dir]);
            eprintln!("close: {:?}", volume.close());
            sh("ls -lsR \"$1\" >&2; cat \"$1/state\" >&2", &[&dir]);
            eprintln!("open: {:?}", Volume::open_with(&dir, EAGER).err());
            panic!("unlink number {i}: {e}; free {} KiB", disk.free_kib());
        }
    }
}

#[test]
fn a_file_of_tiny_extents_costs_its_reader_little() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open_with(&create(home.path()), EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    for i in 0..2000 {
        write(&volume, ino, i, &[u8::try_from(i % 250).unwrap() + 1]).unwrap();
    }
    let mut len = 2000;
    let start = std::time::Instant::now();
    while len < 1 << 20 {
        let n = volume
            .copy_range(&Caller::root(), (ino, 0), (ino, len), 2000)
            .unwrap();
        len += n;
    }
    eprintln!(
        "made {len} extents by copy_file_range in {:?}",
        start.elapsed()
    );
    let rss = || {
        fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .find(|l| l.starts_with("VmHWM"))
            .unwrap()
            .to_owned()
    };
    let before = rss();
    let read = std::time::Instant::now();
    volume.read(ino, 0, 1 << 20).unwrap();
    let took = read.elapsed();
    eprintln!(
        "one READ of 1 MiB took {took:?}; {before} before, {} after",
        rss()
    );
    assert!(took.as_millis() < 200);
}

#[test]
fn counting_does_not_stop_writers() {
    let home = tempfile::tempdir().unwrap();
    let dir = create(home.path());
    let conn = rusqlite::Connection::open(dir.join("meta.db")).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000)
         INSERT INTO inode SELECT i, 1, 32768, 420, 0, 0, 1, 5, 0, 0, 1, i, 0, 0, 0, 0, 0, 0, NULL, NULL FROM n;
         UPDATE setting SET value = 3000000 WHERE key = 'numbers'",
    ).unwrap();
    conn.close().unwrap();
    common::sum_pages(&dir.join("meta.db"));
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    make(&volume, "warm").unwrap();
    let slowest = std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            for _ in 0..5 {
                timed("usage", || volume.usage()).unwrap();
            }
        });
        let mut slowest = std::time::Duration::ZERO;
        for i in 0.. {
            if counting.is_finished() {
                break;
            }
            let start = std::time::Instant::now();
            make(&volume, &format!("f{i}")).unwrap();
            slowest = slowest.max(start.elapsed());
            pause(5);
        }
        slowest
    });
    eprintln!("slowest create: {slowest:?}");
    assert!(slowest.as_millis() < 50);
}

#[test]
fn an_empty_write_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open_with(&create(home.path()), EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    write(&volume, ino, 100, b"").unwrap();
    assert_eq!(volume.getattr(ino).unwrap().size, 0);
}

#[test]
fn long_punches_and_cuts_agree_with_bytes_in_memory() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open_with(&create(home.path()), EAGER).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    let mut bytes = vec![0_u8; 3 << 20];
    for i in 0..3000_usize {
        let byte = u8::try_from(i % 255).unwrap() + 1;
        let at = i * 1000;
        bytes[at..at + 700].fill(byte);
        write(&volume, ino, at as u64, &[byte; 700]).unwrap();
    }
    let end = 2999 * 1000 + 700;
    let same = |bytes: &[u8]| {
        let found = volume.read(ino, 0, 4 << 20).unwrap();
        assert!(found == bytes, "{} {}", found.len(), bytes.len());
        assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    };
    same(&bytes[..end]);
    volume
        .fallocate(
            &Caller::root(),
            ino,
            1300,
            2_000_000,
            volume::FallocateMode::PunchHole,
        )
        .unwrap();
    bytes[1300..2_001_300].fill(0);
    same(&bytes[..end]);
    for i in 0..1500_usize {
        let at = i * 1000 + 100;
        bytes[at..at + 300].fill(9);
        write(&volume, ino, at as u64, &[9; 300]).unwrap();
    }
    same(&bytes[..end]);
    let cut = cask::types::SetAttr {
        size: Some(12_350),
        ..Default::default()
    };
    volume.setattr(&Caller::root(), ino, &cut).unwrap();
    same(&bytes[..12_350]);
    volume
        .unlink(&Caller::root(), Ino::ROOT, name("f"))
        .unwrap();
    volume.reap().unwrap();
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
}

/// The least of the reserve is there, and others have taken all else: the next server must have that to open with.
#[test]
fn a_server_that_follows_on_a_full_disk_has_the_least_of_the_reserve() {
    let Some(disk) = Disk::tmpfs(128) else { return };
    let dir = create(disk.0.path());
    let volume = Volume::open_with(&dir, Tuning::default()).unwrap();
    let ino = make(&volume, "data").unwrap().ino;
    let mut block = 0;
    let mut put = || {
        let mut bytes = vec![7; 1 << 20];
        bytes[..8].copy_from_slice(&u64::to_le_bytes(block));
        block += 1;
        write(&volume, ino, block << 20, &bytes)
    };
    // Full once with all of the reserve; then there is room for the least of it, and for a little more.
    while put().is_ok() {}
    // Small changes go on in the log's own space, until the database itself has to grow.
    let small = |number: u32| make(&volume, &format!("small-{number}"));
    let large = |number: u32| {
        let ino = small(number)?.ino;
        volume.set_xattr(
            &Caller::root(),
            ino,
            b"user.large",
            &[1; 40_000],
            SetXattrMode::Any,
        )
    };
    let refused = (100..2000).find(|&number| large(number).is_err());
    assert!(refused.is_some(), "the database never had to grow");
    assert!(
        (0..20).any(|number| small(number).is_ok()),
        "the reserve never came back"
    );
    let reserve = fs::metadata(dir.join("reserve")).unwrap().len();
    assert!((1 << 20..32 << 20).contains(&reserve), "{reserve}");
    disk.fill(0);
    // As a kill leaves it.
    drop(volume);
    let volume = Volume::open_with(&dir, Tuning::default()).unwrap();
    volume
        .unlink(&Caller::root(), Ino::ROOT, name("data"))
        .unwrap();
    volume.close().unwrap();
}
