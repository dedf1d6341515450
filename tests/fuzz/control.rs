//! The control socket: lines that are nearly requests, at a server that goes on.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::str::FromStr as _;
use std::time::Duration;

use cask::control::{
    Ask, Bytes, Client, Device, GroupPart, Op, Request, Tree, VERSIONS, Wire, connect,
};
use cask::server::Server;
use cask::types::{GroupId, Limits, SnapshotName, VolumeId};

use serde::Serialize;

use crate::common::create;
use crate::{Random, abort_on_panic, for_a_while, limit_memory, mutate};

const ID: &str = "3d9a1b0e-7c1f-4f0a-9a52-0d5f6c8e1a77";

/// Lines that are requests, of every kind but those that would make something elsewhere.
fn requests() -> Vec<String> {
    let (tree, name) = (Tree::Head, SnapshotName::from_str("s").unwrap());
    let snapshot = Tree::Snapshot(name.clone());
    let ops = [
        Op::Sync,
        Op::Drain,
        Op::Usage,
        Op::CheckMetadata,
        Op::Snapshots,
        Op::MeasuredSnapshots,
        Op::TakeSnapshot {
            name: name.clone(),
            label: "l".to_owned(),
        },
        Op::RemoveSnapshot { name: name.clone() },
        Op::HoldSnapshot { name: name.clone() },
        Op::ReleaseSnapshot { name: name.clone() },
        Op::Diff {
            from: name.clone(),
            to: None,
        },
        Op::Limit {
            limits: Limits::default(),
        },
        Op::FindChunks {
            hashes: Bytes(vec![7; 70]),
        },
    ];
    let part = GroupPart {
        group: GroupId::from_str(ID).unwrap(),
        coordinator: VolumeId::from_str(ID).unwrap(),
        coordinator_dir: Bytes(b"/nowhere".to_vec()),
        name,
        label: String::new(),
    };
    let device = Device {
        major: 0,
        minor: 77,
    };
    let mut all = vec![
        Request::Status,
        Request::Attach {
            tree: tree.clone(),
            device,
        },
        Request::Descriptor { tree },
        Request::Descriptor { tree: snapshot },
        Request::Descriptor {
            tree: Tree::Snapshots,
        },
        Request::AwaitClose,
        Request::HoldForGroup { part },
        Request::PrepareInGroup,
        Request::ConcludeInGroup,
        Request::Replace,
        Request::Read { from: None },
    ];
    all.extend(ops.map(|op| Request::Perform { op }));
    let lines = all.iter().map(line_of);
    lines.chain(asks().iter().map(line_of)).collect()
}

/// What is asked of a state that is read.
fn asks() -> [Ask; 7] {
    [
        Ask::Node { ino: 1 },
        Ask::Entries { dir: 1, after: 0 },
        Ask::Entry {
            dir: 1,
            name: Bytes(b"a".to_vec()),
        },
        Ask::Target { link: 2 },
        Ask::Xattrs { ino: 1 },
        Ask::Run { file: 2, from: 0 },
        Ask::Read {
            file: 2,
            offset: 0,
            len: 10,
        },
    ]
}

fn line_of(request: &impl Serialize) -> String {
    let mut value = serde_json::to_value(request).unwrap();
    value["version"] = VERSIONS.newest().into();
    value["speaks"] = serde_json::to_value(VERSIONS).unwrap();
    value.to_string()
}

fn input(random: &mut Random, lines: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(3) {
        let mut line = random.pick(lines).as_bytes().to_vec();
        if random.below(4) > 0 {
            mutate(random, &mut line);
        }
        bytes.append(&mut line);
        bytes.push(b'\n');
    }
    bytes
}

#[test]
fn lines_of_any_bytes_are_requests_or_refused() {
    abort_on_panic();
    limit_memory();
    let (lines, mut random, mut understood) = (requests(), Random::new(), 0_u64);
    let tried = for_a_while(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours).write_all(&input(&mut random, &lines)).unwrap();
        drop(ours);
        let mut wire = Wire::new(theirs);
        for _ in 0..10 {
            match wire.receive::<Request>() {
                Ok(Some(_)) => understood += 1,
                Ok(None) => break,
                Err(_) => {}
            }
        }
    });
    eprintln!("{tried} inputs, {understood} requests in them");
    assert!(understood > 0);
}

#[test]
fn a_server_goes_on_whatever_is_said_to_it() {
    abort_on_panic();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    create(&dir);
    let server = Server::open(&dir).unwrap();
    let (lines, mut random) = (requests(), Random::new());
    let tried = for_a_while(|| {
        let mut stream = connect(&dir).unwrap().unwrap();
        // One that is to wait for the end of the volume, or of a cut, would wait for long.
        stream
            .set_read_timeout(Some(Duration::from_millis(2)))
            .unwrap();
        stream.write_all(&input(&mut random, &lines)).ok();
        let mut answer = [0; 4096];
        while matches!(stream.read(&mut answer), Ok(1..)) {}
    });
    eprintln!("{tried} conversations");
    // Who asked for the end of the volume and went away is not waited for.
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let since = std::time::Instant::now();
    while threads() > 40 && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(threads() <= 40, "{} threads", threads());
    let status = Client::connect(&dir).unwrap().unwrap().status().unwrap();
    assert_eq!(status.pid, std::process::id());
    drop(server);
}
