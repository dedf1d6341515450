//! `cask upgrade`: another program serves the volume, and whoever uses it goes on.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use cask::control::Client;
use rustix::process::Pid;

use super::await_other;
use crate::harness::{Mount, VOLUME, binary, run};
use crate::killing::supervisor_of;

fn program_of(server: Pid) -> PathBuf {
    fs::read_link(format!("/proc/{}/exe", server.as_raw_nonzero())).unwrap()
}

#[test]
fn a_newer_program_takes_over_while_files_are_written() {
    let Some(mount) = Mount::new() else { return };
    let newer = mount.sandbox().dir().join("newer");
    fs::copy(binary(), &newer).unwrap();
    let upgrade = |arguments: &[&str]| {
        let mut command = Command::new(&newer);
        let root = mount.volume_dir().ancestors().nth(2).unwrap().to_owned();
        command
            .arg("upgrade")
            .args(arguments)
            .env("CASK_ROOT", root);
        run(&mut command, 60)
    };
    let (before, done) = (mount.server_pid(), AtomicBool::new(false));
    let supervisor = supervisor_of(before).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0_u32;
            while !done.load(Ordering::Relaxed) {
                let mut file = File::create_new(mount.path().join(written.to_string())).unwrap();
                file.write_all(&written.to_ne_bytes()).unwrap();
                file.sync_all().unwrap();
                written += 1;
            }
            written
        });
        let upgraded = upgrade(&["--all"]);
        std::thread::sleep(std::time::Duration::from_millis(100));
        done.store(true, Ordering::Relaxed);
        assert_eq!(upgraded.stdout, "v\n", "{}", upgraded.output());
        let written = writer.join().unwrap();
        for i in 0..written {
            let bytes = fs::read(mount.path().join(i.to_string())).unwrap();
            assert_eq!(bytes, i.to_ne_bytes());
        }
        eprintln!("{written} files written meanwhile");
    });
    let after = mount.server_pid();
    assert_ne!(before, after);
    assert_eq!(program_of(after), newer);
    assert_eq!(supervisor_of(after), Some(supervisor));
    let again = upgrade(&[VOLUME]);
    assert!(
        again.status.success() && again.stdout.is_empty(),
        "{}",
        again.output()
    );
    assert!(again.stderr.contains("already"), "{}", again.output());
    // The next one is started from the newer program, too.
    rustix::process::kill_process(after, rustix::process::Signal::KILL).unwrap();
    assert_eq!(program_of(await_other(&mount, after)), newer);
    mount.umount();
    let unmounted = upgrade(&["--all"]);
    assert!(unmounted.status.success() && unmounted.stdout.is_empty());
}

#[test]
fn a_program_that_cannot_serve_does_not_replace_the_one_that_does() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "x").unwrap();
    let server = mount.server_pid();
    let mut client = Client::connect(&mount.volume_dir()).unwrap().unwrap();
    let bad = File::open("/bin/false").unwrap();
    client.replace(bad.as_fd()).unwrap();
    let next = await_other(&mount, server);
    assert_eq!(program_of(next), fs::canonicalize(binary()).unwrap());
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"x");
    fs::write(mount.path().join("other"), "y").unwrap();
}
