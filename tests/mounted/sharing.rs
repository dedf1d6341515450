//! Several mounts of one volume, in several namespaces and processes, are one filesystem.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, RenameFlags, inotify};
use rustix::io::Errno;

use crate::harness::{Guard, Mount, SharedMap, run, run_ok};
use crate::helper::{self, Namespace};

const WORKERS: usize = 4;

/// A volume mounted twice here and once in each of two other namespaces.
struct Shared {
    // Before the mount: a namespace that lives keeps the volume open.
    namespaces: Vec<Namespace>,
    second: PathBuf,
    mount: Mount,
}

impl Shared {
    #[track_caller]
    fn new() -> Option<Self> {
        let mount = Mount::new()?;
        let second = mount.sandbox().subdir("second");
        mount.mount_at(&second);
        let namespaces = vec![Namespace::new(), Namespace::new()];
        let inner = mount.sandbox().subdir("inner");
        for namespace in &namespaces {
            let wanted = mount.command(&["mount", crate::harness::VOLUME, &text(&inner)]);
            run_ok(&mut namespace.command(&wanted), 60);
        }
        Some(Self {
            namespaces,
            second,
            mount,
        })
    }

    fn inner(&self) -> PathBuf {
        self.mount.sandbox().dir().join("inner")
    }

    /// Every mount, as a path that works from here.
    fn views(&self) -> Vec<PathBuf> {
        let inner = self.inner();
        let inside = self
            .namespaces
            .iter()
            .map(|namespace| namespace.path(&inner));
        [self.mount.path(), self.second.clone()]
            .into_iter()
            .chain(inside)
            .collect()
    }

