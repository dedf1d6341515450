//! `cask check --repair`: what is lost reads as an error and nothing else does, and rows fit each other again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cask::types::{Caller, Ino, SetAttr};
use cask::volume::{self, Depth, Error, Tuning, Volume};
use rusqlite::Connection;

use super::common::{config, name, sum_pages, write};
use super::home::{
    Home, SECOND_BYTES, Tree, assert_no_other_bytes, assert_sound, content, lookup, overwrite,
    place_of, tree,
};

const SECOND: &str = "dir/second";

/// A home that is closed cleanly, and the trees of the volume.
fn settled() -> (Home, Tree) {
    let home = Home::new();
    let volume = home.open();
    let before = tree(&volume);
    volume.close().unwrap();
    assert!(before.values().all(Result::is_ok), "{before:?}");
    (home, before)
}

fn damage_second(home: &Home) {
    let segment = home.segment(1);
    let at = place_of(&segment, &content(2, SECOND_BYTES)) + 5_000;
    overwrite(&segment, b"damage", at);
}

/// Runs SQL on the database of a volume that nobody has open.
fn edit(dir: &Path, sql: &str) {
    let database = Connection::open(dir.join("meta.db")).unwrap();
    database
        .execute_batch(&format!("PRAGMA ignore_check_constraints = 1; {sql}"))
        .unwrap();
    drop(database);
    sum_pages(&dir.join("meta.db"));
}

#[track_caller]
fn assert_told(lines: &[String], words: &[&str]) {
    for word in words {
        assert!(
            lines.iter().any(|line| line.contains(word)),
            "{word} in {lines:#?}"
        );
    }
}

#[test]
fn a_sound_volume_is_left_as_it_is() {
    let (home, _) = settled();
    let before = fs::read(home.database()).unwrap();
    let done = home.repair();
    assert_eq!((done.changes.as_slice(), &done.kept), (&[][..], &None));
    assert!(fs::read(home.database()).unwrap() == before);
    assert!(!home.dir().join("repair").exists());
}

#[test]
fn a_damaged_page_is_an_error_until_it_is_overwritten_and_all_else_reads() {
    let (home, before) = settled();
    damage_second(&home);
    let done = home.repair();
    assert_told(
        &done.changes,
        &["data: dir/second: bytes 4096-8191 are lost: reading them is an error (now, @kept)"],
    );
    assert!(done.kept.unwrap().exists());
    assert_eq!(
        home.assert_sound(),
        ["data: dir/second: bytes 4096-8191 are lost (now, @kept)"]
    );
    assert_eq!(home.repair().changes, Vec::<String>::new());
    let volume = home.open();
    let second = lookup(&volume, SECOND).ino;
    let bytes = content(2, SECOND_BYTES);
    assert!(volume.read(second, 0, 4096).unwrap() == bytes[..4096]);
    assert!(volume.read(second, 8192, SECOND_BYTES).unwrap() == bytes[8192..]);
    let lost = volume.read(second, 4000, 200).unwrap_err();
    assert!(matches!(&lost, Error::Corrupt(_)), "{lost:?}");
    let found = tree(&volume);
    for (path, one) in &found {
        assert_eq!(one.is_err(), path.ends_with(SECOND), "{path}");
    }
    assert_no_other_bytes(&found, &before, "after the repair");
    write(&volume, second, 4096, &[7; 4096]).unwrap();
    let read = volume.read(second, 4096, 4096).unwrap();
    assert_eq!(read, [7; 4096]);
    volume.close().unwrap();
    assert_eq!(
        home.assert_sound(),
        ["data: dir/second: bytes 4096-8191 are lost (@kept)"]
    );
}

