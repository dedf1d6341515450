//! Work that takes long: how far it is and what comes of it are told as they come, and it ends with its command.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cask::control::{
    Answer, Bytes, Change, ChangeKind, Client, Phase, Program, Request, Status, Wire, bind,
};
use cask::types::VolumeId;
use serde_json::Value;

use crate::support::{Bench, Running, can_mount, sh, wait_for};

/// More than a pipe and the control socket hold.
const NAMES: usize = 20_000;

/// A volume that is mounted, in which many names came after the snapshot `a`.
fn with_many_names() -> Bench {
    let bench = Bench::with_mount();
    bench.run(&["snapshot", "db@a"]).succeeds();
    let file = bench.path("mnt/file");
    fs::write(&file, "text").unwrap();
    for i in 0..NAMES {
        let name = format!("mnt/a-name-that-is-not-short-at-all-{i:08}");
        fs::hard_link(&file, bench.path(&name)).unwrap();
    }
    bench
}

/// A command whose standard output is not read, but for its first line.
fn begun(bench: &Bench, arguments: &[&str]) -> (Running, BufReader<ChildStdout>, String) {
    let mut command = bench.command(arguments);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let mut out = BufReader::with_capacity(64, running.0.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    (running, out, first)
}

/// How many the server works for, or reads to.
fn readers(bench: &Bench) -> usize {
    let mut client = Client::connect(&bench.volume_dir("db")).unwrap().unwrap();
    client.status().unwrap().readers.unwrap()
}

#[track_caller]
fn ends_within_a_second(bench: &Bench, running: Running) {
    drop(running);
    let since = Instant::now();
    wait_for("nobody is worked for", || readers(bench) == 0);
    assert!(since.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_diff_that_is_read_slowly_is_in_nobodys_way_and_whole() {
    if !can_mount() {
        return;
    }
    let bench = with_many_names();
    let (mut diff, mut out, first) = begun(&bench, &["diff", "db@a"]);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(diff.0.try_wait().unwrap(), None, "it waits to be read");
    let since = Instant::now();
    fs::write(bench.path("mnt/more"), "more").unwrap();
    bench.run(&["snapshot", "db@b"]).succeeds();
    bench.run(&["gc", "-q", "db"]).succeeds();
    assert!(since.elapsed() < Duration::from_secs(5));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(diff.0.wait().unwrap().success());
    let all = first + &rest;
    assert_eq!(all.lines().count(), NAMES + 1);
    assert!(all.lines().is_sorted(), "as they were before");
    assert!(!all.contains("more"));
}

#[test]
fn work_ends_with_its_command() {
    if !can_mount() {
        return;
    }
    let bench = with_many_names();
    let (diff, out, _) = begun(&bench, &["diff", "db@a"]);
    ends_within_a_second(&bench, diff);
    drop(out);
    fs::write(bench.path("mnt/noise"), noise(64 << 20)).unwrap();
    for arguments in [
        &["check", "--read-data", "--format=json", "db"][..],
        &["gc", "--format=json", "db"],
    ] {
        let mut command = bench.command(arguments);
        let running = Running(command.stdout(Stdio::null()).spawn().unwrap());
        wait_for("it is worked for", || {
            readers(&bench) > 0 || running_is_over(&running)
        });
        ends_within_a_second(&bench, running);
    }
    bench.run(&["check", "--read-data", "-q", "db"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
}

fn running_is_over(running: &Running) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.id()));
    stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// Whoever reads a part, as `head` does, has the rest not made, and that is no failure.
#[test]
fn a_diff_whose_reader_has_seen_enough_ends() {
    if !can_mount() {
        return;
    }
    let bench = with_many_names();
    let head = sh(&bench, "$CASK diff db@a | head -n 1", &[]);
    assert_eq!(head.out.lines().count(), 1);
    wait_for("nobody is worked for", || readers(&bench) == 0);
}

#[test]
fn progress_and_the_end_are_told_to_programs() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    fs::write(bench.path("d/noise"), noise(8 << 20)).unwrap();
    bench.run(&["import", "db", "d"]).succeeds();
    let told = bench.run(&["check", "--read-data", "--format=json", "db"]);
    let lines = objects(&told.succeeds().out);
    assert!(lines.len() >= 2, "{lines:?}");
    let (last, before) = lines.split_last().unwrap();
    assert!(before.iter().all(|line| line["done"].as_u64() > Some(0)));
    assert!(last["Bytes"].as_u64() >= Some(8 << 20), "{last}");
    assert_eq!(last["Problems"], serde_json::json!([]));
    let told = bench.run(&["gc", "--format=json", "db"]).succeeds();
    let last = objects(&told.out).pop().unwrap();
    assert_eq!(last["Volume"], "db");
    assert!(last["Reclaimed"].is_u64());
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..len / 8).flat_map(&mut next).collect()
}

fn status() -> Answer {
    Answer::Status(Status {
        pid: std::process::id(),
        uuid: VolumeId::random(),
        phase: Phase::Serving,
        device: None,
        snapshots: None,
        shown: Some(Vec::new()),
        supervisor: None,
        program: Program::this(),
        stopped: None,
        readers: Some(0),
        logical_bytes: None,
    })
}

/// A server in place of that of `db`, which answers work by `work`.
fn answering(bench: &Bench, work: impl Fn(&mut Wire) + Send + Sync + 'static) {
    let listener = bind(&bench.volume_dir("db")).unwrap();
    let work = std::sync::Arc::new(work);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let work = std::sync::Arc::clone(&work);
            thread::spawn(move || serve(stream, &*work));
        }
    });
}

