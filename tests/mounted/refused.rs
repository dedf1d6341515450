//! Writes from the page cache that a full volume refuses: nobody is told that they are safe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, kill_process};

use crate::harness::{Mount, Random, SharedMap, VOLUME, drop_caches, run_ok};

const MIB: usize = 1 << 20;
/// Bytes that are written through a mapping, which the kernel takes whatever room there is.
const MAPPED: usize = 2 * MIB;

/// A volume of 16 MiB that is full, and a file in it with bytes that were refused.
struct Full {
    mount: Mount,
    file: File,
    map: SharedMap,
    bytes: Vec<u8>,
}

impl Full {
    #[track_caller]
    fn new() -> Option<Self> {
        let mount = Mount::new()?;
        mount.cask(&["resize", VOLUME, "16M"]);
        let mut random = Random::new(7);
        let path = mount.path().join("mapped");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true);
        let file = file.open(path).unwrap();
        file.set_len(MAPPED as u64).unwrap();
        let filler = random.bytes(15 * MIB);
        let mut filling = File::create(mount.path().join("filler")).unwrap();
        filling.write_all(&filler).unwrap();
        filling.sync_all().unwrap();
        let (map, bytes) = (SharedMap::new(&file, MAPPED), random.bytes(MAPPED));
        map.store(0, &bytes);
        assert_eq!(map.sync(), Err(Errno::NOSPC));
        Some(Self {
            mount,
            file,
            map,
            bytes,
        })
    }

    fn path(&self) -> PathBuf {
        self.mount.path().join("mapped")
    }

    fn make_room(&self) {
        fs::remove_file(self.mount.path().join("filler")).unwrap();
    }

    #[track_caller]
    fn assert_refused(&self) {
        let again = self.file.sync_all().unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::StorageFull, "{again}");
        // One that was opened later never saw an error of the kernel's.
        let other = File::open(self.path()).unwrap().sync_all().unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::StorageFull, "{other}");
    }
}

#[test]
fn each_fsync_fails_until_there_is_room_and_then_the_bytes_are_there() {
    let Some(full) = Full::new() else { return };
    for _ in 0..3 {
        full.assert_refused();
    }
    // They are what readers see, also when the kernel has dropped the pages.
    drop(full.map);
    drop_caches();
    assert!(fs::read(full.mount.path().join("mapped")).unwrap() == full.bytes);
    fs::remove_file(full.mount.path().join("filler")).unwrap();
    full.file.sync_all().unwrap();
    drop(full.file);
    full.mount.remount();
    assert!(fs::read(full.mount.path().join("mapped")).unwrap() == full.bytes);
}

#[test]
fn each_fsync_fails_until_the_range_is_cut_off_or_written_again() {
    let Some(full) = Full::new() else { return };
    full.assert_refused();
    full.file.set_len(0).unwrap();
    full.file.sync_all().unwrap();

    let Some(full) = Full::new() else { return };
    full.assert_refused();
    full.make_room();
    let newer = vec![7; MAPPED];
    full.file.write_all_at(&newer, 0).unwrap();
    full.file.sync_all().unwrap();
    drop((full.map, full.file));
    full.mount.remount();
    let found = fs::read(full.mount.path().join("mapped")).unwrap();
    assert!(
        found == newer,
        "what was refused came back over newer bytes"
    );
}

#[test]
fn a_server_that_takes_over_knows_what_was_refused() {
    let Some(full) = Full::new() else { return };
    full.assert_refused();
    let server = full.mount.server_pid();
    kill_process(server, Signal::KILL).unwrap();
    full.assert_refused();
    // Its bytes went with the server that had them: room does not help, to write them again does.
    full.make_room();
    full.assert_refused();
    full.map.store(0, &full.bytes);
    full.file.sync_all().unwrap();
    full.file.sync_all().unwrap();
}

/// Near the end the kernel holds nothing: write(2) itself says that there is no space, as on ext4.
#[test]
fn a_write_to_a_volume_that_is_full_says_so_itself() {
    let Some(mount) = Mount::new() else { return };
    mount.cask(&["resize", VOLUME, "32M"]);
    let mut random = Random::new(3);
    let mut file = File::create(mount.path().join("file")).unwrap();
    let refused = (0..64).find_map(|_| file.write_all(&random.bytes(MIB)).err());
    let refused = refused.expect("64 MiB were taken by a volume of 32");
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
    let len = file.metadata().unwrap().len();
    assert!(len >= 30 << 20, "{len} bytes of 32 MiB could be written");
    // With room again it buffers again.
    file.set_len(0).unwrap();
    let table = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_sync = |line: &str| line.contains("fuse.cask") && line.contains(",sync");
    let here = mount.path().display().to_string();
    let buffers = || {
        let table = table();
        let mut lines = table.lines().filter(|line| line.contains(&here));
        !lines.any(is_sync)
    };
    let waited = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        buffers()
    });
    assert!(waited, "it still writes through");
}

/// Commits that were acknowledged, with the log synced at checkpoints only.
const WAL: &str = r#"
import os, sqlite3, sys
where, room = sys.argv[1:]
open(where + "/filler", "wb").write(os.urandom(14 << 20))
db = sqlite3.connect(where + "/db", isolation_level=None)
db.execute("pragma journal_mode=wal"); db.execute("pragma synchronous=normal")
db.execute("create table t(id integer primary key, b blob)")
acknowledged, after, n = [], None, 0
while n < 20000 and (after is None or after < 300):
    n += 1
    try:
        db.execute("begin"); db.execute("insert into t values(?,?)", (n, os.urandom(9000))); db.execute("commit")
        acknowledged.append(n)
        after = None if after is None else after + 1
    except sqlite3.Error:
        try: db.execute("rollback")
        except sqlite3.Error: pass
        if after is None:
            os.system("echo 1 > /proc/sys/vm/drop_caches")
            os.unlink(where + "/filler"); after = 0
assert after == 300, after
open(room, "w").write(" ".join(map(str, acknowledged)))
"#;
const LOOK: &str = r#"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1] + "/db")
assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
there = {row[0] for row in db.execute("select id from t")}
lost = [n for n in map(int, open(sys.argv[2]).read().split()) if n not in there]
assert not lost, f"{len(lost)} acknowledged commits lost, the first {lost[0]}"
"#;

#[test]
fn sqlite_loses_no_commit_when_a_volume_was_full_for_a_while() {
    let Some(mount) = Mount::new() else { return };
    mount.cask(&["resize", VOLUME, "24M"]);
    let acknowledged = mount.sandbox().dir().join("acknowledged");
    let python = |script: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(mount.path());
        run_ok(python.arg(&acknowledged), 120);
    };
    python(WAL);
    mount.remount();
    python(LOOK);
}