#[test]
fn lost_bytes_go_through_snapshots_clones_copies_collections_and_truncation() {
    let (home, _) = settled();
    damage_second(&home);
    home.repair();
    let volume = home.open();
    let second = lookup(&volume, SECOND).ino;
    let copy = super::common::make(&volume, "copy").ino;
    let copied = volume
        .copy_range(&Caller::root(), (second, 0), (copy, 0), 20_000)
        .unwrap();
    assert_eq!(copied, 20_000);
    volume.take_snapshot(&"after".parse().unwrap(), "").unwrap();
    let diff = volume
        .diff(&volume.snapshot(&"kept".parse().unwrap()).unwrap(), None)
        .unwrap();
    assert!(diff.iter().all(|change| change.path != SECOND.as_bytes()));
    volume.defragment().unwrap();
    volume.collect().unwrap();
    let clone = home.dir().with_file_name("d");
    volume.clone_into(None, &clone, &config()).unwrap();
    assert!(volume.read(copy, 0, 20_000).is_err());
    assert!(volume.read(copy, 0, 4096).unwrap() == content(2, 4096));
    let cut = SetAttr {
        size: Some(4096),
        ..SetAttr::default()
    };
    volume.setattr(&Caller::root(), second, &cut).unwrap();
    assert!(volume.read(second, 0, SECOND_BYTES).unwrap() == content(2, 4096));
    volume
        .unlink(&cask::types::Caller::root(), Ino::ROOT, name("copy"))
        .unwrap();
    volume.remove_snapshot(&"after".parse().unwrap()).unwrap();
    volume.remove_snapshot(&"kept".parse().unwrap()).unwrap();
    volume.reap().unwrap();
    volume.collect().unwrap();
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    volume.close().unwrap();
    assert_eq!(home.assert_sound(), Vec::<String>::new());
    assert_eq!(assert_sound(&clone).len(), 2);
}

#[test]
fn after_a_power_cut_commits_are_given_up_for_what_did_not_reach_the_disk_and_not_for_what_was_lost_before()
 {
    let (home, _) = settled();
    damage_second(&home);
    home.repair();
    let volume = home.open();
    let late = super::common::make(&volume, "later").ino;
    write(&volume, late, 0, &content(9, 50_000)).unwrap();
    let torn = super::common::make(&volume, "torn").ino;
    write(&volume, torn, 0, &content(11, 50_000)).unwrap();
    drop(volume);
    let numbers = (1..20).rev();
    let newest = numbers
        .map(|i| home.segment(i))
        .find(|path| path.exists())
        .unwrap();
    let at = place_of(&newest, &content(11, 50_000));
    super::home::writable(&newest).set_len(at).unwrap();
    fs::write(home.dir().join("state"), "nobody knows").unwrap();
    let volume = home.open();
    let later = lookup(&volume, "later").ino;
    assert!(volume.read(later, 0, 50_000).unwrap() == content(9, 50_000));
    assert_eq!(lookup(&volume, "torn").size, 0);
    volume.close().unwrap();
    home.assert_sound();
}

#[test]
fn a_segment_that_comes_back_is_found_by_the_next_repair() {
    let (home, before) = settled();
    let (segment, aside) = (home.segment(1), home.dir().join("aside"));
    fs::copy(&segment, &aside).unwrap();
    fs::remove_file(&segment).unwrap();
    let done = home.repair();
    assert_told(
        &done.changes,
        &["data: first: bytes", "data: dir/second: bytes 0-"],
    );
    assert!(!home.assert_sound().is_empty());
    fs::copy(&aside, home.segment(9)).unwrap();
    let done = home.repair();
    assert_told(&done.changes, &["were found again in the segments"]);
    assert_eq!(home.assert_sound(), Vec::<String>::new());
    let volume = home.open();
    assert_eq!(tree(&volume), before);
    volume.close().unwrap();
}

#[test]
fn headers_that_are_damaged_are_found_and_their_chunks_stored_anew() {
    for (at, word) in [
        (3, "the header of segment 00000001"),
        (80, "headers of 1 records"),
    ] {
        let (home, before) = settled();
        overwrite(&home.segment(1), b"damage", at);
        let volume = home.open();
        let checked = volume.check(Depth::Data).unwrap();
        assert_told(&checked.problems, &[word]);
        assert_eq!(tree(&volume), before);
        volume.close().unwrap();
        let done = home.repair();
        assert_told(&done.changes, &["are stored anew"]);
        assert_eq!(home.assert_sound(), Vec::<String>::new());
        let volume = home.open();
        assert_eq!(tree(&volume), before);
        volume.close().unwrap();
    }
}

