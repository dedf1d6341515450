//! `gc`, `resize`, `df`, `stats`, limits and compression as users meet them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cask::volume::Volume;
use cask::volume::store::DirLock;
use serde_json::Value;

use crate::snapshots::both_ways;
use crate::support::{Bench, can_mount, sh, wait_for};

const MIB: u64 = 1 << 20;

/// Data that nothing else has, and that cannot be compressed.
fn noise(len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let random = File::open("/dev/urandom").unwrap();
    random.take(len).read_to_end(&mut bytes).unwrap();
    bytes
}

#[track_caller]
fn shown(bench: &Bench, arguments: &[&str]) -> String {
    let out = bench.run(arguments).succeeds().out;
    out.trim_end().to_owned()
}

fn segment_bytes(bench: &Bench, volume: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(bench.volume_dir(volume).join("segments")).unwrap();
    let sizes = entries.filter_map(|entry| Some(entry.unwrap().metadata().ok()?.blocks() * 512));
    sizes.sum()
}

/// The kernel tells of a removed file when it likes to: until then the file counts, and takes its space.
#[track_caller]
fn collected(bench: &Bench, wanted: Range<u64>) {
    wait_for("the space is given back", || {
        bench.run(&["gc", "db"]).succeeds();
        wanted.contains(&segment_bytes(bench, "db"))
    });
}

#[track_caller]
fn assert_sound(bench: &Bench, volume: &str) {
    let opened = Volume::open(&bench.volume_dir(volume)).unwrap();
    assert_eq!(opened.audit().unwrap(), [""; 0]);
    opened.close().unwrap();
}

#[test]
fn gc_gives_back_what_no_file_and_no_snapshot_holds() {
    both_ways(|bench, edit| {
        let kept = noise(MIB);
        edit(&|at| {
            fs::write(at.join("gone"), noise(8 * MIB)).unwrap();
            fs::write(at.join("kept"), &kept).unwrap();
        });
        bench.run(&["snapshot", "db@s"]).succeeds();
        edit(&|at| fs::remove_file(at.join("gone")).unwrap());
        let out = shown(bench, &["gc", "db"]);
        assert!(
            out.starts_with("db: ") && out.ends_with(" reclaimed"),
            "{out}"
        );
        assert!(segment_bytes(bench, "db") >= 9 * MIB, "the snapshot has it");
        bench.run(&["snapshot", "rm", "db@s"]).succeeds();
        assert_eq!(shown(bench, &["gc", "-q", "db"]), "");
        collected(bench, MIB..3 * MIB);
        assert_eq!(shown(bench, &["gc", "db"]), "db: 0B reclaimed");
        edit(&|at| assert!(fs::read(at.join("kept")).unwrap() == kept));
    });
}

#[test]
fn gc_takes_what_a_clone_shares_from_neither() {
    both_ways(|bench, edit| {
        edit(&|at| fs::write(at.join("file"), noise(8 * MIB)).unwrap());
        bench.run(&["clone", "db", "copy"]).succeeds();
        edit(&|at| fs::remove_file(at.join("file")).unwrap());
        collected(bench, 0..2 * MIB);
        bench.run(&["gc", "copy"]).succeeds();
        assert!(segment_bytes(bench, "copy") >= 8 * MIB);
        assert_sound(bench, "copy");
    });
}

#[test]
fn gc_goes_on_beside_snapshots_clones_and_writers() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let kept = noise(2 * MIB);
    fs::write(bench.path("mnt/kept"), &kept).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::write(bench.path("mnt/changing"), noise(MIB)).unwrap();
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                bench.run(&["gc", "db"]).succeeds();
            }
        });
        for i in 0..6 {
            bench.run(&["snapshot", &format!("db@{i}")]).succeeds();
            let state = if i % 2 == 0 { "db" } else { "db@0" };
            bench.run(&["clone", state, &format!("copy{i}")]).succeeds();
        }
        bench.run(&["snapshot", "rm", "db@1", "db@3"]).succeeds();
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(fs::read(bench.path("mnt/kept")).unwrap() == kept);
    bench.run(&["umount", "db"]).succeeds();
    assert_sound(&bench, "db");
    for i in 0..6 {
        let copy = format!("copy{i}");
        assert_sound(&bench, &copy);
        bench
            .run(&["cp", &format!("{copy}:/kept"), "out"])
            .succeeds();
        assert!(fs::read(bench.path("out")).unwrap() == kept);
        fs::remove_file(bench.path("out")).unwrap();
    }
}