fn serve(stream: UnixStream, work: &dyn Fn(&mut Wire)) {
    let mut wire = Wire::new(stream);
    while let Ok(Some(request)) = wire.receive::<Request>() {
        match request.body {
            Request::Status => wire.send(&status(), None).unwrap(),
            Request::Work { .. } => return work(&mut wire),
            _ => wire.send(&Answer::Done, None).unwrap(),
        }
    }
}

/// The most memory that a process has had, in KiB (proc(5), VmHWM).
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}

#[test]
fn many_changes_take_a_command_no_more_memory_than_a_few() {
    const PAGES: usize = 400;
    const PAGE: usize = 1000;
    let bench = Bench::with_volume();
    let (sent, is_sent) = mpsc::channel();
    let (measured, is_measured) = mpsc::channel::<()>();
    let is_measured = std::sync::Mutex::new(is_measured);
    answering(&bench, move |wire| {
        for page in 0..PAGES {
            let change = |i| Change {
                kind: ChangeKind::Added,
                path: Bytes(format!("{:090}/{page:06}-{i:06}", 0).into_bytes()),
                old_path: None,
            };
            let list = (0..PAGE).map(change).collect();
            wire.send(&Answer::Changes { list }, None).unwrap();
        }
        sent.send(()).unwrap();
        is_measured.lock().unwrap().recv().unwrap();
        wire.send(&Answer::Done, None).unwrap();
    });
    let mut diff = bench.command(&["diff", "db@a", "db@b"]);
    let mut diff = Running(diff.stdout(Stdio::piped()).spawn().unwrap());
    let out = BufReader::new(diff.0.stdout.take().unwrap());
    let counting = thread::spawn(move || out.lines().count());
    is_sent.recv_timeout(Duration::from_secs(120)).unwrap();
    let peak = peak_kib(diff.0.id());
    measured.send(()).unwrap();
    assert!(diff.0.wait().unwrap().success());
    assert_eq!(counting.join().unwrap(), PAGES * PAGE);
    assert!(peak < 32 * 1024, "{peak} KiB");
}

/// A server that dies half way must not have another tell from the start what was told already.
#[test]
fn a_diff_whose_server_dies_half_way_fails() {
    let bench = Bench::with_volume();
    answering(&bench, |wire| {
        let list = vec![Change {
            kind: ChangeKind::Added,
            path: Bytes(b"one".to_vec()),
            old_path: None,
        }];
        wire.send(&Answer::Changes { list }, None).unwrap();
    });
    let told = bench.run(&["diff", "db@a", "db@b"]);
    assert_eq!((told.code, told.out.as_str()), (1, "+ one\n"), "{told:?}");
    assert!(told.err.contains("server has ended"), "{told:?}");
}

/// A client of an earlier cask has one answer, as before.
#[test]
fn an_earlier_cask_is_answered_as_before() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["snapshot", "db@a"]).succeeds();
    fs::write(bench.path("mnt/new"), "").unwrap();
    let stream = cask::control::connect(&bench.volume_dir("db"));
    let stream = stream.unwrap().unwrap();
    let mut lines = BufReader::new(&stream).lines();
    let mut ask = |op: &str| -> BTreeMap<String, Value> {
        writeln!(&stream, r#"{{"version":2,"request":"perform","op":{op}}}"#).unwrap();
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
    };
    let answer = ask(r#"{"diff":{"from":"a","to":null}}"#);
    assert_eq!(
        (&answer["version"], &answer["answer"]),
        (&2.into(), &"changes".into())
    );
    assert_eq!(answer["list"].as_array().unwrap().len(), 1);
    assert_eq!(ask(r#""check_metadata""#)["answer"], "checked");
    assert_eq!(ask(r#""collect""#)["answer"], "collected");
}