/// What is done to the tables, what the check says, what the repair says, and whether files are lost by it.
struct Case {
    sql: &'static str,
    checked: &'static str,
    told: &'static str,
    spoils: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        sql: "UPDATE chunk SET refs = refs + 3 WHERE id % 5 = 0",
        checked: "a chunk's refs",
        told: "chunks are counted anew",
        spoils: &[],
    },
    Case {
        sql: "UPDATE inode SET nlink = 9 WHERE ino IN (SELECT ino FROM dentry WHERE name = x'6669727374')",
        checked: "a file's nlink",
        told: "first: its link count is 2, not 9",
        spoils: &[],
    },
    Case {
        sql: "DELETE FROM dentry WHERE name = x'7365636f6e64'",
        checked: "a file's nlink",
        told: "lost+found/#",
        spoils: &["dir/second", "@kept/dir/second"],
    },
    Case {
        sql: "DELETE FROM inode WHERE ino = (SELECT ino FROM dentry WHERE name = x'7365636f6e64');
              DELETE FROM inode_past WHERE ino = (SELECT ino FROM dentry WHERE name = x'7365636f6e64')",
        checked: "an entry's directory and inode are there",
        told: "dir/second: the file's attributes were lost",
        spoils: &[],
    },
    Case {
        sql: "DELETE FROM inode WHERE ino = (SELECT ino FROM dentry WHERE name = x'6c617374')",
        checked: "an entry's directory and inode are there",
        told: "the name \"last\" of inode",
        spoils: &["last"],
    },
    Case {
        sql: "DELETE FROM inode WHERE ino = (SELECT ino FROM dentry WHERE name = x'646972')",
        checked: "an entry's directory and inode are there",
        told: "dir: the directory's attributes were lost",
        spoils: &[],
    },
    Case {
        sql: "UPDATE dentry SET parent = (SELECT ino FROM dentry WHERE name = x'737562') WHERE name = x'646972';
              UPDATE inode SET parent = (SELECT ino FROM dentry WHERE name = x'737562')
              WHERE ino = (SELECT ino FROM dentry WHERE name = x'646972')",
        checked: "every directory is below the root",
        told: "was in a circle of directories",
        spoils: &[
            "dir/hard", "dir/second", "dir/sub/third", "@kept/dir/hard", "@kept/dir/second", "@kept/dir/sub/third",
        ],
    },
    Case {
        sql: "DELETE FROM inode WHERE ino = 1",
        checked: "the root is a directory",
        told: "the root directory was lost",
        spoils: &[],
    },
    Case {
        sql: "UPDATE extent SET off = off - 1000 WHERE off = 131072
              AND ino = (SELECT ino FROM dentry WHERE name = x'7365636f6e64')",
        checked: "extents of a file do not overlap",
        told: "dir/second: its extents did not fit",
        spoils: &["dir/second", "@kept/dir/second"],
    },
    Case {
        sql: "DELETE FROM extent WHERE off = 131072
              AND ino = (SELECT ino FROM dentry WHERE name = x'7365636f6e64')",
        checked: "an inode's allocated bytes",
        told: "data: dir/second: bytes 131072-262143 are lost: reading them is an error (now, @kept)",
        spoils: &["dir/second", "@kept/dir/second"],
    },
    Case {
        sql: "DELETE FROM extent_past",
        checked: "a snapshot sees all data of its files",
        told: "data: gone: bytes 0-49999 are lost: reading them is an error (@kept)",
        spoils: &["@kept/first", "@kept/gone", "@kept/dir/hard"],
    },
    Case {
        sql: "UPDATE extent SET chunk_off = 131000 WHERE off = 131072
              AND ino = (SELECT ino FROM dentry WHERE name = x'7365636f6e64')",
        checked: "an extent lies within its chunk",
        told: "data: dir/second: bytes 131072-262143 are lost",
        spoils: &["dir/second", "@kept/dir/second"],
    },
    Case {
        sql: "UPDATE extent SET chunk = 99999 WHERE off = 131072
              AND ino = (SELECT ino FROM dentry WHERE name = x'7365636f6e64')",
        checked: "an extent lies within its chunk",
        told: "data: dir/second: bytes 131072-262143 are lost",
        spoils: &["dir/second", "@kept/dir/second"],
    },
    Case {
        sql: "UPDATE inode SET size = 5000 WHERE ino = (SELECT ino FROM dentry WHERE name = x'6c617465')",
        checked: "no extent begins behind the end",
        told: "late: its extents did not fit its size",
        spoils: &["late"],
    },
    Case {
        sql: "UPDATE inode SET allocated = 17 WHERE ino = (SELECT ino FROM dentry WHERE name = x'6c617465')",
        checked: "an inode's allocated bytes",
        told: "late: what it takes is counted anew",
        spoils: &[],
    },
    Case {
        sql: "INSERT INTO orphan SELECT ino FROM dentry WHERE name = x'6c617465'",
        checked: "an inode is an orphan if and only if",
        told: "was noted as removed",
        spoils: &[],
    },
    Case {
        sql: "UPDATE inode SET kind = 5 WHERE ino = (SELECT ino FROM dentry WHERE name = x'6c617465')",
        checked: "an inode is one that can be",
        told: "late: the file's attributes were lost",
        spoils: &[],
    },
    Case {
        sql: "UPDATE chunk SET segment = 7 WHERE id = 1",
        checked: "data: first: bytes 0-131071 cannot be read",
        told: "were found again",
        spoils: &[],
    },
    Case {
        sql: "UPDATE chunk SET codec = 1, len = 4294967295, stored_len = 4294967295 WHERE id = 1",
        checked: "a chunk is one that can be",
        told: "were found again",
        spoils: &[],
    },
    Case {
        sql: "UPDATE chunk SET hash = zeroblob(32) WHERE id = 2",
        checked: "cannot be read",
        told: "have their names again",
        spoils: &[],
    },
    Case {
        sql: "UPDATE setting SET value = 3 WHERE key = 'numbers'",
        checked: "numbers and epochs are counted up",
        told: "the counter \"numbers\"",
        spoils: &[],
    },
    Case {
        sql: "UPDATE dentry SET name = x'612f62' WHERE name = x'6c617465'",
        checked: "a name is one that a file can have",
        told: "is none that a file can have",
        spoils: &["late"],
    },
    Case {
        sql: "DELETE FROM inode_past",
        checked: "an entry that a snapshot sees leads to an inode",
        told: "were lost in snapshots: it ends with its last data there",
        spoils: &[],
    },
    Case {
        sql: "INSERT INTO dentry (parent, name, born, ino, cookie)
              SELECT 1, x'6f74686572', 2, ino, 999999 FROM dentry WHERE name = x'737562';
              UPDATE setting SET value = 2000000 WHERE key = 'numbers'",
        checked: "a directory has one name",
        told: "is a second one of a directory",
        spoils: &[],
    },
];

