//! A full backing disk: ENOSPC, nothing acknowledged is lost, and it goes on once there is space.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use crate::harness::{Mount, Random, Sandbox, drop_caches, no_loop_device, sh, write_durably};

const MIB: usize = 1 << 20;

/// A volume on a small ext4 of its own, with a ballast file that can be taken away.
struct Small {
    mount: Mount,
    disk: PathBuf,
}

impl Small {
    #[track_caller]
    fn new() -> Option<Self> {
        let sandbox = Sandbox::new()?;
        if no_loop_device() {
            return None;
        }
        let disk = sandbox.subdir("disk");
        let image = sandbox.dir().join("image");
        let script = r#"truncate -s 192M "$1"; mkfs.ext4 -q -m 0 "$1"; mount -o loop "$1" "$2"
            head -c 40M /dev/urandom > "$2/ballast"; mkdir "$2/root"; sync -f "$2""#;
        sh(script, &[&image, &disk]);
        let root = disk.join("root");
        let mount = Mount::prepare(sandbox, root);
        mount.mount();
        Some(Self { mount, disk })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mount.path().join(name)
    }

    fn free_ballast(&self) {
        fs::remove_file(self.disk.join("ballast")).unwrap();
    }

    /// Writes files of 1 MiB until one fails. Returns those that were acknowledged.
    #[track_caller]
    fn fill(&self, random: &mut Random) -> Vec<(PathBuf, Vec<u8>)> {
        let mut written = Vec::new();
        for number in 0..400 {
            let (path, bytes) = (self.path(&format!("fill-{number}")), random.bytes(MIB));
            match write_durably(&path, &bytes) {
                Ok(()) => written.push((path, bytes)),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
                    return written;
                }
            }
        }
        panic!("400 MiB fit on a disk of 192");
    }
}

#[track_caller]
fn assert_all_there(written: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in written {
        let found = fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(found == *bytes, "{path:?} has other bytes");
    }
}

#[test]
fn a_full_disk_is_enospc_and_loses_nothing_that_was_acknowledged() {
    let Some(small) = Small::new() else { return };
    let written = small.fill(&mut Random::new(1));
    eprintln!("full after {} MiB", written.len());
    assert!(
        written.len() > 40,
        "ENOSPC after {} MiB already",
        written.len()
    );
    assert_all_there(&written);
    drop_caches();
    assert_all_there(&written);
    small.mount.remount();
    assert_all_there(&written);
}

