//! Refusals that are none of space: a host filesystem that turns read-only, and a program that runs from a volume.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::process::Command;
use std::time::Duration;

use crate::harness::{Guard, Mount, Random, Sandbox, VOLUME, no_loop_device, sh, write_durably};

const MIB: usize = 1 << 20;

/// ext4 with `errors=remount-ro` turns read-only below open files, as a host does that met a bad disk
/// (Linux, Documentation/ABI/testing/sysfs-fs-ext4, `trigger_fs_error`).
#[test]
fn a_host_that_turns_read_only_is_an_error_to_writers_until_it_is_mended() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    if no_loop_device() {
        return;
    }
    let (disk, image) = (sandbox.subdir("disk"), sandbox.dir().join("image"));
    let make = r#"truncate -s 192M "$1"; mkfs.ext4 -q -m 0 "$1"; mount -o loop,errors=remount-ro "$1" "$2"
        mkdir "$2/root""#;
    sh(make, &[&image, &disk]);
    let mount = Mount::prepare(sandbox, disk.join("root"));
    mount.mount();
    let (mut random, path) = (Random::new(21), mount.path().join("file"));
    let old = random.bytes(MIB);
    write_durably(&path, &old).unwrap();
    sh(
        r#"dev=$(findmnt -no SOURCE "$1"); echo 1 > "/sys/fs/ext4/${dev##*/}/trigger_fs_error""#,
        &[&disk],
    );

    let new = mount.path().join("new");
    let refused = write_durably(&new, &random.bytes(MIB)).unwrap_err();
    let kinds = [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::Other];
    assert!(
        kinds.contains(&refused.kind()) || refused.raw_os_error() == Some(5),
        "{refused}"
    );
    let again = write_durably(&mount.path().join("again"), b"again");
    assert!(
        again.is_err(),
        "a volume that cannot write said that it did"
    );
    assert!(fs::read(&path).unwrap() == old, "reading goes on");
    // The log is on the disk that cannot be written.
    for said in [
        mount.cask(&["inspect", VOLUME]),
        mount.try_cask(&["doctor"]).stdout,
    ] {
        assert!(
            said.contains("Read-only file system"),
            "nobody says why: {said}"
        );
    }
    let measured = mount.cask(&["metrics"]);
    let stopped = format!("cask_writing_stopped{{volume=\"{VOLUME}\"}} 1\n");
    assert!(measured.contains(&stopped), "{measured}");

    let unmounted = mount.try_cask(&["umount", VOLUME]);
    assert!(
        unmounted.stderr.contains("Read-only file system"),
        "it was not closed in order, and nobody says why: {}",
        unmounted.stderr
    );
    sh(
        r#"umount "$2"; e2fsck -fy "$1" >/dev/null || [ $? -lt 4 ]; mount -o loop "$1" "$2""#,
        &[&image, &disk],
    );
    mount.mount();
    assert!(fs::read(&path).unwrap() == old, "what was synced is there");
    write_durably(&new, b"there is a disk again").unwrap();
    mount.umount();
    mount.cask(&["check", "-q", "--read-data", VOLUME]);
}

/// As on any filesystem (execve(2), open(2), ETXTBSY), and only for as long as it runs.
#[test]
fn a_program_that_runs_is_not_written_to_before_it_ends() {
    let Some(mount) = Mount::new() else {
        return;
    };
    for dir in [mount.path(), mount.plain()] {
        let program = dir.join("sleep");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut running = Guard::spawn(Command::new(&program).arg("60"));
        let busy = File::options().append(true).open(&program).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ExecutableFileBusy, "{dir:?}");
        // Replacing it by a rename is how programs are upgraded.
        let next = dir.join("next");
        fs::copy("/bin/true", &next).unwrap();
        fs::rename(&next, &program).unwrap();
        running.signal(rustix::process::Signal::KILL);
        running.wait(Duration::from_secs(10)).unwrap();
        let mut file = File::options().append(true).open(&program).unwrap();
        file.write_all(b"more").unwrap();
        file.sync_all().unwrap();
    }
}
