//! The disk below a volume goes away while it is in use, and comes back in the same boot.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;

use crate::harness::{Mount, Random, Sandbox, no_loop_device, run_ok, sh};
use crate::killing::kill_for_good;

const MIB: usize = 1 << 20;

/// Has the filesystem at a path end at once, without writing what it holds (ext4's `EXT4_IOC_SHUTDOWN` with
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`): as if its disk had been pulled.
const PULL: &str = r#"
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
"#;

/// The log reaches the disk before the bytes that it names: nobody had synced either.
#[test]
fn what_was_synced_is_there_and_what_was_not_is_rolled_back() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    if no_loop_device() {
        return;
    }
    let (disk, image) = (sandbox.subdir("disk"), sandbox.dir().join("image"));
    let make = r#"truncate -s 192M "$1"; mkfs.ext4 -q -m 0 "$1"; mount -o loop "$1" "$2"; mkdir "$2/root""#;
    sh(make, &[&image, &disk]);
    let mount = Mount::prepare(sandbox, disk.join("root"));
    mount.mount();
    let (mut random, path) = (Random::new(5), mount.path().join("file"));
    let old = random.bytes(MIB);
    let mut file = File::create(&path).unwrap();
    file.write_all(&old).unwrap();
    file.sync_all().unwrap();
    let new = random.bytes(MIB);
    fs::write(&path, &new).unwrap();
    let server = mount.server_pid();
    let log = File::options()
        .append(true)
        .open(mount.volume_dir().join("meta.db-wal"));
    log.unwrap().sync_data().unwrap();
    run_ok(Command::new("python3").args(["-c", PULL]).arg(&disk), 20);
    kill_for_good(server);
    drop(file);
    sh(
        r#"umount -l "$3"; umount "$2"; mount -o loop "$1" "$2""#,
        &[&image, &disk, &mount.path()],
    );
    mount.mount();
    let found = fs::read(&path).expect("what replaced it never reached the disk");
    assert!(
        found == old || new.starts_with(&found),
        "neither the old bytes nor the first of the new ones"
    );
    mount.umount();
    let said = mount.cask(&["check", "--read-data", crate::harness::VOLUME]);
    assert!(!said.contains("cannot be read"), "{said}");
}
