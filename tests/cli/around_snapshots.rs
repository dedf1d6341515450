//! What is done before and after a snapshot.

use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::support::{Bench, start, wait_for};

#[test]
fn commands_are_run_around_a_snapshot() {
    let bench = Bench::with_volume();
    let before = format!(
        "cd {}; echo said; cask_ls() {{ ls root/volumes/db; }}; cask_ls > before",
        bench.text("")
    );
    let after = format!(
        "{} --root {} snapshot ls -q db > {}",
        env!("CARGO_BIN_EXE_cask"),
        bench.text("root"),
        bench.text("after")
    );
    let done = bench.run(&["snapshot", "db@s", "--before", &before, "--after", &after]);
    let done = done.succeeds();
    assert_eq!(done.out, "db@s\n", "what commands say goes elsewhere");
    assert!(done.err.contains("said"), "{}", done.err);
    assert!(bench.path("before").exists());
    assert_eq!(fs::read_to_string(bench.path("after")).unwrap(), "s\n");
}

#[test]
fn no_snapshot_is_taken_where_the_first_command_fails_and_the_last_is_run_all_the_same() {
    let bench = Bench::with_volume();
    let after = format!("touch {}", bench.text("after"));
    bench
        .run(&["snapshot", "db@s", "--before", "exit 3", "--after", &after])
        .fails(1, &["\"exit 3\" failed", "exit status: 3"]);
    assert!(bench.path("after").exists());
    assert_eq!(
        bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
        ""
    );
    // On two lines, too.
    bench
        .run(&["snapshot", "db@s", "--before", "true\nexit 5"])
        .fails(1, &["exit 5\" failed", "exit status: 5"]);
    // The snapshot is there, and the command says that not all is well.
    let done = bench.run(&["snapshot", "db@s", "--after", "exit 4"]);
    assert_eq!(done.out, "db@s\n");
    assert!(
        done.code == 1 && done.err.contains("\"exit 4\" failed"),
        "{done:?}"
    );
}

#[test]
fn the_last_command_is_run_also_when_the_snapshot_is_killed_and_after_the_first() {
    let bench = Bench::with_volume();
    let (begun, ended, log) = (bench.text("begun"), bench.text("ended"), bench.text("log"));
    let before = format!("touch {begun}; sleep 0.5; echo before >> {log}");
    let after = format!("echo after >> {log}; touch {ended}");
    let mut command = bench.command(&["snapshot", "db", "--before", &before, "--after", &after]);
    command.stdout(Stdio::null());
    let running = start(&mut command);
    wait_for("the first command runs", || bench.path("begun").exists());
    // A service manager ends all that a command has started, and then the command.
    let helper = std::process::Command::new("pkill")
        .args(["-TERM", "-f", &format!("^cask afterwards .*{ended}")])
        .status();
    assert!(helper.unwrap().success());
    drop(running);
    wait_for("the last command was run", || bench.path("ended").exists());
    assert_eq!(fs::read_to_string(log).unwrap(), "before\nafter\n");
}

#[test]
fn an_engine_that_cannot_be_asked_has_no_snapshot_taken() {
    let bench = Bench::with_volume();
    let mut command = bench.command(&["snapshot", "db@s", "--pause"]);
    command.env("DOCKER_HOST", format!("unix://{}", bench.text("none")));
    crate::support::run(&mut command)
        .fails(1, &["cannot pause", "no snapshot was taken", "--pause"]);
    let mut command = bench.command(&["snapshot", "db@s", "--pause"]);
    command.env("DOCKER_HOST", "tcp://elsewhere:2375");
    crate::support::run(&mut command).fails(2, &["on another host"]);
    assert_eq!(
        bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
        ""
    );
}

#[test]
fn one_that_pauses_says_what_it_waits_for() {
    let bench = Bench::with_volume();
    let lock = File::create(bench.path("root/.pausing")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut command = bench.command(&["snapshot", "db@s", "--pause"]);
    command.env("DOCKER_HOST", format!("unix://{}", bench.text("none")));
    let outcome = thread::scope(|scope| {
        let waiting = scope.spawn(|| crate::support::run(&mut command));
        thread::sleep(Duration::from_millis(500));
        assert!(!waiting.is_finished(), "it did not wait");
        drop(lock);
        waiting.join().unwrap()
    });
    let said = format!(
        "cask: waiting for another `cask snapshot --pause` with the root {}, for 60 s at most\n",
        bench.text("root")
    );
    assert!(outcome.err.starts_with(&said), "{outcome:?}");
    // And then goes on: to the engine, which is not there.
    outcome.fails(1, &["cannot pause", "no snapshot was taken"]);
}

#[test]
fn a_root_that_cannot_be_written_to_has_no_containers_paused() {
    let bench = Bench::with_volume();
    fs::write(bench.path("file"), "").unwrap();
    let dir = bench.volume_dir("db");
    let mut command = bench.command(&["snapshot", dir.to_str().unwrap(), "--pause"]);
    command.env("CASK_ROOT", bench.path("file/root"));
    let lock = bench.text("file/root/.pausing");
    crate::support::run(&mut command).fails(
        1,
        &[
            &format!("cannot lock {lock}"),
            "Not a directory",
            "no snapshot was taken",
            "can be written to",
        ],
    );
}