#[test]
fn gc_and_a_rollback_wait_for_each_other() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let old = noise(2 * MIB);
    fs::write(bench.path("mnt/file"), &old).unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    fs::write(bench.path("mnt/file"), noise(2 * MIB)).unwrap();
    bench.run(&["umount", "db"]).succeeds();
    for _ in 0..4 {
        thread::scope(|scope| {
            scope.spawn(|| bench.run(&["gc", "db"]).succeeds());
            scope.spawn(|| bench.run(&["rollback", "db@s"]).succeeds());
        });
        assert_sound(&bench, "db");
        bench.run(&["cp", "db:/file", "out"]).succeeds();
        assert!(fs::read(bench.path("out")).unwrap() == old);
        fs::remove_file(bench.path("out")).unwrap();
    }
}

#[test]
fn a_sealed_volume_has_nothing_to_give_back() {
    let bench = Bench::new();
    sh(&bench, "mkdir d; echo text > d/file", &[]);
    bench.run(&["import", "--seal", "sealed", "d"]).succeeds();
    let before = bench.inventory();
    bench
        .run(&["gc", "sealed"])
        .fails(1, &["volume \"sealed\" is sealed", "cask clone"]);
    assert_eq!(bench.inventory(), before);
    assert_eq!(
        shown(&bench, &["df", "sealed", "--format", "{{.Inodes}}"]),
        "2"
    );
}

#[test]
fn what_is_open_elsewhere_is_waited_for_and_then_refused() {
    let bench = Bench::with_volume();
    let lock = DirLock::take(&bench.volume_dir("db")).unwrap();
    let in_use = ["volume \"db\" is open in another process", "wait for it"];
    let (bench, in_use) = (&bench, &in_use);
    thread::scope(|scope| {
        for arguments in [
            &["gc", "db"][..],
            &["resize", "db", "1G"],
            &["set", "db", "compress=lz4"],
            &["df", "db"],
            &["stats", "db"],
            &["rm", "db"],
        ] {
            scope.spawn(move || bench.run(arguments).fails(5, in_use));
        }
    });
    // Of all volumes it is one that cannot be shown.
    let all = bench.run(&["df", "--format", "{{.Name}}"]).succeeds();
    assert!(all.out.is_empty() && all.err.contains(in_use[0]), "{all:?}");
    drop(lock);
}

#[test]
fn limits_go_up_and_down_to_what_is_held() {
    both_ways(|bench, edit| {
        edit(&|at| fs::write(at.join("file"), noise(4 * MIB)).unwrap());
        let limits = || shown(bench, &["inspect", "db", "--format", "{{json .Limits}}"]);
        let is = |bytes: &str, inodes: &str| {
            assert_eq!(
                limits(),
                format!("{{\"Bytes\":{bytes},\"Inodes\":{inodes}}}")
            );
        };
        is("null", "null");
        for (size, bytes) in [("8M", "8388608"), ("1G", "1073741824"), ("4M", "4194304")] {
            assert_eq!(shown(bench, &["resize", "db", size]), "");
            is(bytes, "null");
        }
        let held = "it holds 4194304 bytes in 2 inodes; remove files first, or set a higher limit";
        let refused = |arguments: &[&str], wanted: &str| {
            let sentence = format!("volume \"db\" cannot be limited to {wanted}: {held}");
            let arguments = [&["resize", "db"], arguments].concat();
            bench.run(&arguments).fails(1, &[&sentence]);
            is("4194304", "null");
        };
        refused(&["4194303"], "3.9MiB");
        refused(&["--inodes", "1"], "1 inode");
        // Both or none.
        refused(&["1G", "--inodes", "1"], "1.0GiB and 1 inode");
        bench
            .run(&["resize", "db", "none", "--inodes", "2"])
            .succeeds();
        is("null", "2");
        edit(&|at| {
            let full = File::create(at.join("third")).unwrap_err();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        });
        let over = bench.run(&["resize", "db", "999P", "--inodes", "none"]);
        let warning = "warning: the limit of 999PiB is more than the";
        assert!(over.succeeds().err.contains(warning));
        is("1124774006935781376", "null");
        bench.run(&["resize", "db", "none"]).succeeds();
        is("null", "null");
        edit(&|at| drop(File::create(at.join("third")).unwrap()));
    });
}