    /// Starts one process a mount for `action`, with the mount's path and a number as arguments.
    #[track_caller]
    fn spawn(&self, action: &str, more: &[&str]) -> Vec<Guard> {
        let inner = self.inner();
        let places = [
            (None, self.mount.path()),
            (None, self.second.clone()),
            (Some(&self.namespaces[0]), inner.clone()),
            (Some(&self.namespaces[1]), inner),
        ];
        let start = |(index, (namespace, dir)): (usize, (Option<&Namespace>, PathBuf))| {
            let (dir, index) = (text(&dir), index.to_string());
            let mut arguments = vec![dir.as_str(), index.as_str()];
            arguments.extend_from_slice(more);
            helper::spawn(namespace, action, &arguments)
        };
        places.into_iter().enumerate().map(start).collect()
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_write_through_one_mount_is_seen_at_once_through_every_other() {
    let Some(shared) = Shared::new() else { return };
    let views = shared.views();
    let devices: Vec<_> = views
        .iter()
        .map(|view| fs::metadata(view).unwrap().dev())
        .collect();
    assert!(
        devices.iter().all(|dev| *dev == devices[0]),
        "one superblock: {devices:?}"
    );
    let open = |view: &PathBuf| {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(view.join("file"))
            .unwrap()
    };
    let files: Vec<_> = views.iter().map(open).collect();
    for round in 0..200_usize {
        let writer = round % files.len();
        let bytes = format!("round {round:06}");
        files[writer]
            .write_all_at(bytes.as_bytes(), round as u64 * 3)
            .unwrap();
        for (reader, file) in files.iter().enumerate() {
            let mut seen = vec![0; bytes.len()];
            file.read_exact_at(&mut seen, round as u64 * 3).unwrap();
            assert_eq!(
                seen,
                bytes.as_bytes(),
                "round {round}: {writer} wrote, {reader} reads"
            );
            assert_eq!(file.metadata().unwrap().len(), round as u64 * 3 + 12);
        }
    }
    for (number, view) in views.iter().enumerate() {
        fs::write(view.join(format!("by-{number}")), "x").unwrap();
        for other in &views {
            assert!(other.join(format!("by-{number}")).exists());
        }
        fs::remove_file(view.join(format!("by-{number}"))).unwrap();
        for other in &views {
            assert!(!other.join(format!("by-{number}")).exists());
        }
    }
}

#[test]
fn a_shared_mapping_is_one_memory_for_processes_in_different_namespaces() {
    let Some(shared) = Shared::new() else { return };
    let file = File::create_new(shared.mount.path().join("memory")).unwrap();
    file.set_len(8192).unwrap();
    let workers = shared.spawn("mapping", &[]);
    helper::join(workers);
    let total: u32 = fs::read(shared.second.join("memory")).unwrap()[4096..4100]
        .iter()
        .map(|byte| u32::from(*byte))
        .sum();
    assert_eq!(total, 200, "each turn was counted");
}

/// Takes 50 turns: a worker's turn is when byte 0 says so; then it passes the turn on.
fn take_turns(dir: &Path, index: usize) {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .open(dir.join("memory"))
        .unwrap();
    let map = SharedMap::new(&file, 8192);
    let start = Instant::now();
    for _ in 0..50 {
        while usize::from(map.bytes()[0].load(Ordering::SeqCst)) != index {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the turn never came"
            );
            std::thread::yield_now();
        }
        map.bytes()[4096 + index].fetch_add(1, Ordering::SeqCst);
        let next = u8::try_from((index + 1) % WORKERS).unwrap();
        map.bytes()[0].store(next, Ordering::SeqCst);
    }
}

#[test]
fn fcntl_locks_exclude_each_other_across_mounts() {
    check_locks("fcntl");
}

#[test]
fn flock_locks_exclude_each_other_across_mounts() {
    check_locks("flock");
}

#[track_caller]
fn check_locks(kind: &str) {
    let Some(shared) = Shared::new() else { return };
    let path = shared.mount.path().join("counter");
    fs::write(&path, 0_u64.to_le_bytes()).unwrap();
    helper::join(shared.spawn("lock", &[kind]));
    let bytes = fs::read(&path).unwrap();
    assert_eq!(
        bytes,
        (WORKERS as u64 * 100).to_le_bytes(),
        "an increment was lost"
    );
    let held = File::options().read(true).write(true).open(&path).unwrap();
    lock(&held, kind, FlockOperation::NonBlockingLockExclusive).unwrap();
    helper::join(shared.spawn("try-lock", &[kind]));
}

fn lock(file: impl AsFd, kind: &str, operation: FlockOperation) -> rustix::io::Result<()> {
    match kind {
        "fcntl" => rustix::fs::fcntl_lock(file, operation),
        _ => rustix::fs::flock(file, operation),
    }
}

/// Adds one to the number in a file 100 times, with a pause between reading and writing.
fn increment_locked(dir: &Path, kind: &str) {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .open(dir.join("counter"))
        .unwrap();
    for _ in 0..100 {
        lock(&file, kind, FlockOperation::LockExclusive).unwrap();
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 0).unwrap();
        std::thread::yield_now();
        let next = u64::from_le_bytes(bytes) + 1;
        file.write_all_at(&next.to_le_bytes(), 0).unwrap();
        lock(&file, kind, FlockOperation::Unlock).unwrap();
    }
}

fn find_locked(dir: &Path, kind: &str) {
    let file = File::options()
        .read(true)
        .write(true)
        .open(dir.join("counter"))
        .unwrap();
    let result = lock(&file, kind, FlockOperation::NonBlockingLockExclusive);
    assert!(
        matches!(result, Err(Errno::AGAIN | Errno::ACCESS)),
        "{result:?}"
    );
}

#[test]
fn appending_processes_never_overwrite_each_other() {
    let Some(shared) = Shared::new() else { return };
    File::create_new(shared.mount.path().join("log")).unwrap();
    helper::join(shared.spawn("append", &[]));
    let text = fs::read_to_string(shared.second.join("log")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        let (key, padding) = line.split_once(' ').unwrap();
        let (worker, number) = key.split_once('-').unwrap();
        assert_eq!(padding, padding_of(worker, number), "a torn line: {line:?}");
        assert!(seen.insert(key.to_owned()), "{key} is there twice");
    }
    assert_eq!(seen.len(), WORKERS * 500, "a line was overwritten");
}

/// Lines of many lengths, so that pages are shared between writers.
fn padding_of(worker: &str, number: &str) -> String {
    worker.repeat(number.parse::<usize>().unwrap() * 37 % 300)
}

fn append_lines(dir: &Path, worker: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    for number in 0..500 {
        let number = number.to_string();
        let line = format!("{worker}-{number} {}\n", padding_of(worker, &number));
        assert_eq!(file.write(line.as_bytes()).unwrap(), line.len());
    }
}

