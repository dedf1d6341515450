//! How many FUSE requests an operation costs, and how many writes to the host: what timing cannot hold.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Mount, Sandbox, drop_caches};

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
    rustix::fs::sync();
    if is_cold {
        if !drop_caches() {
            return BTreeMap::new();
        }
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

/// Pages that the server's memory was given by the kernel so far (proc(5), `minflt`).
fn page_faults(mount: &Mount) -> u64 {
    let stat = format!("/proc/{}/stat", mount.server_pid().as_raw_nonzero());
    let stat = fs::read_to_string(stat).unwrap();
    // After the name, which is in parentheses, comes field 3; wanted is field 10.
    let fields = stat.rsplit_once(") ").unwrap().1;
    fields.split(' ').nth(7).unwrap().parse().unwrap()
}

#[test]
fn replies_are_made_in_memory_that_is_there() {
    const MIB: u64 = 64;
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let root = sandbox.subdir("root");
    let mount = Mount::prepare(sandbox, root);
    mount.mount();
    let path = mount.path().join("large");
    let mut file = File::create(&path).unwrap();
    for mib in 0..MIB {
        file.write_all(
            &(0..1 << 17)
                .flat_map(|i| (i ^ mib << 40).to_le_bytes())
                .collect::<Vec<_>>(),
        )
        .unwrap();
    }
    file.sync_all().unwrap();
    drop(file);
    let read = || {
        if !drop_caches() {
            return 0;
        }
        let before = page_faults(&mount);
        assert_eq!(fs::read(&path).unwrap().len() as u64, MIB << 20);
        page_faults(&mount) - before
    };
    // The first time that a thread answers it makes its heap.
    let faults = (0..6).map(|_| read()).min().unwrap();
    eprintln!("{faults} page faults to read {MIB} MiB");
    // 256 pages a MiB where the heap is given back after each reply.
    assert!(faults < MIB * 64, "{faults} page faults");
}

/// Many times the same operation, one for each file.
type Repeated = fn(&Path);

const TIMES: usize = 50;

/// Each operation on a file of its own, whose names and contents the kernel has not: for ten of them, the most SQL
/// statements that the server runs, and the most system calls that it makes.
const COSTS: &[(&str, Repeated, usize, usize)] = &[
    ("stat", |file| assert!(file.exists()), 12, 45),
    ("read", |file| drop(fs::read(file).unwrap()), 55, 100),
    (
        "create, write and close",
        |file| fs::write(file.with_extension("new"), [7; 2048]).unwrap(),
        275,
        320,
    ),
    (
        "rename",
        |file| fs::rename(file, file.with_extension("moved")).unwrap(),
        215,
        290,
    ),
    ("unlink", |file| fs::remove_file(file).unwrap(), 225, 200),
    ("append and fdatasync", append, 225, 390),
];

fn append(file: &Path) {
    let mut file = File::options().append(true).open(file).unwrap();
    file.write_all(&[7; 4096]).unwrap();
    file.sync_data().unwrap();
}

/// What the server does while `operation` is done to each of so many files, by `count`.
#[track_caller]
fn repeated(mount: &Mount, operation: Repeated, count: impl FnOnce(&dyn Fn()) -> usize) -> usize {
    let dir = mount.path().join("dir");
    drop(fs::remove_dir_all(&dir));
    fs::create_dir(&dir).unwrap();
    let files: Vec<_> = (0..TIMES).map(|i| dir.join(format!("f{i}"))).collect();
    for file in &files {
        fs::write(file, [7; 2048]).unwrap();
    }
    sync(&dir);
    assert!(drop_caches(), "the kernel's caches can be dropped");
    fs::metadata(&dir).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    count(&|| files.iter().for_each(|file| operation(file))) * 10 / TIMES
}

fn statements(log: &Path, work: &dyn Fn()) -> usize {
    let before = fs::read_to_string(log).unwrap().len();
    work();
    std::thread::sleep(Duration::from_millis(100));
    let log = fs::read_to_string(log).unwrap();
    log[before..]
        .lines()
        .filter(|line| line.contains("statement: "))
        .count()
}

/// By all threads; waiting for each other is not counted.
fn system_calls(mount: &Mount, work: &dyn Fn()) -> usize {
    let log = mount.sandbox().dir().join("calls");
    let pid = mount.server_pid().as_raw_nonzero().to_string();
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "trace=!futex", "-o"])
        .arg(&log);
    let mut strace = strace.args(["-p", &pid]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    work();
    std::thread::sleep(Duration::from_millis(100));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&strace),
        rustix::process::Signal::INT,
    )
    .unwrap();
    strace.wait().unwrap();
    let calls = fs::read_to_string(&log).unwrap();
    let begun = |line: &&str| line.contains('(') && !line.contains("<... ");
    calls.lines().filter(begun).count()
}

