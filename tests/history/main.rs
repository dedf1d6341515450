//! Every snapshot's state must be exactly what the live and past rows say, whatever happens after it.
//!
//! Snapshots do not exist yet, so one is made as format.md describes it: a row in `snapshot`, and the epoch
//! advances. Removal follows the rule of the design: past rows that only the removed one saw are freed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic and tell"
)]

use std::collections::BTreeMap;
use std::path::Path;

use cask::types::{Caller, ChunkBytes, FileKind, Ino, Name, NewNode, SetAttr, SetTime, Timestamp};
use cask::volume::{
    self, Config, FallocateMode, RenameMode, RootOwner, SetIdBits, SetXattrMode, Volume,
    WriteOrigin,
};
use rusqlite::{Connection, types::Value};

type Rows = Vec<String>;
const TABLES: [(&str, &str); 4] = [
    (
        "inode",
        "ino, kind, mode, uid, gid, nlink, size, allocated, rdev, parent, place, atime, atime_ns, mtime,
         mtime_ns, ctime, ctime_ns, target",
    ),
    ("dentry", "parent, name, ino, cookie"),
    ("extent", "ino, off, len, chunk, chunk_off"),
    ("xattr", "ino, name, value"),
];

struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn rows(conn: &Connection, sql: &str) -> Rows {
    let mut stmt = conn.prepare(sql).unwrap();
    let columns = stmt.column_count();
    let found = stmt.query_map([], |row| {
        (0..columns)
            .map(|i| row.get::<_, Value>(i))
            .collect::<Result<Vec<_>, _>>()
    });
    let mut rows: Rows = found
        .unwrap()
        .map(|row| format!("{:?}", row.unwrap()))
        .collect();
    rows.sort();
    rows
}

fn head(conn: &Connection) -> Vec<Rows> {
    TABLES
        .iter()
        .map(|(table, columns)| rows(conn, &format!("SELECT {columns} FROM {table}")))
        .collect()
}

fn at(conn: &Connection, s: i64) -> Vec<Rows> {
    TABLES
        .iter()
        .map(|(table, columns)| {
            rows(
                conn,
                &format!(
                    "SELECT {columns} FROM {table} WHERE born <= {s} UNION ALL
                     SELECT {columns} FROM {table}_past WHERE born <= {s} AND {s} < died"
                ),
            )
        })
        .collect()
}

fn epoch(conn: &Connection) -> i64 {
    conn.query_row("SELECT value FROM setting WHERE key = 'epoch'", [], |r| {
        r.get(0)
    })
    .unwrap()
}

fn take_snapshot(conn: &Connection) -> i64 {
    let now = epoch(conn);
    conn.execute(
        "INSERT INTO snapshot (epoch, name, created, numbers)
         SELECT ?1, 's' || ?1, 0, value FROM setting WHERE key = 'numbers'",
        [now],
    )
    .unwrap();
    conn.execute(
        "UPDATE setting SET value = value + 1 WHERE key = 'epoch'",
        [],
    )
    .unwrap();
    now
}

fn remove_snapshot(conn: &Connection, s: i64) {
    let one = |sql: &str| -> i64 { conn.query_row(sql, [s], |r| r.get(0)).unwrap() };
    let p = one("SELECT coalesce(max(epoch), 0) FROM snapshot WHERE epoch < ?1");
    let n = one(
        "SELECT coalesce(min(epoch), (SELECT value FROM setting WHERE key = 'epoch')) FROM snapshot
         WHERE epoch > ?1",
    );
    let gone = format!("born > {p} AND died > {s} AND died <= {n}");
    conn.execute_batch(&format!(
        "CREATE TEMP TABLE d AS SELECT chunk, count(*) AS c FROM extent_past WHERE {gone} GROUP BY chunk;
         DELETE FROM chunk WHERE refs = (SELECT c FROM d WHERE chunk = id);
         UPDATE chunk SET refs = refs - (SELECT c FROM d WHERE chunk = id) WHERE id IN (SELECT chunk FROM d);
         DROP TABLE d;
         DELETE FROM extent_past WHERE {gone}; DELETE FROM inode_past WHERE {gone};
         DELETE FROM dentry_past WHERE {gone}; DELETE FROM xattr_past WHERE {gone};
         DELETE FROM snapshot WHERE epoch = {s};"
    ))
    .unwrap();
}