#[test]
fn a_volume_is_made_with_limits_and_compression() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    let create = [
        "create",
        "db",
        "--size",
        "8M",
        "--inodes",
        "3",
        "--compress",
        "zstd:3",
    ];
    assert_eq!(shown(&bench, &create), "db");
    let template = "{{.Limits.Bytes}} {{.Limits.Inodes}} {{.Compression}}";
    let set = shown(&bench, &["inspect", "db", "--format", template]);
    assert_eq!(set, "8388608 3 zstd:3");
    bench.run(&["mount", "--create", "db", "mnt"]).succeeds();
    let room = rustix::fs::statvfs(bench.path("mnt")).unwrap();
    assert_eq!((room.f_blocks * room.f_frsize, room.f_files), (8 * MIB, 3));
    let written = File::create(bench.path("mnt/file")).and_then(|mut file| {
        file.write_all(&noise(12 * MIB))
            .and_then(|()| file.sync_all())
    });
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    let over = bench.run(&["create", "huge", "--size", "999P"]).succeeds();
    assert!(
        over.err.contains("warning: the limit of 999PiB"),
        "{over:?}"
    );
    let none = ["create", "free", "--size", "none", "--inodes", "none"];
    bench.run(&none).succeeds();
    let limits = ["inspect", "free", "--format", "{{json .Limits}}"];
    assert_eq!(shown(&bench, &limits), r#"{"Bytes":null,"Inodes":null}"#);
}

#[test]
fn compression_is_changed_for_what_is_written_from_then_on() {
    both_ways(|bench, edit| {
        let write = |name: &str, first: u32| {
            let text: String = (first..first + 100_000)
                .map(|i| format!("line {i}\n"))
                .collect();
            edit(&|at: &Path| fs::write(at.join(name), &text).unwrap());
        };
        let is = |expected: &str| {
            let set = shown(bench, &["inspect", "db", "--format", "{{.Compression}}"]);
            assert_eq!(set, expected);
        };
        let ratio = || -> f64 {
            let ratio = ["df", "db", "--format", "{{.CompressionRatio}}"];
            shown(bench, &ratio).parse().unwrap()
        };
        is("none");
        write("plain", 0);
        assert!((ratio() - 1.0).abs() < 0.01, "{}", ratio());
        bench.run(&["set", "db", "compress=lz4"]).succeeds();
        is("lz4");
        write("packed", 1_000_000);
        assert!(ratio() > 1.2, "{}", ratio());
        bench
            .run(&["set", "db", "compress=gzip"])
            .fails(2, &["cannot set \"compress=gzip\"", "none, lz4, zstd"]);
        is("lz4");
        // Packed by itself it is a text that several settings change at once.
        bench
            .run(&["set", "db", "compress=zstd", "label.a=b"])
            .succeeds();
        is("zstd:1");
        bench.run(&["set", "db", "compress=none"]).succeeds();
        is("none");
    });
}

