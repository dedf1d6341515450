//! The Debian package: installed, upgraded and removed on a Debian of its own with systemd, with a volume in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{binary, lacks_program, run_ok, sh};
use crate::host::{Host, wait_for};
use crate::machine::{CONTAINER, Machine, end_writer, start_writer, unmount};

const DEBIAN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker/debian.sh");

/// A package of `binary`, as `cargo deb` makes it of the release build.
#[track_caller]
fn package(host: &Host, version: &str) -> PathBuf {
    let crate_dir = host.dir().join("crate");
    // The program is what is tested, not built anew: the rest of the crate is as it is.
    let script = r#"mkdir -p "$1/target/release" && cd "$2" && cp -a Cargo.toml Cargo.lock LICENSE README.md CHANGELOG.md \
        docs packaging systemd src benches tests "$1" && cp "$3" "$1/target/release/cask" && strip "$1/target/release/cask""#;
    if !crate_dir.exists() {
        sh(
            script,
            &[
                &crate_dir,
                env!("CARGO_MANIFEST_DIR").as_ref(),
                binary().as_ref(),
            ],
        );
    }
    let made = host.dir().join(format!("cask_{version}.deb"));
    let mut command = Command::new("cargo");
    command.args([
        "deb",
        "--no-build",
        "--no-strip",
        "--fast",
        "--deb-version",
        version,
        "--output",
    ]);
    command
        .arg(&made)
        .current_dir(&crate_dir)
        .env_remove("CARGO_TARGET_DIR");
    run_ok(&mut command, 120);
    made
}

/// Debian with systemd, made once and kept for the next run.
#[track_caller]
fn debian(host: &Host) -> PathBuf {
    let root = host.sandbox().subdir("debian");
    let script = r#"cache=${XDG_CACHE_HOME:-$HOME/.cache}/cask-tests; made=$cache/debian-bookworm-1
        if [ ! -e "$made" ]; then
            mkdir -p "$cache"; new=$(mktemp -d "$cache/new-XXXXXX")
            "$2" "$new" || { rm -rf "$new"; exit 1; }
            mv -T "$new" "$made"
        fi
        tar --xattrs -C "$1" -xf "$made/root.tar""#;
    sh(script, &[&root, Path::new(DEBIAN)]);
    root
}

#[track_caller]
fn boot() -> Option<Machine> {
    if lacks_program(&["cargo-deb", "debootstrap"]) {
        return None;
    }
    let host = Host::new()?;
    let root = debian(&host);
    for version in ["0.1.0-1", "0.1.0-2"] {
        let made = package(&host, version);
        fs::copy(made, root.join(format!("root/{version}.deb"))).unwrap();
    }
    Machine::boot(host, &root, &[])
}

/// Installs a package, which must say nothing that sounds like a fault.
#[track_caller]
fn install(machine: &Machine, version: &str) -> String {
    machine.run(&["dpkg", "-i", &format!("/root/{version}.deb")])
}

/// The files of the package that are there.
fn files(machine: &Machine, listed: &str) -> Vec<String> {
    let all = listed.lines().map(|line| line.trim_start_matches('/'));
    let there = all.filter(|path| {
        !path.is_empty()
            && fs::symlink_metadata(machine.root.join(path)).is_ok_and(|it| !it.is_dir())
    });
    there.map(str::to_owned).collect()
}

/// What the package holds, a path a line.
#[track_caller]
fn contents(machine: &Machine) -> String {
    let listed = machine.run(&["dpkg", "-L", "cask"]);
    for path in [
        "/usr/bin/cask",
        "/usr/sbin/mount.fuse.cask",
        "/usr/libexec/docker/cli-plugins/docker-cask",
        "/usr/share/man/man1/cask-snapshot.1.gz",
        "/usr/share/bash-completion/completions/cask",
        "/usr/share/zsh/vendor-completions/_cask",
        "/usr/share/fish/vendor_completions.d/cask.fish",
        "/usr/share/doc/cask/copyright",
    ] {
        assert!(
            listed.lines().any(|line| line == path),
            "no {path} in {listed}"
        );
    }
    assert!(files(machine, &listed).len() > 60, "{listed}");
    listed
}

#[track_caller]
fn check_units(machine: &Machine) {
    for unit in ["cask-docker.socket", "cask-schedule.timer"] {
        assert_eq!(machine.run(&["systemctl", "is-enabled", unit]), "enabled");
        assert_eq!(machine.run(&["systemctl", "is-active", unit]), "active");
    }
}

#[test]
fn a_package_is_installed_upgraded_and_removed_beside_a_volume_in_use() {
    let Some(machine) = boot() else { return };
    install(&machine, "0.1.0-1");
    let listed = contents(&machine);
    check_units(&machine);
    // By mount(8), and by an engine.
    machine.run(&["cask", "create", "mine", "--schedule", "hourly=2"]);
    machine.run(&["mkdir", "/mnt/mine"]);
    machine.run(&["mount", "-t", "fuse.cask", "mine", "/mnt/mine"]);
    machine.run(&["umount", "/mnt/mine"]);
    machine.run(&["systemctl", "start", "cask-schedule.service"]);
    assert!(
        machine
            .run(&["cask", "snapshot", "ls", "-q", "mine"])
            .starts_with("auto-")
    );
    machine.call("Create", r#"{"Name": "db"}"#);
    for _ in 0..2 {
        machine.call("Mount", r#"{"Name": "db", "ID": "a"}"#);
    }
    start_writer(&machine);
    let servers = machine.servers();

    let goes_on = |what: &str| {
        let before = machine.appended();
        wait_for(&format!("the writer goes on after {what}"), || {
            machine.appended() > before + 20
        });
    };
    let said = install(&machine, "0.1.0-2");
    assert!(said.contains("cask upgrade --all"), "{said}");
    assert_eq!(machine.servers(), servers);
    goes_on("the upgrade");
    machine.run(&["cask", "upgrade", "--all"]);
    goes_on("another program");
    machine.call("Mount", r#"{"Name": "db", "ID": "b"}"#);
    machine.call("Unmount", r#"{"Name": "db", "ID": "b"}"#);

    let servers = machine.servers();
    machine.run(&["dpkg", "--remove", "cask"]);
    assert_eq!(machine.servers(), servers);
    goes_on("the removal");
    assert_eq!(files(&machine, &listed), [""; 0]);
    install(&machine, "0.1.0-2");
    goes_on("the next installation");
    end_writer(&machine);
    unmount(&machine);
    machine.run(&["dpkg", "--purge", "cask"]);
    assert_eq!(files(&machine, &listed), [""; 0]);
    let left = machine.run(&[
        "sh",
        "-c",
        "find / -xdev -path /proc -prune -o -path /root -prune -o -name '*cask*' -print",
    ]);
    let left: Vec<_> = left
        .lines()
        .filter(|path| !path.starts_with("/var/lib/cask"))
        .collect();
    assert_eq!(left, [""; 0], "what is left behind, volumes apart");
    assert!(Path::new(&machine.root.join("var/lib/cask/volumes/db/volume.json")).exists());
    machine.host.docker_ok(&["rm", "-f", CONTAINER]);
}