#[test]
fn files_can_be_removed_on_a_full_disk() {
    let Some(small) = Small::new() else { return };
    let written = small.fill(&mut Random::new(2));
    let (gone, kept) = written.split_at(written.len() / 2);
    for (path, _) in gone {
        fs::remove_file(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }
    assert_all_there(kept);
    small.mount.remount();
    assert_all_there(kept);
    assert!(gone.iter().all(|(path, _)| !path.exists()));
}

#[test]
fn a_volume_goes_on_once_the_disk_has_space() {
    let Some(small) = Small::new() else { return };
    let mut written = small.fill(&mut Random::new(3));
    // A few more tries do no harm. One may succeed: what a failed write left is given back.
    let mut random = Random::new(5);
    for number in 0..5 {
        let (path, bytes) = (
            small.path(&format!("again-{number}")),
            random.bytes(3 * MIB),
        );
        if write_durably(&path, &bytes).is_ok() {
            written.push((path, bytes));
        }
    }
    small.free_ballast();
    let (path, bytes) = (small.path("after"), Random::new(4).bytes(4 * MIB));
    write_durably(&path, &bytes).unwrap();
    written.push((path, bytes));
    assert_all_there(&written);
    small.mount.remount();
    assert_all_there(&written);
}

#[test]
fn small_files_and_directories_fail_with_enospc_and_nothing_else() {
    let Some(small) = Small::new() else { return };
    let written = small.fill(&mut Random::new(5));
    let (mut made, mut error) = (Vec::new(), None);
    for number in 0..40_000 {
        let path = small.path(&format!("small-{number}"));
        let result = fs::create_dir(&path);
        match result {
            Ok(()) => made.push(path),
            Err(found) => {
                error = Some(found);
                break;
            }
        }
    }
    eprintln!("{} directories, then {error:?}", made.len());
    if let Some(error) = error {
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    for path in made.iter().take(100) {
        fs::remove_dir(path).unwrap();
    }
    assert_all_there(&written);
    small.free_ballast();
    small.mount.remount();
    assert_all_there(&written);
    assert!(made.iter().skip(100).all(|path| path.is_dir()));
}

/// Fills what is left of the disk.
fn fill_up(small: &Small) {
    let script = r#"cat /dev/zero > "$1/ballast2" || true; sync -f "$1""#;
    sh(script, &[&small.disk]);
}

fn volumes_of(small: &Small) -> Vec<String> {
    let names = fs::read_dir(small.disk.join("root/volumes")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

/// Enough rows that going back needs more of the log than is set aside.
#[test]
fn a_rollback_for_which_there_is_no_room_changes_nothing() {
    const FILES: usize = 20_000;
    let Some(small) = Small::new() else { return };
    let name = |i: usize| small.path(&format!("{i:0100}"));
    (0..FILES).for_each(|i| drop(File::create(name(i)).unwrap()));
    small.mount.cask(&["snapshot", "v@s"]);
    (0..FILES).for_each(|i| fs::remove_file(name(i)).unwrap());
    fs::write(small.path("file"), "new").unwrap();
    small.mount.umount();
    fill_up(&small);
    let done = small.mount.try_cask(&["rollback", "v@s"]);
    assert_eq!(done.status.code(), Some(1), "{}", done.output());
    assert!(done.stderr.contains("free some space"), "{}", done.output());
    let snapshots = ["snapshot", "ls", "-q", "v"];
    assert_eq!(small.mount.cask(&snapshots), "s\n");
    fs::remove_file(small.disk.join("ballast2")).unwrap();
    small.mount.mount();
    assert_eq!(fs::read_to_string(small.path("file")).unwrap(), "new");
    assert_eq!(fs::read_dir(small.mount.path()).unwrap().count(), 1);
    small.mount.umount();
    small.mount.cask(&["rollback", "v@s"]);
    small.mount.mount();
    assert_eq!(fs::read_dir(small.mount.path()).unwrap().count(), FILES);
}

#[test]
fn an_import_for_which_there_is_no_room_leaves_nothing() {
    let Some(small) = Small::new() else { return };
    fs::write(small.path("file"), "text").unwrap();
    let from = small.mount.sandbox().subdir("from");
    let mut random = Random::new(6);
    for i in 0..160 {
        fs::write(from.join(format!("{i}")), random.bytes(MIB)).unwrap();
    }
    let import = ["import", "new", &*from.to_string_lossy()];
    let done = small.mount.try_cask(&import);
    assert_eq!(done.status.code(), Some(1), "{}", done.output());
    for words in ["no space left", "no volume was made"] {
        assert!(done.stderr.contains(words), "{}", done.output());
    }
    assert_eq!(volumes_of(&small), ["v"]);
    small.mount.remount();
    assert_eq!(fs::read_to_string(small.path("file")).unwrap(), "text");
    for i in 20..160 {
        fs::remove_file(from.join(format!("{i}"))).unwrap();
    }
    small.mount.cask(&import);
    assert_eq!(volumes_of(&small), ["new", "v"]);
    write_durably(&small.path("after"), b"text").unwrap();
}

#[test]
fn a_clone_for_which_there_is_no_room_leaves_nothing() {
    let Some(small) = Small::new() else { return };
    fs::write(small.path("file"), "old").unwrap();
    small.mount.cask(&["snapshot", "v@s"]);
    fs::write(small.path("file"), "new").unwrap();
    small.mount.umount();
    sh(r#"cat /dev/zero > "$1/ballast2" || true"#, &[&small.disk]);
    let done = small.mount.try_cask(&["clone", "v@s", "c"]);
    assert_eq!(done.status.code(), Some(1), "{}", done.output());
    assert!(done.stderr.contains("free some space"), "{}", done.output());
    let names = fs::read_dir(small.disk.join("root/volumes")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names.iter().all(|name| name == "v" || name == ".lock"),
        "{names:?}"
    );
    fs::remove_file(small.disk.join("ballast2")).unwrap();
    small.mount.mount();
    assert_eq!(fs::read_to_string(small.path("file")).unwrap(), "new");
    small.mount.cask(&["clone", "v@s", "c"]);
}