/// Of a table of `cask df`, by name, the megabytes in a column.
fn megabytes(table: &str, name: &str, column: &str) -> f64 {
    let cells =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let heads = cells(table.lines().next().unwrap());
    let at = heads.iter().position(|head| head == column).unwrap();
    let mut rows = table.lines().map(cells);
    let cell = rows.find(|row| row[0] == name).unwrap()[at].clone();
    for (unit, scale) in [
        ("GiB", 1024.0),
        ("MiB", 1.0),
        ("KiB", 1.0 / 1024.0),
        ("B", 0.0),
    ] {
        if let Some(number) = cell.strip_suffix(unit) {
            return number.parse::<f64>().unwrap() * scale;
        }
    }
    panic!("{cell} is no size");
}

const FIELDS: [&str; 13] = [
    "CompressionRatio",
    "DeadBytes",
    "DedupRatio",
    "Extents",
    "HostFreeBytes",
    "Inodes",
    "Limit",
    "LogicalBytes",
    "Name",
    "PhysicalBytes",
    "SharedBytes",
    "SnapshotBytes",
    "UniqueBytes",
];

#[test]
fn df_and_stats_tell_the_same_in_each_format() {
    both_ways(|bench, edit| {
        let data = noise(2 * MIB);
        edit(&|at| {
            fs::write(at.join("a"), &data).unwrap();
            fs::write(at.join("b"), &data).unwrap();
        });
        bench.run(&["resize", "db", "64M"]).succeeds();
        bench.run(&["create", "other"]).succeeds();
        let table = shown(bench, &["df"]);
        let names: Vec<&str> = table
            .lines()
            .map(|line| line.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(names, ["NAME", "db", "other", "TOTAL"], "{table}");
        for (column, expected) in [
            ("LIMIT", 64.0),
            ("USED", 4.0),
            ("AVAIL", 60.0),
            ("UNIQUE", 2.0),
        ] {
            let found = megabytes(&table, "db", column);
            assert!((found - expected).abs() < 0.01, "{column}: {table}");
        }
        let alone = shown(bench, &["df", "db"]);
        assert_eq!(alone.lines().count(), 2, "no total of one: {alone}");
        let of = |command: &str| -> Value {
            serde_json::from_str(&shown(bench, &[command, "db", "--format", "json"])).unwrap()
        };
        for object in [of("df"), of("stats")] {
            let mut fields: Vec<&String> = object.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(fields, FIELDS);
            assert_eq!(object["Name"], "db");
            assert_eq!(object["Limit"], 64 * MIB);
            assert_eq!(object["LogicalBytes"], 4 * MIB);
            assert_eq!(object["UniqueBytes"], 2 * MIB);
            assert_eq!(object["Inodes"], 3);
            assert_eq!(object["DedupRatio"], 2.0);
        }
        let template = "{{.Name}} {{.LogicalBytes}} {{.Limit}}";
        let lines = shown(bench, &["df", "--format", template]);
        assert_eq!(lines, "db 4194304 67108864\nother 0");
        let line = shown(bench, &["stats", "db", "--format", template]);
        assert_eq!(line, "db 4194304 67108864");
        let stats = shown(bench, &["stats", "db"]);
        for row in [
            "Limit                       64.0MiB",
            "Deduplication               2.00",
        ] {
            assert!(stats.contains(row), "{stats}");
        }
        for command in ["df", "stats"] {
            bench
                .run(&[command, "db", "--format", "{{.Nope}}"])
                .fails(2, &["no field \"Nope\"", "LogicalBytes"]);
        }
    });
}

#[test]
fn every_command_tells_the_same_of_the_disk() {
    let bench = Bench::with_volume();
    bench.run(&["sync", "db"]).succeeds();
    let physical = "{{.PhysicalBytes}}";
    let told = [
        shown(&bench, &["df", "db", "--format", physical]),
        shown(&bench, &["stats", "db", "--format", physical]),
        shown(
            &bench,
            &["inspect", "db", "--format", "{{.Usage.PhysicalBytes}}"],
        ),
        shown(&bench, &["ls", "--format", "{{.PhysicalBytes}}"]),
    ];
    assert!(told.iter().all(|bytes| *bytes == told[0]), "{told:?}");
}

#[test]
fn what_clones_share_is_in_the_total_once() {
    both_ways(|bench, edit| {
        edit(&|at| fs::write(at.join("file"), noise(33 * MIB)).unwrap());
        bench.run(&["clone", "db", "copy"]).succeeds();
        let table = shown(bench, &["df"]);
        let disk = |name: &str| megabytes(&table, name, "DISK");
        let (both, total) = (disk("db") + disk("copy"), disk("TOTAL"));
        let shared = both - total;
        assert!((32.0..34.0).contains(&shared), "{table}");
        for name in ["db", "copy"] {
            let shared = shown(bench, &["df", name, "--format", "{{.SharedBytes}}"]);
            assert!(
                shared.parse::<u64>().unwrap() >= 32 * MIB,
                "{name}: {shared}"
            );
        }
    });
}

#[test]
fn volumes_that_cannot_be_counted_hide_no_others() {
    let bench = Bench::with_volume();
    for name in ["damaged", "unreadable"] {
        bench.run(&["create", name]).succeeds();
    }
    fs::remove_file(bench.volume_dir("damaged").join("meta.db")).unwrap();
    fs::write(bench.volume_dir("unreadable").join("volume.json"), "{").unwrap();
    let all = bench.run(&["df", "--format", "{{.Name}}"]).succeeds();
    assert_eq!(all.out, "db\n");
    for words in [
        "warning: cannot use volume \"damaged\"",
        "volume \"unreadable\"",
    ] {
        assert!(all.err.contains(words), "{all:?}");
    }
    assert_eq!(shown(&bench, &["df"]).lines().count(), 2);
    for command in ["df", "stats", "gc"] {
        bench
            .run(&[command, "damaged"])
            .fails(6, &["volume \"damaged\"", "meta.db is missing"]);
        bench
            .run(&[command, "unreadable"])
            .fails(3, &["volume \"unreadable\"", "cannot be understood"]);
    }
}

#[test]
fn a_scrub_in_the_server_is_told_by_inspect_doctor_and_the_log() {
    use std::os::unix::fs::FileExt;
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench
        .run(&["create", "other", "--scrub-rate", "5M"])
        .succeeds();
    let rate = ["inspect", "other", "--format", "{{.Scrub.Rate}}"];
    assert_eq!(shown(&bench, &rate), "5242880");
    let bad = bench.run(&["set", "db", "scrub-rate=fast"]);
    assert!(
        bad.code == 2 && bad.err.contains("bytes a second"),
        "{bad:?}"
    );
    let mut file = File::create(bench.path("mnt/precious")).unwrap();
    file.write_all(&noise(MIB)).unwrap();
    file.sync_all().unwrap();
    drop(file);
    bench.run(&["set", "db", "scrub-rate=100M"]).succeeds();
    let scrub = |field: &str| shown(&bench, &["inspect", "db", "--format", field]);
    assert_eq!(scrub("{{.Scrub.Rate}}"), "104857600");
    wait_for("a round", || scrub("{{.Scrub.Rounds}}") != "0");
    let segment = fs::read_dir(bench.volume_dir("db").join("segments")).unwrap();
    let segment = segment.map(|entry| entry.unwrap().path()).max().unwrap();
    let damaged = File::options().write(true).open(segment).unwrap();
    damaged.write_all_at(b"damage", 200_000).unwrap();
    let said = "data: precious: bytes 131072-262143 cannot be read (now)";
    wait_for("the damage is found", || {
        scrub("{{json .Scrub.Damage}}") == format!("[\"{said}\"]")
    });
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains(said), "{doctor:?}");
    let log = fs::read_to_string(bench.volume_dir("db").join("server.log")).unwrap();
    assert!(log.contains("the scrub found damage"), "{log}");
    bench.run(&["set", "db", "scrub-rate=off"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
}
