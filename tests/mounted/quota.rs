//! A quota of the host: what it refuses is as on a full disk, though the system says EDQUOT.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::harness::{Mount, Random, Sandbox, VOLUME, no_loop_device, sh, write_durably};

const MIB: usize = 1 << 20;

/// A volume on a Btrfs of its own, in a subvolume that may hold 160 MiB.
#[track_caller]
fn limited() -> Option<(Mount, PathBuf)> {
    let sandbox = Sandbox::new()?;
    if no_loop_device() {
        return None;
    }
    let (disk, image) = (sandbox.subdir("disk"), sandbox.dir().join("image"));
    let script = r#"truncate -s 1G "$1"; mkfs.btrfs -q "$1"; mount -o loop "$1" "$2"
        btrfs subvolume create "$2/sub"; mkdir "$2/sub/root"
        btrfs quota enable "$2"; btrfs qgroup limit 160M "$2/sub""#;
    sh(script, &[&image, &disk]);
    let mount = Mount::prepare(sandbox, disk.join("sub/root"));
    mount.mount();
    Some((mount, disk))
}

/// What Btrfs says of a quota lags behind what was removed.
#[track_caller]
fn settle(disk: &Path) {
    sh(r#"btrfs filesystem sync "$1""#, &[disk]);
}

#[test]
fn data_that_a_quota_refuses_is_enospc_and_all_goes_on_once_there_is_room() {
    let Some((mount, disk)) = limited() else {
        return;
    };
    let (mut random, mut written) = (Random::new(11), Vec::new());
    let full = loop {
        assert!(written.len() < 200, "a quota of 160 MiB took 200");
        let path = mount.path().join(format!("{}", written.len()));
        let bytes = random.bytes(MIB);
        match write_durably(&path, &bytes) {
            Ok(()) => written.push((path, bytes)),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    let kept = written.split_off(written.len() / 2);
    for (path, _) in &written {
        fs::remove_file(path).unwrap();
    }
    mount.cask(&["gc", "-q", VOLUME]);
    settle(&disk);
    let again = mount.path().join("again");
    write_durably(&again, b"there is room").unwrap();
    let log = fs::read_to_string(mount.volume_dir().join("server.log")).unwrap();
    assert!(
        log.contains("quota exceeded"),
        "the cause is not in the log: {log}"
    );
    mount.remount();
    assert_eq!(fs::read(&again).unwrap(), b"there is room");
    for (path, bytes) in &kept {
        assert!(fs::read(path).unwrap() == *bytes, "{path:?}");
    }
    mount.umount();
    mount.cask(&["check", "-q", "--read-data", VOLUME]);
}

/// The database meets the quota rather than the data.
#[test]
fn names_that_a_quota_refuses_are_enospc_and_can_be_removed() {
    let Some((mount, disk)) = limited() else {
        return;
    };
    let ballast = mount.path().join("ballast");
    write_durably(&ballast, &Random::new(12).bytes(60 * MIB)).unwrap();
    let name = |number: usize| mount.path().join(format!("{}-{number}", "n".repeat(200)));
    let refused = (0..300_000).find_map(|number| {
        let made = File::create_new(name(number));
        made.err().map(|error| (number, error))
    });
    let (made, error) = refused.expect("a quota of 160 MiB took 300 000 long names");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    for number in 0..made.min(200) {
        fs::remove_file(name(number)).unwrap();
    }
    fs::remove_file(&ballast).unwrap();
    mount.cask(&["gc", "-q", VOLUME]);
    settle(&disk);
    write_durably(&mount.path().join("more"), b"more").unwrap();
    mount.umount();
    mount.cask(&["check", "-q", VOLUME]);
}