#[test]
fn inotify_fires_for_what_another_mount_does() {
    let Some(shared) = Shared::new() else { return };
    let views = shared.views();
    for (watched, acting) in [(0, 2), (2, 0), (3, 1), (2, 3)] {
        let watcher = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let wanted = inotify::WatchFlags::CREATE | inotify::WatchFlags::CLOSE_WRITE;
        let wanted = wanted | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
        inotify::add_watch(&watcher, &views[watched], wanted).unwrap();
        let name = format!("event-{watched}-{acting}");
        fs::write(views[acting].join(&name), "x").unwrap();
        fs::rename(views[acting].join(&name), views[acting].join("moved")).unwrap();
        fs::remove_file(views[acting].join("moved")).unwrap();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&watcher, &mut buffer);
        let mut events = Vec::new();
        while let Ok(event) = reader.next() {
            let name = event
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            events.push((event.events(), name.unwrap_or_default()));
        }
        use inotify::ReadFlags as Flags;
        let moved = "moved".to_owned();
        let expected = [
            (Flags::CREATE, name.clone()),
            (Flags::CLOSE_WRITE, name),
            (Flags::MOVED_TO, moved.clone()),
            (Flags::DELETE, moved),
        ];
        assert_eq!(events, expected, "watched {watched}, acted {acting}");
    }
}

#[test]
fn a_rename_race_has_one_winner() {
    let Some(shared) = Shared::new() else { return };
    let results = shared.mount.sandbox().subdir("results");
    for round in 0..RACES {
        fs::write(shared.mount.path().join(format!("prize-{round}")), "x").unwrap();
    }
    helper::join(shared.spawn("race", &[&text(&results)]));
    let mut winners = std::collections::BTreeMap::<String, usize>::new();
    for entry in fs::read_dir(&results).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            *winners.entry(line.to_owned()).or_default() += 1;
        }
    }
    for round in 0..RACES {
        for race in ["taken", "placed"] {
            let key = format!("{race}-{round}");
            assert_eq!(winners.get(&key), Some(&1), "winners of {key}");
        }
    }
}

const RACES: usize = 150;

/// In each round: tries to take the one prize, and to be the first at a free name.
fn race(dir: &Path, worker: &str, results: &Path) {
    let mut log = File::create_new(results.join(worker)).unwrap();
    for round in 0..RACES {
        let won = dir.join(format!("won-{round}-{worker}"));
        match rustix::fs::rename(dir.join(format!("prize-{round}")), &won) {
            Ok(()) => writeln!(log, "taken-{round}").unwrap(),
            Err(error) => assert_eq!(error, Errno::NOENT),
        }
        let mine = dir.join(format!("mine-{round}-{worker}"));
        fs::write(&mine, worker).unwrap();
        let place = dir.join(format!("place-{round}"));
        match rustix::fs::renameat_with(CWD, &mine, CWD, &place, RenameFlags::NOREPLACE) {
            Ok(()) => writeln!(log, "placed-{round}").unwrap(),
            Err(error) => assert_eq!(error, Errno::EXIST),
        }
    }
}

#[test]
fn unmounting_one_mount_leaves_the_others_working() {
    let Some(shared) = Shared::new() else { return };
    fs::write(shared.second.join("kept"), "x").unwrap();
    shared.mount.cask(&["umount", &text(&shared.second)]);
    assert!(!shared.second.join("kept").exists());
    assert_eq!(
        fs::read_to_string(shared.mount.path().join("kept")).unwrap(),
        "x"
    );
    let inside = shared.namespaces[0].path(&shared.inner());
    let mut content = String::new();
    File::open(inside.join("kept"))
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, "x");
    let again = run(
        &mut shared.mount.command(&["umount", &text(&shared.second)]),
        60,
    );
    assert!(
        !again.status.success(),
        "nothing is mounted there: {}",
        again.output()
    );
}

/// The actions of worker processes.
pub(crate) fn worker(action: &str, arguments: &[&str]) {
    let (dir, number) = (Path::new(arguments[0]), arguments[1]);
    match action {
        "mapping" => take_turns(dir, number.parse().unwrap()),
        "lock" => increment_locked(dir, arguments[2]),
        "try-lock" => find_locked(dir, arguments[2]),
        "append" => append_lines(dir, number),
        "race" => race(dir, number, Path::new(arguments[2])),
        _ => panic!("no such worker: {action}"),
    }
}