#[test]
fn rows_that_do_not_fit_each_other_are_found_and_fit_again() {
    let (settled, before) = settled();
    for case in CASES {
        let home = settled.copied();
        edit(&home.dir(), case.sql);
        let volume = home.open();
        let checked = volume.check(Depth::Data).unwrap();
        assert_told(&checked.problems, &[case.checked]);
        drop(volume);
        let done = home.repair();
        eprintln!("{}\n{:#?}", case.sql, done.changes);
        assert_told(&done.changes, &[case.told]);
        home.assert_sound();
        let volume = home.open();
        let found = tree(&volume);
        for (path, bytes) in &before {
            let expected = !case.spoils.contains(&path.as_str());
            assert_eq!(
                found.get(path) == Some(bytes),
                expected,
                "{path} after {}",
                case.sql
            );
        }
        assert_no_other_bytes_than_cut(&found, &before, case.sql);
        volume.close().unwrap();
    }
    eprintln!("{} cases", CASES.len());
}

/// A file may be shorter than it was, if that is told.
#[track_caller]
fn assert_no_other_bytes_than_cut(found: &Tree, before: &Tree, case: &str) {
    for (path, bytes) in found {
        if let (Ok(bytes), Some(Ok(expected))) = (bytes, before.get(path)) {
            assert!(expected.starts_with(bytes), "{case}: other bytes in {path}");
        }
    }
}

