//! `cask upgrade`: another program serves the volume, and whoever uses it goes on.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use cask::control::{Client, SOCKET, VERSIONS, bind, connect};
use cask::volume::Config;
use rustix::process::Pid;

use super::{await_other, inspected_while_dying, wait_until};
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
        let mut command = mount.command_of(&newer, &["upgrade"]);
        run(command.args(arguments), 60)
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

/// Has the volume pass for one of the format before, whose tables are as they are.
fn make_older(mount: &Mount) -> u32 {
    let dir = mount.volume_dir();
    let mut config = Config::load(&dir).unwrap();
    let format = config.format;
    config.format -= 1;
    config.store(&dir).unwrap();
    format
}

/// A program that opens a volume and then cannot serve it: where it wants to listen is no directory.
fn unable_to_listen(mount: &Mount) -> PathBuf {
    let mut program = fs::read(binary()).unwrap();
    let (name, broken) = (b"control.sock", b"control/sock");
    let is_there = |i: &usize| program[*i..].starts_with(name);
    let found: Vec<usize> = (0..program.len()).filter(is_there).collect();
    assert!(!found.is_empty());
    for at in found {
        program[at..at + name.len()].copy_from_slice(broken);
    }
    let path = mount.sandbox().dir().join("unable");
    fs::copy(binary(), &path).unwrap();
    fs::write(&path, program).unwrap();
    path
}

fn log(mount: &Mount) -> String {
    fs::read_to_string(mount.volume_dir().join("server.log")).unwrap()
}

#[test]
fn once_a_newer_program_has_stepped_to_its_format_the_old_one_is_never_started() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "x").unwrap();
    let program = File::open(unable_to_listen(&mount)).unwrap();
    let replace = || {
        let mut client = Client::connect(&mount.volume_dir()).unwrap().unwrap();
        client.replace(program.as_fd()).unwrap();
    };
    // Without a step the old one goes on.
    let server = mount.server_pid();
    replace();
    let next = await_other(&mount, server);
    assert_eq!(program_of(next), fs::canonicalize(binary()).unwrap());
    let went_on = "the old one goes on";
    assert_eq!(log(&mount).matches(went_on).count(), 1, "{}", log(&mount));
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"x");
    // The old one would serve these tables, were it started.
    let format = make_older(&mount);
    replace();
    let said = format!("is of format {format}, to which no older program goes back");
    wait_until("it is down, and says why", || {
        inspected_while_dying(&mount).contains(&said)
    });
    let log = log(&mount);
    assert!(
        inspected_while_dying(&mount).contains("cannot listen"),
        "{log}"
    );
    assert_eq!(log.matches(went_on).count(), 1, "{log}");
    assert_eq!(log.matches("the server died").count(), 5, "{log}");
    let error = fs::create_dir(mount.path().join("d")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    mount.umount();
    mount.mount();
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"x");
}

#[test]
fn a_newer_program_takes_over_a_volume_of_an_older_format() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "x").unwrap();
    let newer = mount.sandbox().dir().join("newer");
    fs::copy(binary(), &newer).unwrap();
    let format = make_older(&mount);
    let mut command = mount.command_of(&newer, &["upgrade", VOLUME]);
    assert_eq!(run(&mut command, 60).stdout, "v\n");
    assert_eq!(Config::load(&mount.volume_dir()).unwrap().format, format);
    assert_eq!(program_of(mount.server_pid()), newer);
    assert_eq!(fs::read(mount.path().join("file")).unwrap(), b"x");
}

/// The socket is bound to its own place, and so can be connected to, but not replaced.
#[test]
fn an_upgrade_after_which_no_program_serves_says_so() {
    let Some(mount) = Mount::new() else { return };
    let newer = mount.sandbox().dir().join("newer");
    fs::copy(binary(), &newer).unwrap();
    make_older(&mount);
    let socket = mount.volume_dir().join(SOCKET);
    rustix::mount::mount_bind(&socket, &socket).unwrap();
    let mut command = mount.command_of(&newer, &["upgrade", VOLUME]);
    let upgraded = run(&mut command, 60);
    rustix::mount::unmount(&socket, rustix::mount::UnmountFlags::empty()).unwrap();
    assert!(!upgraded.status.success());
    for part in [
        "is down: its server died 5 times",
        "no older program",
        "cask umount v",
    ] {
        assert!(upgraded.stderr.contains(part), "{}", upgraded.output());
    }
    mount.umount();
    mount.mount();
}

/// Says one line to the server, and returns what it answers.
fn said_to_server(mount: &Mount, line: &str) -> serde_json::Value {
    let mut stream = connect(&mount.volume_dir()).unwrap().unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn programs_of_other_versions_are_understood_or_told_both_ranges() {
    let Some(mount) = Mount::new() else { return };
    let (oldest, newest) = (VERSIONS.oldest(), VERSIONS.newest());
    let knows_no_ranges = format!(r#"{{"version":{newest},"request":"status"}}"#);
    assert_eq!(said_to_server(&mount, &knows_no_ranges)["answer"], "status");
    let newer = format!(
        r#"{{"version":{newest},"speaks":[{newest},{}],"request":"status"}}"#,
        newest + 7
    );
    let answer = said_to_server(&mount, &newer);
    assert_eq!(answer["answer"], "status");
    assert_eq!(answer["version"], newest);
    assert_eq!(answer["speaks"], serde_json::json!([oldest, newest]));
    // As the asker would tell it, in a version that it reads.
    for (line, asker, version) in [
        (
            r#"{"version":70,"request":"status"}"#,
            "this cask version 70:",
            70,
        ),
        (
            r#"{"version":70,"speaks":[70,90],"request":"status"}"#,
            "this cask versions 70 to 90:",
            90,
        ),
    ] {
        let refused = said_to_server(&mount, line);
        assert_eq!(
            (&refused["answer"], &refused["kind"]),
            (&"fault".into(), &"refused".into())
        );
        assert_eq!(refused["version"], version);
        let message = refused["message"].as_str().unwrap();
        let ours = format!("the other side speaks {VERSIONS} of");
        for part in [&ours, asker, "mount it again"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

/// A server that answers whatever is asked with `answer`, until it is asked no more.
fn answering(listener: &UnixListener, answer: &str) {
    let Ok((stream, _)) = listener.accept() else {
        return;
    };
    let mut lines = BufReader::new(&stream).lines();
    while let Some(Ok(_)) = lines.next() {
        writeln!(&stream, "{answer}").unwrap();
    }
}

#[test]
fn a_server_of_later_versions_only_is_named_with_both_ranges() {
    let Some(mount) = Mount::new() else { return };
    mount.umount();
    let listener = bind(&mount.volume_dir()).unwrap();
    let serving = std::thread::spawn(move || {
        let later = r#"{"version":70,"speaks":[70,90],"answer":"unheard_of"}"#;
        answering(&listener, later);
    });
    let asked = mount.try_cask(&["upgrade", VOLUME]);
    serving.join().unwrap();
    assert!(!asked.status.success());
    let ours = format!("this cask {VERSIONS}:");
    for part in ["versions 70 to 90", &ours, "use the newer cask"] {
        assert!(asked.stderr.contains(part), "{}", asked.output());
    }
}
