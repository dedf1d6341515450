//! Reproductions of what the review found. Each test states what should hold, and fails today.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and tell")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cask::types::{Attr, Caller, ChunkBytes, FileKind, Ino, Name, NewNode};
use cask::volume::{
    self, Config, Error, RootOwner, SetIdBits, SetXattrMode, Volume, WriteOrigin,
};

fn sh(script: &str, args: &[&Path]) {
    let status = Command::new("bash").args(["-ec", script, "sh"]).args(args).status();
    assert!(status.unwrap().success(), "{script}");
}

/// A small filesystem of its own (root only).
struct Disk(tempfile::TempDir);
impl Disk {
    fn tmpfs(mib: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        sh(&format!("mount -t tmpfs -o size={mib}M tmpfs \"$1\""), &[dir.path()]);
        Self(dir)
    }
    fn ext4(mib: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().with_extension("img");
        sh(
            &format!("truncate -s {mib}M \"$1\"; mkfs.ext4 -q -m 0 \"$1\"; mount -o loop \"$1\" \"$2\"; rm \"$1\""),
            &[&image, dir.path()],
        );
        Self(dir)
    }
    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
    /// Fills the disk but for `left` KiB.
    fn fill(&self, left: u64) {
        sh("dd if=/dev/zero of=\"$1\" bs=64K status=none || true; sync -f \"$1\"
            truncate -s $(( $(stat -c %s \"$1\") / 4096 * 4096 )) \"$1\"", &[&self.ballast()]);
        if left > 0 {
            sh(&format!("truncate -s -{left}K \"$1\"; sync -f \"$1\""), &[&self.ballast()]);
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
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    volume::create(&dir, &config, RootOwner { uid: 0, gid: 0, mode: 0o755 }).unwrap();
    dir
}

fn name(text: &str) -> &Name {
    Name::parse(text.as_bytes()).unwrap()
}

fn make(volume: &Volume, text: &str) -> Result<Attr, Error> {
    let new = NewNode { kind: FileKind::File, mode: 0o644, umask: 0, rdev: 0, target: &[] };
    volume.create(&Caller::root(), Ino::ROOT, name(text), &new)
}

fn write(volume: &Volume, ino: Ino, offset: u64, data: &[u8]) -> Result<(), Error> {
    volume.write(ino, offset, data, WriteOrigin::Caller, SetIdBits::Keep)
}

#[test]
fn an_xattr_over_the_limit_does_not_give_up_the_reserve() {
    let home = tempfile::tempdir().unwrap();
    let dir = create(home.path());
    let volume = Volume::open(&dir).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    let set = |key: &[u8]| {
        volume.set_xattr(&Caller::root(), ino, key, &[1; 40_000], SetXattrMode::Any)
    };
    set(b"user.a").unwrap();
    assert!(matches!(set(b"user.b"), Err(Error::NoSpace)));
    assert_ne!(fs::metadata(dir.join("reserve")).unwrap().len(), 0, "the reserve was given up");
}

#[test]
fn an_xattr_over_the_limit_does_not_stop_all_writing_on_a_disk_with_30_mib_free() {
    let disk = Disk::tmpfs(100);
    let dir = create(disk.0.path());
    let volume = Volume::open(&dir).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    write(&volume, ino, 0, b"x").unwrap();
    disk.fill(12 * 1024);
    let set = |key: &[u8]| {
        volume.set_xattr(&Caller::root(), ino, key, &[1; 40_000], SetXattrMode::Any)
    };
    set(b"user.a").unwrap();
    assert!(matches!(set(b"user.b"), Err(Error::NoSpace)));
    eprintln!("free now: {} KiB", disk.free_kib());
    write(&volume, ino, 0, b"y").unwrap();
}

#[test]
fn all_names_of_an_inode_fit_into_one_listxattr() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open(&create(home.path())).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    for i in 0..9000 {
        let key = format!("user.{}{}", char::from(b'a' + u8::try_from(i % 26).unwrap()), i / 26);
        let _unused = volume.set_xattr(&Caller::root(), ino, key.as_bytes(), b"", SetXattrMode::Any);
        if volume.xattr_names(ino).unwrap().len() > 65_536 {
            panic!("{} bytes of names after {i}", volume.xattr_names(ino).unwrap().len());
        }
    }
}

#[test]
fn a_segment_that_could_not_be_begun_does_not_end_all_writing() {
    let disk = Disk::tmpfs(64);
    let dir = create(disk.0.path());
    let volume = Volume::open(&dir).unwrap();
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
    for disk in [Disk::tmpfs(64), Disk::ext4(64)] {
        let dir = create(disk.0.path());
        let volume = Volume::open(&dir).unwrap();
        let ino = make(&volume, "f").unwrap().ino;
        write(&volume, ino, 0, &[1; 5000]).unwrap();
        disk.fill(0);
        let closed = volume.close();
        eprintln!("close: {closed:?}");
        disk.fill(0);
        let opened = Volume::open(&dir);
        eprintln!("open: {:?}", opened.as_ref().err());
        let volume = opened.unwrap();
        volume.unlink(Ino::ROOT, name("f")).unwrap();
        closed.unwrap();
    }
}

#[test]
fn opening_on_a_nearly_full_disk_does_not_eat_what_is_left() {
    let disk = Disk::ext4(100);
    let dir = create(disk.0.path());
    let volume = Volume::open(&dir).unwrap();
    make(&volume, "f").unwrap();
    volume.close().unwrap();
    // As after the reserve was given up.
    fs::File::options().write(true).open(dir.join("reserve")).unwrap().set_len(0).unwrap();
    disk.fill(14 * 1024);
    let before = disk.free_kib();
    let volume = Volume::open(&dir).unwrap();
    let after = disk.free_kib();
    let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(dir.join("reserve")).unwrap()) / 2;
    eprintln!("free before {before} KiB, after {after} KiB; reserve takes {blocks} KiB");
    drop(volume);
    assert!(before < 16 * 1024 && blocks == 0, "a reserve that counts as given up takes {blocks} KiB");
}

#[test]
fn an_attribute_that_was_set_is_the_one_that_is_read() {
    let home = tempfile::tempdir().unwrap();
    let volume = Volume::open(&create(home.path())).unwrap();
    volume.set_xattr(&Caller::root(), Ino::ROOT, b"user.cask.dir", b"mine", SetXattrMode::Any).unwrap();
}

#[test]
fn removals_on_a_full_disk_work_from_many_threads() {
    let disk = Disk::tmpfs(96);
    let dir = create(disk.0.path());
    let volume = Volume::open(&dir).unwrap();
    for i in 0..6000 {
        make(&volume, &format!("f{i}")).unwrap();
    }
    volume.checkpoint().unwrap();
    disk.fill(0);
    let failed = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for t in 0..8 {
            let (volume, failed) = (&volume, &failed);
            scope.spawn(move || {
                for i in (t..6000).step_by(8) {
                    if let Err(e) = volume.unlink(Ino::ROOT, name(&format!("f{i}"))) {
                        eprintln!("unlink f{i}: {e}");
                        failed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0);
}

#[test]
fn a_state_file_that_cannot_be_understood_does_not_lock_the_volume_up() {
    let home = tempfile::tempdir().unwrap();
    let dir = create(home.path());
    Volume::open(&dir).unwrap().close().unwrap();
    fs::write(dir.join("state"), b"").unwrap();
    assert!(Volume::open(&dir).is_ok());
}

// The following need faults: races.sh runs each under strace.

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = std::time::Instant::now();
    let result = run();
    eprintln!("{what} took {:?}", start.elapsed());
    result
}

fn staged() -> Option<(Volume, Ino)> {
    let dir = PathBuf::from(std::env::var_os("REVIEW_DIR")?);
    let volume = Volume::open(&dir).unwrap();
    let ino = make(&volume, "f").unwrap().ino;
    Some((volume, ino))
}

fn pause(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}

/// Faults: fsync of `segments` takes 2 s.
#[test]
fn race_entry() {
    let Some((volume, ino)) = staged() else { return };
    write(&volume, ino, 0, &[7; 9000]).unwrap();
    std::thread::scope(|scope| {
        let checkpoint = scope.spawn(|| timed("checkpoint", || volume.checkpoint()));
        pause(500);
        let start = std::time::Instant::now();
        timed("fsync", || volume.sync()).unwrap();
        let early = start.elapsed().as_millis() < 1000;
        checkpoint.join().unwrap().unwrap();
        assert!(!early, "fsync returned while the segment's directory entry was not durable yet");
    });
}

/// Faults: the third fdatasync of the segment by one thread fails, and that gets to run 2 s later.
#[test]
fn race_error() {
    let Some((volume, ino)) = staged() else { return };
    std::thread::scope(|scope| {
        let checkpoint = scope.spawn(|| {
            for _ in 0..2 {
                write(&volume, ino, 0, &[7; 9000]).unwrap();
                volume.checkpoint().unwrap();
            }
            write(&volume, ino, 0, &[8; 9000]).unwrap();
            timed("checkpoint", || volume.checkpoint())
        });
        pause(1000);
        let synced = timed("fsync", || volume.sync());
        let checkpointed = checkpoint.join().unwrap();
        eprintln!("fsync: {synced:?}; checkpoint: {checkpointed:?}");
        assert!(synced.is_err(), "fsync returned 0 though the disk reported the loss of its bytes");
    });
}

/// Faults: the 200th write to the log by one thread fails after 2 s.
#[test]
fn race_stop() {
    let Some((volume, _)) = staged() else { return };
    fs::write(std::env::var_os("REVIEW_GO").unwrap(), b"").unwrap();
    pause(2000);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            timed("first", || (0..).map(|i| make(&volume, &format!("a{i}"))).find_map(Result::err))
        });
        pause(500);
        let second = timed("second", || make(&volume, "b"));
        let first = first.join().unwrap();
        eprintln!("first: {:?}, second: {:?}, third: {:?}", first, second.as_ref().err(), make(&volume, "c").err());
        assert!(second.is_err(), "a commit was acknowledged after writing was stopped");
    });
}

#[test]
fn make_volume() {
    if let Some(dir) = std::env::var_os("REVIEW_MAKE") {
        create(Path::new(&dir));
    }
}