fn any_dir(volume: &Volume, random: &mut Random) -> Ino {
    let mut dir = Ino::ROOT;
    for _ in 0..random.below(4) {
        let entries = volume.list(dir, 0, 100).unwrap_or_default();
        let dirs: Vec<_> = entries
            .iter()
            .filter(|e| e.attr.kind == FileKind::Directory)
            .collect();
        if dirs.is_empty() {
            break;
        }
        let pick = random.below(dirs.len() as u64);
        dir = dirs[usize::try_from(pick).unwrap()].attr.ino;
    }
    dir
}

fn any_node(volume: &Volume, random: &mut Random) -> Ino {
    let dir = any_dir(volume, random);
    let entries = volume.list(dir, 0, 100).unwrap_or_default();
    if entries.is_empty() {
        return dir;
    }
    entries[usize::try_from(random.below(entries.len() as u64)).unwrap()]
        .attr
        .ino
}

/// One random operation; that it may fail is part of it.
fn step(volume: &Volume, random: &mut Random) {
    let caller = Caller {
        uid: 1000,
        gid: 1000,
        pid: 0,
    };
    let name = |random: &mut Random| format!("n{}", random.below(6));
    let (a, b) = (name(random), name(random));
    let (a, b) = (
        Name::parse(a.as_bytes()).unwrap(),
        Name::parse(b.as_bytes()).unwrap(),
    );
    let (dir, other) = (any_dir(volume, random), any_dir(volume, random));
    let (node, second) = (any_node(volume, random), any_node(volume, random));
    let place = random.below(12) * 30_000 + random.below(3);
    let len = random.below(4) * 40_000 + random.below(5000) + 1;
    let done = match random.below(16) {
        0 | 1 => {
            let kinds = [
                FileKind::File,
                FileKind::File,
                FileKind::Directory,
                FileKind::Symlink,
            ];
            let kind = kinds[usize::try_from(random.below(4)).unwrap()];
            let target: &[u8] = if kind == FileKind::Symlink {
                b"to"
            } else {
                b""
            };
            let new = NewNode {
                kind,
                mode: 0o6755,
                umask: 0o22,
                rdev: 0,
                target,
            };
            volume.create(&caller, dir, a, &new).map(drop)
        }
        2 => volume.unlink(dir, a),
        3 => volume.rmdir(dir, a),
        4 | 5 => {
            let modes = [
                RenameMode::Replace,
                RenameMode::Replace,
                RenameMode::NoReplace,
                RenameMode::Exchange,
                RenameMode::Whiteout,
            ];
            let mode = modes[usize::try_from(random.below(5)).unwrap()];
            volume.rename(&caller, (dir, a), (other, b), mode)
        }
        6 => volume.link(node, dir, a).map(drop),
        7..=9 => {
            let byte = u8::try_from(random.below(3)).unwrap();
            let data = vec![byte; usize::try_from(len).unwrap()];
            let bits = if random.below(2) == 0 {
                SetIdBits::Keep
            } else {
                SetIdBits::Clear(caller)
            };
            let origins = [WriteOrigin::Caller, WriteOrigin::PageCache];
            let origin = origins[usize::try_from(random.below(2)).unwrap()];
            volume.write(node, place, &data, origin, bits)
        }
        10 => {
            let change = SetAttr {
                size: Some(place),
                ..SetAttr::default()
            };
            volume.setattr(&caller, node, &change).map(drop)
        }
        11 => {
            let modes = [
                FallocateMode::Extend,
                FallocateMode::PunchHole,
                FallocateMode::ZeroRange,
                FallocateMode::ZeroRangeKeepSize,
            ];
            let mode = modes[usize::try_from(random.below(4)).unwrap()];
            volume.fallocate(&caller, node, place, len, mode)
        }
        12 => volume
            .copy_range(&caller, (node, random.below(200_000)), (second, place), len)
            .map(drop),
        13 => {
            let key = format!("user.{}", random.below(3));
            let value = vec![7; usize::try_from(random.below(50)).unwrap()];
            volume.set_xattr(&caller, node, key.as_bytes(), &value, SetXattrMode::Any)
        }
        14 => volume.remove_xattr(node, format!("user.{}", random.below(3)).as_bytes()),
        _ => {
            let change = SetAttr {
                mode: Some(0o640),
                uid: (random.below(2) == 0).then_some(5),
                mtime: Some(SetTime::At(Timestamp::new(-5, 3))),
                ..SetAttr::default()
            };
            volume.setattr(&caller, node, &change).map(drop)
        }
    };
    // Some are open while they lose their name, or known to the kernel.
    if random.below(4) == 0 {
        volume.remember(node);
    } else if random.below(3) == 0 {
        volume.forget(second, 10);
    }
    if random.below(20) == 0 {
        volume.reap().unwrap();
    }
    drop(done);
}