#[test]
fn hot_operations_cost_few_statements_and_system_calls() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    if crate::harness::lacks_program(&["strace"]) {
        return;
    }
    let root = sandbox.subdir("root");
    let mount = Mount::prepare(sandbox, root);
    let mut excess = Vec::new();
    let mut note = |what: String, found: usize, most: usize| {
        eprintln!("ten times {what}: {found} of {most}");
        if found > most {
            excess.push(format!("ten times {what}: {found}, at most {most}"));
        }
    };
    mount.mount_calmly("cask::sql=trace");
    let log = mount.volume_dir().join("server.log");
    for (name, operation, most, _) in COSTS {
        let found = repeated(&mount, *operation, |work| statements(&log, work));
        note(format!("{name}, statements"), found, *most);
    }
    mount.umount();
    mount.mount_calmly("info");
    for (name, operation, _, most) in COSTS {
        let found = repeated(&mount, *operation, |work| system_calls(&mount, work));
        note(format!("{name}, system calls"), found, *most);
    }
    assert!(excess.is_empty(), "{}", excess.join("\n"));
}

/// write(2) and its like, by all threads of the server: answers to the kernel, and what goes to the host.
fn writes(mount: &Mount) -> u64 {
    let pid = mount.server_pid().as_raw_nonzero();
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let count = io.lines().find_map(|line| line.strip_prefix("syscw: "));
    count.unwrap().parse().unwrap()
}

fn sync(dir: &Path) {
    rustix::fs::syncfs(File::open(dir).unwrap()).unwrap();
}

/// Five answers, an append and two commits; an eighth of that again for what the background does meanwhile.
#[test]
fn a_created_file_costs_few_writes() {
    const FILES: u32 = 300;
    let Some(mount) = Mount::new() else {
        return;
    };
    let dir = mount.path();
    sync(&dir);
    let before = writes(&mount);
    for i in 0..FILES {
        fs::write(dir.join(format!("f{i}")), [7; 2048]).unwrap();
    }
    sync(&dir);
    let each = (writes(&mount) - before) * 10 / u64::from(FILES);
    assert!(each <= 90, "{each} writes for ten files");
}

/// An answer each, and little more for all that are stored together.
#[test]
fn pages_that_are_written_back_share_their_transactions() {
    const PAGES: u64 = 2048;
    let Some(mount) = Mount::new() else {
        return;
    };
    // Where the server may not keep processors awake its threads take turns, and each stores what it reads.
    let most = if Path::new("/dev/cpu_dma_latency").exists() {
        13
    } else {
        50
    };
    let file = File::create_new(mount.path().join("f")).unwrap();
    file.set_len(2 * PAGES * 4096).unwrap();
    file.sync_all().unwrap();
    // One of many: a machine that does something else lets pages come one by one.
    let mut each = u64::MAX;
    for round in 0..20 {
        each = each.min(pages_written_back(&mount, &file, PAGES, round));
        if each <= most {
            return;
        }
    }
    panic!("{each} writes for ten pages");
}

/// What ten of so many pages cost that are written back together.
fn pages_written_back(mount: &Mount, file: &File, pages: u64, round: u8) -> u64 {
    let before = writes(mount);
    // Every other page: else the kernel sends them as one.
    for i in 0..pages {
        let page = [u8::try_from(i % 251).unwrap() ^ round | 1; 4096];
        file.write_all_at(&page, 2 * i * 4096).unwrap();
    }
    file.sync_all().unwrap();
    (writes(mount) - before) * 10 / pages
}
