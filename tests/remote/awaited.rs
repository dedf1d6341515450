//! Large volumes, which are used before it is known on the host what files they have.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::proxy::{Fault, Request, When};
use crate::round_trip::another;
use crate::support::can_mount;

/// So many that what tells of them is not fetched before the mount.
const DIRS: u32 = 25;
const FILES: u32 = 1000;

fn push_many(host: &Host) {
    host.create();
    let from = host.bench.path("files");
    for dir in 0..DIRS {
        fs::create_dir_all(from.join(dir.to_string())).unwrap();
        for file in 0..FILES {
            fs::write(from.join(format!("{dir}/{file}")), format!("{dir} {file}")).unwrap();
        }
    }
    host.run(&["import", "db", from.to_str().unwrap()])
        .succeeds();
    host.push("db");
}

#[track_caller]
fn mount_from(host: &Host, more: &[&str]) -> PathBuf {
    let mnt = host.bench.path("mnt");
    let mut arguments = vec!["mount", "new", "--from", "r:db"];
    arguments.extend(more);
    arguments.push(mnt.to_str().unwrap());
    host.run(&arguments).succeeds();
    mnt
}

/// Whether what tells of files is in the remote still.
fn is_awaited(host: &Host) -> bool {
    let path = host.bench.path("root/volumes/new/volume.json");
    let config: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    config["origin"]["rows"] == "elsewhere"
}

fn pid(host: &Host) -> i32 {
    let told = host.run(&["inspect", "new", "--format", "{{.Server.Pid}}"]);
    told.succeeds().out.trim().parse().unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[track_caller]
fn umount(host: &Host) {
    host.run(&["umount", "new"]).succeeds();
    host.bench.wait_until_closed("new");
}

/// A mount and a file take some round trips, whatever else there is; a change waits, and is done once.
#[test]
fn a_file_is_read_before_it_is_known_what_others_there_are() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    push_many(&store.host());
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    proxy.add(When::any(), Fault::Delay(Duration::from_millis(50)));
    let since = Instant::now();
    let mnt = mount_from(&there, &[]);
    let mounted = since.elapsed();
    let since = Instant::now();
    assert_eq!(fs::read(mnt.join("7/77")).unwrap(), b"7 77");
    let read = since.elapsed();
    eprintln!("mounted in {mounted:?}, the first file read in {read:?}");
    assert!(mounted < Duration::from_secs(2), "{mounted:?}");
    assert!(read < Duration::from_secs(2), "{read:?}");
    // It waits for the server that follows, which the kernel sends it to.
    fs::write(mnt.join("7/fresh"), b"fresh").unwrap();
    fs::rename(mnt.join("7/78"), mnt.join("8/renamed")).unwrap();
    assert!(!is_awaited(&there));
    proxy.clear();
    there.run(&["snapshot", "new@after"]).succeeds();
    let names = fs::read_dir(mnt.join("7")).unwrap().count();
    assert_eq!(names, FILES as usize);
    assert_eq!(fs::read(mnt.join("8/renamed")).unwrap(), b"7 78");
    umount(&there);
    there.run(&["check", "--read-data", "new"]).succeeds();
}

/// How long a request takes of which is counted how many follow each other.
const TRIP: Duration = Duration::from_millis(300);

/// What is known to be needed is asked for together: of a directory what it holds, of a file where its bytes are.
#[test]
fn a_first_file_takes_three_round_trips() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    push_many(&store.host());
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    proxy.add_rule(late_tables);
    let mnt = mount_from(&there, &[]);
    // From here on it is known where rows are.
    fs::metadata(&mnt).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = Arc::clone(&asked);
    proxy.add_rule(move |request| {
        let is_of_file = ["/run/", "/pack/"]
            .iter()
            .any(|of| request.target.contains(of));
        (is_of_file && !request.is_whole).then(|| {
            asking.lock().unwrap().push(Instant::now());
            Fault::Delay(TRIP)
        })
    });
    assert_eq!(fs::read(mnt.join("7/77")).unwrap(), b"7 77");
    let asked = asked.lock().unwrap().clone();
    let trips = asked
        .chunk_by(|before, at| *at - *before < TRIP / 2)
        .count();
    assert!(trips <= 3, "{trips} round trips: {asked:?}");
    assert!(is_awaited(&there));
    umount(&there);
}