fn check(conn: &Connection, taken: &BTreeMap<i64, Vec<Rows>>, seed: u64) {
    for (&s, expected) in taken {
        let found = at(conn, s);
        for (i, (table, _)) in TABLES.iter().enumerate() {
            assert!(
                found[i] == expected[i],
                "seed {seed}: {table} at snapshot {s}:\nfound {:#?}\nexpected {:#?}",
                found[i],
                expected[i]
            );
        }
    }
}

fn run(seed: u64, dir: &Path) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut taken = BTreeMap::new();
    for _ in 0..8 {
        let volume = Volume::open(dir).unwrap();
        volume.begin_connection().unwrap();
        for _ in 0..random.below(120) {
            step(&volume, &mut random);
        }
        assert_eq!(volume.audit().unwrap(), Vec::<String>::new(), "seed {seed}");
        if random.below(2) == 0 {
            volume.end_connection();
        }
        volume.close().unwrap();
        let conn = Connection::open(dir.join("meta.db")).unwrap();
        check(&conn, &taken, seed);
        if random.below(3) == 0
            && let Some(&s) = taken.keys().nth(usize::try_from(random.below(3)).unwrap())
        {
            remove_snapshot(&conn, s);
            taken.remove(&s);
            check(&conn, &taken, seed);
        }
        let state = head(&conn);
        taken.insert(take_snapshot(&conn), state);
        conn.close().unwrap();
    }
    let conn = Connection::open(dir.join("meta.db")).unwrap();
    check(&conn, &taken, seed);
    // With no snapshot left nothing of the past may be left.
    for &s in taken.keys() {
        remove_snapshot(&conn, s);
    }
    for (table, _) in TABLES {
        let left = rows(&conn, &format!("SELECT * FROM {table}_past"));
        assert!(left.is_empty(), "seed {seed}: {table}_past keeps {left:#?}");
    }
    conn.close().unwrap();
    let volume = Volume::open(dir).unwrap();
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new(), "seed {seed}");
    volume.close().unwrap();
}

#[test]
fn a_snapshot_is_what_the_live_and_past_rows_say() {
    let first: u64 = std::env::var("SEED").map_or(1, |s| s.parse().unwrap());
    let runs: u64 = std::env::var("RUNS").map_or(12, |s| s.parse().unwrap());
    for seed in first..first + runs {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("v");
        let config = Config::new(ChunkBytes::new(32 * 1024).unwrap(), BTreeMap::new());
        volume::create(
            &dir,
            &config,
            RootOwner {
                uid: 0,
                gid: 0,
                mode: 0o755,
            },
        )
        .unwrap();
        run(seed, &dir);
        eprintln!("seed {seed} ok");
    }
}