#[test]
fn a_database_that_sqlite_cannot_use_is_salvaged() {
    let home = Home::new();
    let volume = home.open();
    let before = tree(&volume);
    volume.close().unwrap();
    let pages = fs::metadata(home.database()).unwrap().len() / 4096;
    let (mut poor, mut total) = (0, 0);
    for page in 0..pages.min(80) {
        let home = home.copied();
        overwrite(&home.database(), &[0; 4096], page * 4096);
        let done = home.repair();
        home.assert_sound();
        let volume = home.open();
        let whole = assert_no_other_bytes(&tree(&volume), &before, &format!("page {page}"));
        volume.close().unwrap();
        eprintln!(
            "page {page}: {whole} of {} files, {:?}",
            before.len(),
            done.changes.first()
        );
        poor += u64::from(whole * 2 < before.len());
        total += whole as u64;
    }
    eprintln!(
        "{total} of {} files in {pages} cases",
        pages * before.len() as u64
    );
    // All extents of this small volume are in one page.
    assert!(
        poor <= 1,
        "{poor} pages take more than half of the files with them"
    );
}

#[test]
fn a_bit_that_changed_in_any_page_is_put_right() {
    let (home, before) = settled();
    let whole = fs::read(home.database()).unwrap();
    for page in 0..whole.len() / 4096 {
        let home = home.copied();
        let at = page * 4096 + 37 * (page % 100);
        overwrite(&home.database(), &[whole[at] ^ 0x10], at as u64);
        home.repair();
        home.assert_sound();
        let volume = home.open();
        let found = tree(&volume);
        volume.close().unwrap();
        assert!(found == before, "page {page}");
    }
}

fn root_of(home: &Home, table: &str) -> u32 {
    let database = Connection::open(home.database()).unwrap();
    let query = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    database
        .query_row(query, [table], |row| row.get(0))
        .unwrap()
}

fn zero(home: &Home, page: u32) {
    overwrite(&home.database(), &[0; 4096], u64::from(page - 1) * 4096);
}

/// What was removed is not found again where it is not known what was removed.
#[test]
fn rows_in_pages_that_were_freed_do_not_come_back() {
    let home = Home::new();
    let volume = home.open();
    let names: Vec<String> = (0..400).map(|i| format!("removed-{i}")).collect();
    for (i, called) in names.iter().enumerate() {
        let ino = super::common::make(&volume, called).ino;
        for piece in 0..4 {
            let data = content(5_000 + 4 * i as u64 + piece, 500);
            write(&volume, ino, piece * 600, &data).unwrap();
        }
    }
    volume.close().unwrap();
    let volume = home.open();
    for called in &names {
        volume
            .unlink(&cask::types::Caller::root(), Ino::ROOT, name(called))
            .unwrap();
    }
    volume.reap().unwrap();
    let before = tree(&volume);
    volume.close().unwrap();
    let header = fs::read(home.database()).unwrap();
    let trunk = u32::from_be_bytes(header[32..36].try_into().unwrap());
    assert!(trunk > 0, "no page is free");
    zero(&home, trunk);
    zero(&home, root_of(&home, "extent"));
    let done = home.repair();
    home.assert_sound();
    let volume = home.open();
    let found = tree(&volume);
    assert_no_other_bytes(&found, &before, "freed pages");
    let names: Vec<_> = found
        .keys()
        .filter(|path| !before.contains_key(*path))
        .collect();
    assert!(names.is_empty(), "{names:?}, {:#?}", done.changes);
    volume.close().unwrap();
}