/// What tells of files does not come whole for a while.
fn late_tables(request: &Request) -> Option<Fault> {
    let is_whole = request.target.contains("/run/") && request.is_whole;
    (is_whole && request.method == "GET").then_some(Fault::Delay(Duration::from_secs(4)))
}

/// Servers die before and after they have what tells of files, and what was asked of them is answered all the same.
#[test]
fn servers_are_killed_while_it_is_not_known_what_files_there_are() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    push_many(&store.host());
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    proxy.add(
        When::request("GET", "/run/"),
        Fault::Delay(Duration::from_millis(150)),
    );
    let mnt = mount_from(&there, &["--prefetch", "metadata"]);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..20 {
                fs::write(mnt.join(format!("3/fresh {number}")), b"fresh").unwrap();
            }
        });
        for dir in 0..3 {
            kill(pid(&there));
            let path = mnt.join(format!("{dir}/500"));
            assert_eq!(fs::read_to_string(path).unwrap(), format!("{dir} 500"));
        }
        writer.join().unwrap();
    });
    proxy.clear();
    assert!(!is_awaited(&there));
    for dir in 0..DIRS {
        let listed = fs::read_dir(mnt.join(dir.to_string())).unwrap();
        let extra = if dir == 3 { 20 } else { 0 };
        assert_eq!(listed.count(), FILES as usize + extra);
    }
    umount(&there);
    there.run(&["check", "--read-data", "new"]).succeeds();
}

#[test]
fn what_has_no_tables_yet_is_unmounted_mounted_and_removed() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    push_many(&store.host());
    let proxy = store.proxy();
    let there = store.host_through(&proxy);
    there.add(&["--key-file=key"]).succeeds();
    proxy.add_rule(late_tables);
    let mnt = mount_from(&there, &["-o", "remote_timeout=2s"]);
    let ino = |mnt: &PathBuf| fs::metadata(mnt.join("9/9")).unwrap().ino();
    let before = ino(&mnt);
    // Other questions are answered, or say why not.
    there.run(&["sync", "new"]).succeeds();
    let refused = there.run(&["snapshot", "new@none"]);
    assert!(
        refused.code == 1 && refused.err.contains("is being fetched from r:db@"),
        "{refused:?}"
    );
    there.run(&["ls"]).succeeds();
    umount(&there);
    assert!(is_awaited(&there));
    there
        .run(&["check", "--repair", "new"])
        .fails(1, &["in the remote still"]);
    let refused = there.run(&["cp", "new:/9/9", "/tmp/none"]);
    assert!(
        refused.code == 1 && refused.err.contains("in the remote still"),
        "{refused:?}"
    );
    there
        .run(&["mount", "new", mnt.to_str().unwrap()])
        .succeeds();
    assert_eq!(ino(&mnt), before);
    proxy.refuse();
    let error = fs::read(mnt.join("12/12")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    proxy.resume();
    assert_eq!(fs::read(mnt.join("12/12")).unwrap(), b"12 12");
    umount(&there);
    there.run(&["rm", "-f", "new"]).succeeds();
    assert_eq!(there.left_over(), Vec::<String>::new());
}

/// What the first server tells and what the next one does are the same.
#[test]
fn nothing_looks_otherwise_when_it_is_known_what_files_there_are() {
    if !can_mount() {
        return;
    }
    let store = Store::dir();
    push_many(&store.host());
    let there = another(&store);
    let mnt = mount_from(&there, &["--prefetch", "metadata"]);
    let facts = |dir: u32| {
        let listed = fs::read_dir(mnt.join(dir.to_string())).unwrap();
        let facts = listed.map(|entry| {
            let entry = entry.unwrap();
            let found = fs::symlink_metadata(entry.path()).unwrap();
            (
                entry.file_name(),
                found.ino(),
                found.mode(),
                found.mtime_nsec(),
                found.size(),
            )
        });
        facts.collect::<Vec<_>>()
    };
    let before = facts(5);
    fs::write(mnt.join("fresh"), b"fresh").unwrap();
    assert_eq!(before, facts(5));
    umount(&there);
    there
        .run(&["mount", "new", mnt.to_str().unwrap()])
        .succeeds();
    assert_eq!(before, facts(5));
    umount(&there);
}
