//! mount(8) and /etc/fstab, by way of `/sbin/mount.fuse.cask`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{Bench, CASK, Outcome, can_mount, run};

const LINK: &str = "/sbin/mount.fuse.cask";

/// The link that mount(8) looks for; one that was there is put back.
struct Link {
    before: Option<std::path::PathBuf>,
}

impl Link {
    fn make() -> Self {
        let before = fs::read_link(LINK).ok();
        drop(fs::remove_file(LINK));
        symlink(CASK, LINK).unwrap();
        Self { before }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(fs::remove_file(LINK));
        if let Some(before) = &self.before {
            drop(symlink(before, LINK));
        }
    }
}

fn mount(bench: &Bench, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("mount");
    command.args(arguments).env("CASK_ROOT", bench.path("root"));
    run(command.current_dir(bench.path("")))
}

fn options_at(bench: &Bench, below: &str) -> String {
    let at = bench.path(below);
    let found = bench.mounted().into_iter().find(|(path, _)| *path == at);
    found.map(|(_, options)| options).unwrap()
}

#[test]
fn mount_8_knows_the_type() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    fs::create_dir(bench.path("mnt2")).unwrap();
    let link = Link::make();
    mount(&bench, &["-t", "fuse.cask", "db", &bench.text("mnt")]).succeeds();
    assert_eq!(options_at(&bench, "mnt"), "rw,relatime");
    let options = "nosuid,nodev,noexec,ro";
    mount(
        &bench,
        &["-t", "fuse.cask", "-o", options, "db", &bench.text("mnt2")],
    )
    .succeeds();
    assert_eq!(
        options_at(&bench, "mnt2"),
        "ro,nosuid,nodev,noexec,relatime"
    );

    mount(&bench, &["-o", "remount,ro", &bench.text("mnt")]).succeeds();
    assert!(options_at(&bench, "mnt").starts_with("ro"));
    mount(&bench, &["-o", "remount,rw", &bench.text("mnt2")]).succeeds();
    assert_eq!(
        options_at(&bench, "mnt2"),
        "rw,nosuid,nodev,noexec,relatime"
    );
    assert!(
        options_at(&bench, "mnt").starts_with("ro"),
        "the other mount changed as well"
    );
    File::create(bench.path("mnt2/file")).unwrap();
    bench.run(&["umount", "db"]).succeeds();

    let table = bench.text("fstab");
    let line = format!(
        "db {} fuse.cask defaults,nosuid,nofail,_netdev,x-systemd.requires=a 0 0\n",
        bench.text("mnt")
    );
    File::create(&table)
        .unwrap()
        .write_all(line.as_bytes())
        .unwrap();
    mount(&bench, &["-T", &table, &bench.text("mnt")]).succeeds();
    assert_eq!(options_at(&bench, "mnt"), "rw,nosuid,relatime");
    drop(link);
}

#[test]
fn the_helper_takes_mounts_arguments() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let link = bench.path("mount.fuse.cask");
    symlink(CASK, &link).unwrap();
    let call = |arguments: &[&str]| {
        let mut command = Command::new(&link);
        command.args(arguments).env("CASK_ROOT", bench.path("root"));
        run(command.current_dir(bench.path("")))
    };
    call(&["db", "mnt", "-f", "-o", "rw"]).succeeds();
    assert!(bench.mounts().is_empty());
    call(&["db", "mnt", "-o", "bogus"]).fails(2, &["\"bogus\""]);
    call(&["nope", "mnt"]).fails(3, &["no volume \"nope\""]);
    call(&["db"]).fails(2, &["a source and a target", "usage:"]);
    call(&["db", "mnt", "-sn", "-o", "rw,bogus", "-t", "fuse.cask"]).succeeds();
    assert!(Path::new(&bench.mounted()[0].0).ends_with("mnt"));
}