/// Each table's first page leads to all others: without it they are found one by one.
#[test]
fn pages_that_nothing_leads_to_any_more_are_found_and_taken_for_what_they_are() {
    let home = Home::new();
    let volume = home.open();
    let many = super::common::make(&volume, "in-pieces").ino;
    for state in 0..2 {
        for i in 0..900 {
            let data = content(1_000 * (state + 1) + i, 1_000);
            write(&volume, many, i * 3_000, &data).unwrap();
        }
        if state == 0 {
            volume.take_snapshot(&"two".parse().unwrap(), "").unwrap();
        }
    }
    let two = volume.snapshot(&"two".parse().unwrap()).unwrap();
    let old = volume.frozen(two.epoch).read(many, 0, 3_000_000).unwrap();
    let before = tree(&volume);
    volume.close().unwrap();
    let cases: [&[&str]; 6] = [
        &["extent"],
        &["extent_past"],
        &["extent", "extent_past"],
        &["chunk"],
        &["inode"],
        &["dentry"],
    ];
    for tables in cases {
        let (home, table) = (home.copied(), tables.join(" and "));
        let roots: Vec<u32> = tables.iter().map(|one| root_of(&home, one)).collect();
        roots.iter().for_each(|root| zero(&home, *root));
        let done = home.repair();
        home.assert_sound();
        let volume = home.open();
        let found = tree(&volume);
        let whole = assert_no_other_bytes(&found, &before, &table);
        let two = volume.snapshot(&"two".parse().unwrap()).unwrap();
        let seen = volume.frozen(two.epoch).read(many, 0, 3_000_000);
        if let Ok(seen) = &seen {
            assert!(*seen == old, "{table}: other bytes in the snapshot");
        }
        volume.close().unwrap();
        eprintln!(
            "{table}: {whole} of {} files, {:#?}",
            before.len(),
            done.changes
        );
        // The rows that were in the page itself are lost.
        assert!(
            whole + 5 >= before.len(),
            "{table}: {whole} of {}",
            before.len()
        );
    }
}

#[test]
fn what_cannot_be_salvaged_is_said_and_nothing_is_changed() {
    let (home, _) = settled();
    fs::File::create(home.database()).unwrap();
    let refused = volume::repair(&home.dir(), &|_| {}).unwrap_err();
    assert!(
        refused.to_string().contains("nothing was changed"),
        "{refused}"
    );
    assert_eq!(fs::metadata(home.database()).unwrap().len(), 0);
    fs::remove_file(home.database()).unwrap();
    let refused = volume::repair(&home.dir(), &|_| {}).unwrap_err();
    assert!(
        refused.to_string().contains("meta.db is missing"),
        "{refused}"
    );
    assert!(!home.database().exists());
}

#[test]
fn a_volume_that_somebody_has_open_is_not_repaired() {
    let (home, _) = settled();
    let volume = home.open();
    let refused = volume::repair(&home.dir(), &|_| {});
    assert!(matches!(refused, Err(Error::InUse { .. })));
    volume.close().unwrap();
}

#[test]
fn a_repair_that_is_killed_at_any_moment_can_be_done_again() {
    let (home, before) = settled();
    damage_second(&home);
    edit(&home.dir(), CASES[0].sql);
    let mut killed = 0;
    for step in 0..20 {
        let home = home.copied();
        let mut repair = Command::new(env!("CARGO_BIN_EXE_cask"))
            .args(["check", "--repair", "-q"])
            .arg(home.dir())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(5 * step));
        repair.kill().unwrap();
        killed += u32::from(!repair.wait().unwrap().success());
        // Whoever comes next may be a repair, or a mount.
        if step % 2 == 0 {
            let volume = Volume::open_with(&home.dir(), Tuning::default()).unwrap();
            assert_no_other_bytes(&tree(&volume), &before, "killed");
            volume.close().unwrap();
        }
        home.repair();
        assert!(!home.dir().join("repair").exists());
        assert_eq!(home.assert_sound().len(), 1);
        let volume = home.open();
        let whole = assert_no_other_bytes(&tree(&volume), &before, "killed");
        assert_eq!(whole, before.len() - 2);
        volume.close().unwrap();
    }
    eprintln!("{killed} of 20 repairs were killed");
    assert!(killed > 0);
}
