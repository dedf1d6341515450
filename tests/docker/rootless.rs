//! Podman of a user without rights: what a bind of the user's own mount shows, and the plugin in the user's namespace.

use std::fs;
use std::process::Command;

use crate::harness::{binary, run, sh, short_or_long};
use crate::host::Host;
use crate::image::busybox_root;
use crate::podman::{PROGRAMS, configure};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker/rootless.sh");
const EXPECTED: &str = "of-the-host\nits owner is 60123\nof-a-container\nanother user may not\n\
     db\nowned by 5\nby-5\ndb@snap\ncopy\nby-5\ncopy\ndb\nbound\n";

#[track_caller]
fn prepare_home(host: &Host) {
    let home = host.sandbox().subdir("home");
    let root = busybox_root(host);
    let script = r#"cd "$1"; mkdir bin run tmp dir; chmod 700 run; cp "$2" bin/cask; cp "$3" .; tar -C "$4" -cf image.tar ."#;
    sh(script, &[&home, binary().as_ref(), SCRIPT.as_ref(), &root]);
    configure(&home, "/mnt".as_ref(), "/mnt/run/cask/podman.sock".as_ref());
}

/// A host may allow user namespaces to root only.
fn may_have_namespaces() -> bool {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "60123", "--regid", "60123", "--clear-groups"]);
    let may = run(command.args(["unshare", "-Ur", "true"]), 10)
        .status
        .success();
    if !may {
        eprintln!("SKIPPED: users may have no namespaces here");
    }
    may
}

#[test]
fn podman_without_root_binds_mounts_and_uses_a_plugin_in_its_namespace() {
    let programs = [&PROGRAMS[..], &["newuidmap", "setpriv", "fusermount3"]].concat();
    let Some(host) = Host::with_programs(&programs) else {
        return;
    };
    if !may_have_namespaces() {
        return;
    }
    prepare_home(&host);
    let mut command = Command::new("unshare");
    // With its first process all others end, as the one that Podman leaves.
    command.args([
        "-m",
        "--propagation",
        "slave",
        "-p",
        "-f",
        "--kill-child",
        "--mount-proc",
    ]);
    command.args(["sh", SCRIPT]).arg(host.dir());
    let done = run(&mut command, short_or_long(90, 300));
    let log = fs::read_to_string(host.dir().join("home/plugin.log")).unwrap_or_default();
    assert!(done.status.success(), "{}\n{log}", done.output());
    assert_eq!(done.stdout, EXPECTED, "{}\n{log}", done.output());
}
