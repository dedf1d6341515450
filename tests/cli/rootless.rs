//! Without root: mounting through `fusermount3`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::killing::kill_for_good;
use crate::support::{Bench, CASK, Outcome, can_mount, run, wait_for};

const NOBODY: u32 = 65534;

/// A command that runs as the user nobody.
pub(crate) fn as_nobody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args([
        "--reuid",
        &id,
        "--regid",
        &id,
        "--clear-groups",
        "--",
        program,
    ]);
    command
}

/// Everybody may open `/dev/fuse`, as udev has it everywhere, for as long as this lives.
struct OpenDevice {
    before: Permissions,
    _turn: File,
}

impl OpenDevice {
    fn new() -> Self {
        // The device is its own lock: it is one for all tests of the machine, and nothing stays behind.
        let turn = File::open("/dev/fuse").unwrap();
        turn.lock().unwrap();
        let before = fs::metadata("/dev/fuse").unwrap().permissions();
        fs::set_permissions("/dev/fuse", Permissions::from_mode(0o666)).unwrap();
        let _turn = turn;
        Self { before, _turn }
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        drop(fs::set_permissions("/dev/fuse", self.before.clone()));
    }
}

/// A bench that belongs to nobody, with a volume of theirs.
struct Rootless(Bench, #[expect(dead_code, reason = "a guard")] OpenDevice);

impl Rootless {
    fn new() -> Self {
        let bench = Bench::new();
        for below in ["", "mnt", "mnt2"] {
            let path = bench.path(below);
            fs::create_dir_all(&path).unwrap();
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let rootless = Self(bench, OpenDevice::new());
        rootless.run(&["create", "db"]).succeeds();
        rootless
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = as_nobody(CASK);
        command
            .args(arguments)
            .env("CASK_ROOT", self.0.path("root"));
        run(command.current_dir(self.0.path("")))
    }

    fn shell(&self, script: &str) -> Outcome {
        run(as_nobody("sh")
            .args(["-c", script])
            .current_dir(self.0.path("")))
    }
}

fn can_mount_rootless() -> bool {
    if !can_mount() {
        return false;
    }
    if Path::new("/usr/bin/fusermount3").exists() || Path::new("/bin/fusermount3").exists() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "this test needs fusermount3 (package fuse3)"
    );
    eprintln!("skipped: this test needs fusermount3 (package fuse3)");
    false
}

#[test]
fn one_mountpoint_works_and_a_second_is_refused_with_the_reason() {
    if !can_mount_rootless() {
        return;
    }
    let bench = Rootless::new();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    let mounts = bench.0.mounts();
    assert_eq!(
        (mounts[0].filesystem.as_str(), mounts[0].source.to_str()),
        ("fuse.cask", Some("db"))
    );
    let second = bench.run(&["mount", "db", "mnt2"]);
    second.fails(
        5,
        &["volume \"db\" is already mounted", "fusermount3", "as root"],
    );
    bench
        .run(&["mount", "db", "mnt"])
        .fails(5, &["is already mounted at"]);
    let script = "touch -d 2001-02-03 mnt/old && cp -p mnt/old mnt/copy && stat -c %y mnt/copy";
    assert!(bench.shell(script).succeeds().out.starts_with("2001-02-03"));
    assert_eq!(
        bench.run(&["ls", "--format", "{{.Status}}"]).succeeds().out,
        "mounted\n"
    );
    bench.run(&["umount", "mnt"]).succeeds();
    assert!(bench.0.mounts().is_empty());
    bench
        .run(&["mount", "db", "mnt", "--read-only", "-o", "fsname=a\\b"])
        .succeeds();
    bench.shell("cat mnt/copy && ! touch mnt/new").succeeds();
    bench.run(&["umount", "db"]).succeeds();
    bench.run(&["rm", "-f", "db"]).succeeds();
}

#[test]
fn a_mount_in_use_and_a_dead_one_are_told_apart() {
    if !can_mount_rootless() {
        return;
    }
    let bench = Rootless::new();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    bench
        .shell(&format!("cd mnt && {CASK} umount ../mnt"))
        .fails(5, &["is in use by process"]);
    let server = bench.0.server_of("db");
    kill_for_good(server);
    bench.run(&["mount", "db", "mnt"]).succeeds();
    assert_eq!(bench.0.mounts().len(), 1);
    bench.run(&["umount", "db"]).succeeds();
}

#[test]
fn another_users_mountpoint_is_refused() {
    if !can_mount_rootless() {
        return;
    }
    let bench = Rootless::new();
    fs::create_dir(bench.0.path("roots")).unwrap();
    let refused = bench.run(&["mount", "db", "roots"]);
    refused.fails(
        1,
        &[
            "cannot mount volume \"db\"",
            "roots",
            "mountpoint of your own",
        ],
    );
    assert!(bench.0.mounts().is_empty());
    bench.0.wait_until_closed("db");
}

#[test]
fn snapshots_work_and_only_mounting_one_needs_root() {
    if !can_mount_rootless() {
        return;
    }
    let bench = Rootless::new();
    bench.shell("echo text > mnt2/file").succeeds();
    bench.run(&["import", "v", "mnt2"]).succeeds();
    bench.run(&["snapshot", "v@s"]).succeeds();
    bench.run(&["cp", "v@s:/file", "copy"]).succeeds();
    assert_eq!(fs::read_to_string(bench.0.path("copy")).unwrap(), "text\n");
    bench
        .run(&["mount", "v@s", "mnt"])
        .fails(1, &["needs root", "cask clone v@SNAP"]);
    bench.run(&["mount", "v", "mnt"]).succeeds();
    bench.run(&["snapshot", "v@t"]).succeeds();
    bench.run(&["diff", "v@s", "v@t"]).succeeds();
    bench.run(&["cp", "v@s:/file", "again"]).succeeds();
    assert_eq!(fs::read_to_string(bench.0.path("again")).unwrap(), "text\n");
    bench.run(&["clone", "v@s", "c"]).succeeds();
    bench.run(&["umount", "v"]).succeeds();
    bench.run(&["rollback", "v@s"]).succeeds();
}

/// A server knows neither its user's home nor where volumes of theirs lie.
#[test]
fn a_volume_of_a_user_has_its_scheduled_snapshots_taken() {
    if !can_mount_rootless() {
        return;
    }
    let rootless = Rootless::new();
    let bench = &rootless.0;
    rootless.run(&["set", "db", "schedule=hourly=2"]).succeeds();
    let dir = bench.volume_dir("db");
    let mut mount = as_nobody(CASK);
    mount.args(["mount", dir.to_str().unwrap(), &bench.text("mnt")]);
    mount.env_remove("CASK_ROOT").env("HOME", bench.path(""));
    run(mount.env_remove("XDG_DATA_HOME")).succeeds();
    wait_for("there is a snapshot", || {
        let listed = rootless.run(&["snapshot", "ls", "-q", "db"]).succeeds().out;
        listed.starts_with("auto-")
    });
    rootless.run(&["umount", &bench.text("mnt")]).succeeds();
}

#[test]
fn a_directory_that_may_not_be_written_is_restored() {
    if !can_mount_rootless() {
        return;
    }
    let bench = Rootless::new();
    bench.run(&["mount", "db", "mnt"]).succeeds();
    let script =
        "mkdir mnt/d mnt/d/e && echo old >mnt/d/f && echo x >mnt/d/e/x && chmod 555 mnt/d mnt/d/e";
    bench.shell(script).succeeds();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let script = "chmod 755 mnt/d && echo new >mnt/d/f && chmod 555 mnt/d";
    bench.shell(script).succeeds();
    bench.run(&["restore", "db@s:/d"]).succeeds();
    let look = "cat mnt/d/f && stat -c %a mnt/d mnt/d/e && ls -A mnt";
    assert_eq!(bench.shell(look).succeeds().out, "old\n555\n555\nd\n");
    bench.run(&["umount", "db"]).succeeds();
}
