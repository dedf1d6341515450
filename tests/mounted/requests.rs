//! How many FUSE requests an operation costs: on an idle machine that is what small files cost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::harness::{Mount, Sandbox, sh};

/// Each operation on files in a directory that is known: the most requests it may take, warm and cold.
/// FORGET is not counted: nobody waits for it.
///
/// What the kernel makes unavoidable under write-back: each `close` makes it forget the blocks of a
/// file, so the next `fstat` costs a GETATTR; the first write asks for `security.capability`; the times
/// of a file that was written, renamed or unlinked go out in a SETATTR.
const MOST: &[(&str, Operation, u32, u32)] = &[
    ("stat", |dir| assert!(dir.join("file").exists()), 0, 1),
    ("open and read", read, 0, 2),
    (
        "open, fstat and read",
        |dir| drop(fs::read(dir.join("file")).unwrap()),
        1,
        2,
    ),
    ("create, write and close", create, 5, 5),
    (
        "rename",
        |dir| fs::rename(dir.join("old"), dir.join("new")).unwrap(),
        3,
        4,
    ),
    (
        "unlink",
        |dir| fs::remove_file(dir.join("gone")).unwrap(),
        2,
        3,
    ),
];

type Operation = fn(&Path);

fn read(dir: &Path) {
    let mut bytes = [0; 2048];
    File::open(dir.join("file"))
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
}

fn create(dir: &Path) {
    File::create_new(dir.join("created"))
        .unwrap()
        .write_all(&[7; 2048])
        .unwrap();
}

/// The requests in the server's log, by their name.
fn requests(log: &str) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for line in log.lines() {
        let Some((_, rest)) = line.split_once("FUSE(") else {
            continue;
        };
        let Some((_, rest)) = rest.split_once(" ino ") else {
            continue;
        };
        let name = rest.split_whitespace().nth(1).unwrap_or("?");
        if !name.contains("FORGET") {
            *found.entry(name.to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn common_operations_cost_few_requests() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let root = sandbox.subdir("root");
    let mount = Mount::prepare(sandbox, root);
    // fuser logs each request; the server writes its log beside the volume.
    mount.mount_logged("fuser=debug");
    let mut excess = Vec::new();
    for (name, operation, warm, cold) in MOST {
        for (state, most) in [("warm", warm), ("cold", cold)] {
            let found = measure(&mount, *operation, state == "cold");
            let total: u32 = found.values().sum();
            eprintln!("{name}, {state}: {total} of {most}: {found:?}");
            if total > *most {
                excess.push(format!(
                    "{name}, {state}: {total} requests, at most {most}: {found:?}"
                ));
            }
        }
    }
    assert!(excess.is_empty(), "{}", excess.join("\n"));
}

/// Prepares a directory, runs `operation` in it and counts.
#[track_caller]
fn measure(mount: &Mount, operation: Operation, is_cold: bool) -> BTreeMap<String, u32> {
    let dir = mount.path().join("dir");
    fs::create_dir_all(&dir).unwrap();
    for name in ["file", "old", "new", "gone", "created"] {
        drop(fs::remove_file(dir.join(name)));
    }
    fs::write(dir.join("file"), [7; 2048]).unwrap();
    fs::write(dir.join("old"), "x").unwrap();
    fs::write(dir.join("gone"), "x").unwrap();
    sh("sync", &[]);
    if is_cold {
        sh("echo 3 > /proc/sys/vm/drop_caches", &[]);
        // The directory itself is known: what is counted is the file.
        fs::metadata(&dir).unwrap();
    } else {
        read(&dir);
        for name in ["file", "old", "gone"] {
            fs::metadata(dir.join(name)).unwrap();
        }
    }
    let log = mount.volume_dir().join("server.log");
    std::thread::sleep(Duration::from_millis(100));
    let before = fs::read_to_string(&log).unwrap().len();
    operation(&dir);
    std::thread::sleep(Duration::from_millis(100));
    requests(&fs::read_to_string(&log).unwrap()[before..])
}
