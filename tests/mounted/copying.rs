//! `cp` and `tar -S` copy every byte of a file that another process holds dirty.
//!
//! With write-back the server knows nothing of dirty pages: were SEEK_DATA answered without having them sent first, a
//! copying program would take them for a hole.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, kill_process};

use crate::harness::{Mount, SharedMap, sh};

const MIB: u64 = 1 << 20;

/// Every way to copy; `$1` is the source, `$2` the copy.
const COPIES: &[(&str, &str)] = &[
    ("cp", r#"cp "$1" "$2""#),
    (
        "cp with copy_file_range",
        r#"cp --reflink=auto --sparse=auto "$1" "$2""#,
    ),
    ("cp without it", r#"cp --reflink=never "$1" "$2""#),
    ("cp to a sparse file", r#"cp --sparse=always "$1" "$2""#),
    (
        "tar -S",
        r#"tar -C "$(dirname "$1")" -cSf - "$(basename "$1")" | tar -xOf - > "$2""#,
    ),
    ("cat", r#"cat "$1" > "$2""#),
    ("dd", r#"dd if="$1" of="$2" bs=64k status=none"#),
];

/// Makes a dirty file with `write`, which returns what keeps it dirty, and copies it in every way.
#[track_caller]
fn check<T>(size: u64, write: impl Fn(&File) -> T) {
    let Some(mount) = Mount::new() else { return };
    for (number, (name, script)) in COPIES.iter().enumerate() {
        for target in [mount.plain(), mount.path()] {
            let source = mount.path().join(format!("source-{number}"));
            let mut options = File::options();
            let file = options
                .read(true)
                .write(true)
                .create_new(true)
                .open(&source)
                .unwrap();
            file.set_len(size).unwrap();
            let kept = write(&file);
            let copy: PathBuf = target.join(format!("copy-{number}"));
            sh(script, &[&source, &copy]);
            assert_same_bytes(name, &file, &copy);
            drop(kept);
            fs::remove_file(source).unwrap();
        }
    }
}

#[track_caller]
fn assert_same_bytes(name: &str, file: &File, copy: &Path) {
    let mut expected = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut expected, 0).unwrap();
    let found = fs::read(copy).unwrap();
    assert_eq!(found.len(), expected.len(), "{name}: another size");
    let wrong = expected
        .iter()
        .zip(&found)
        .position(|(one, other)| one != other);
    assert_eq!(wrong, None, "{name}: byte lost");
    assert!(
        expected.iter().any(|byte| *byte != 0),
        "the test wrote nothing"
    );
}

#[test]
fn a_file_held_dirty_is_copied_whole() {
    check(0, |file| file.write_all_at(&[7; 300_000], 0).unwrap());
}

#[test]
fn a_sparse_file_held_dirty_is_copied_whole() {
    check(40 * MIB, |file| {
        for offset in [0, 3 * MIB + 17, 20 * MIB, 40 * MIB - 100] {
            file.write_all_at(&[9; 100], offset).unwrap();
        }
    });
}

#[test]
fn a_file_that_is_partly_on_disk_and_partly_dirty_is_copied_whole() {
    check(0, |file| {
        file.write_all_at(&[1; 200_000], 0).unwrap();
        file.sync_all().unwrap();
        file.write_all_at(&[2; 50], 100_000).unwrap();
        file.write_all_at(&[3; 5000], 6 * MIB).unwrap();
    });
}

#[test]
fn a_file_that_is_dirty_through_a_mapping_is_copied_whole() {
    check(4 * MIB, |file| {
        let map = SharedMap::new(file, 4 << 20);
        for offset in [0, 70_000, (4 << 20) - 9] {
            map.store(offset, b"mapped!!!");
        }
        map
    });
}

/// Under the write-back cache the kernel asks where data is without having sent what it holds, and only it knows that.
#[test]
fn seeking_finds_data_that_nobody_has_synced_and_holes_however_long() {
    use rustix::fs::{SeekFrom, seek};
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("sparse");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    file.set_len(1 << 40).unwrap();
    let find = |from| seek(&file, from);
    for round in 1..50_u64 {
        let at = round << 30;
        std::os::unix::fs::FileExt::write_all_at(&file, b"here", at).unwrap();
        assert_eq!(find(SeekFrom::Data(at - 1_000_000)).unwrap(), at);
        assert_eq!(find(SeekFrom::Hole(at)).unwrap(), at + 4096);
        if round == 25 {
            // The next server finds it, too.
            kill_process(mount.server_pid(), Signal::KILL).unwrap();
        }
    }
    assert_eq!(find(SeekFrom::Hole(1 << 39)).unwrap(), 1 << 39);
    let none = find(SeekFrom::Data(1 << 39));
    assert_eq!(none, Err(rustix::io::Errno::NXIO));
    assert_eq!(find(SeekFrom::Data(1 << 40)), Err(rustix::io::Errno::NXIO));
    let plain = mount.plain().join("copy");
    let script = r#"timeout 60 cp -a "$1" "$2"; timeout 60 tar -S -C "$(dirname "$1")" -cf "$2.tar" sparse
        [ "$(stat -c %b "$2")" -lt 4000 ] && [ "$(stat -c %s "$2.tar")" -lt 4000000 ]"#;
    sh(script, &[&path, &plain]);
    let copy = fs::File::open(&plain).unwrap();
    let mut found = [0; 4];
    for round in 1..50_u64 {
        std::os::unix::fs::FileExt::read_exact_at(&copy, &mut found, round << 30).unwrap();
        assert_eq!(&found, b"here", "after {round} GiB");
    }
}

/// One file of which something was refused must not take the holes of all others away.
#[test]
fn holes_are_told_beside_a_file_that_is_over_the_limit() {
    use rustix::fs::{SeekFrom, seek};
    let Some(mount) = Mount::new() else { return };
    mount.cask(&["resize", crate::harness::VOLUME, "4M"]);
    let create = |name: &str| {
        let mut options = File::options();
        let options = options.read(true).write(true).create_new(true);
        options.open(mount.path().join(name)).unwrap()
    };
    let (sparse, over) = (create("sparse"), create("over"));
    sparse.set_len(64 * MIB).unwrap();
    sparse.write_all_at(b"x", MIB).unwrap();
    over.set_len(8 * MIB).unwrap();
    let map = SharedMap::new(&over, 8 << 20);
    map.store(0, &vec![7; 8 << 20]);
    assert_eq!(seek(&over, SeekFrom::Data(0)), Ok(0));
    assert_eq!(
        seek(&over, SeekFrom::Hole(0)),
        Ok(8 * MIB),
        "all of it is data"
    );
    assert_eq!(seek(&sparse, SeekFrom::Data(0)), Ok(MIB));
}

/// Who has the kernel send what it holds waits for the server; when server and supervisor are gone it must end with them.
#[test]
fn a_mount_whose_server_and_keeper_died_amid_a_seek_answers() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    let file = File::create_new(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(&vec![7; 48 << 20], 0).unwrap();
    let server = mount.server_pid();
    std::thread::scope(|scope| {
        // It may find the hole, or that nobody answers any more.
        scope.spawn(|| rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).ok());
        std::thread::sleep(std::time::Duration::from_millis(40));
        kill_process(server, Signal::STOP).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(40));
        crate::killing::kill_for_good(server);
    });
    let stat = sh(r#"timeout 10 stat "$1" 2>&1 || echo "status $?""#, &[&path]);
    assert!(stat.contains("status 1"), "it hangs: {stat}");
    drop(file);
    sh(r#"umount -l "$1""#, &[&mount.path()]);
    mount.mount();
}
