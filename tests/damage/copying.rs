//! Damage while a copy is answered and its extents are not written yet.

use crate::tuning::EAGER;
use cask::types::{Caller, Ino, SetAttr};
use cask::volume::{Depth, Volume};
use rusqlite::Connection;

use super::common::{make, sum_pages, write};
use super::home::{Home, Tree, assert_no_other_bytes, content, lookup, overwrite, tree};

const SECOND: &str = "dir/second";

/// A volume that was closed while a copy of its second file was under way, and the trees of it.
fn copying() -> (Home, Tree) {
    let home = Home::new();
    for attempt in 0..100 {
        let volume = Volume::open_with(&home.dir(), EAGER).unwrap();
        let source = lookup(&volume, SECOND).ino;
        let target = make(&volume, &format!("copy {attempt}")).ino;
        let root = Caller::root();
        volume
            .copy_range(&root, (source, 0), (target, 0), 1 << 40)
            .unwrap();
        let before = tree(&volume);
        volume.close().unwrap();
        if count(&home) > 0 {
            return (home, before);
        }
    }
    panic!("every copy was written at once");
}

fn count(home: &Home) -> i64 {
    let database = Connection::open(home.database()).unwrap();
    let query = "SELECT count(*) FROM copying";
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Runs SQL on the copy's row and the files at its ends.
fn edit(home: &Home, sql: &str) {
    let database = Connection::open(home.database()).unwrap();
    database.execute_batch(sql).unwrap();
    drop(database);
    sum_pages(&home.database());
}

fn root_page(home: &Home) -> u32 {
    let database = Connection::open(home.database()).unwrap();
    let query = "SELECT rootpage FROM sqlite_schema WHERE name = 'copying'";
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

/// The files of the head that are not what they were after a repair.
fn spoiled(home: &Home, before: &Tree) -> Vec<String> {
    home.assert_sound();
    assert_eq!(count(home), 0);
    let volume = home.open();
    let found = tree(&volume);
    assert_no_other_bytes(&found, before, "a copy under way");
    volume.close().unwrap();
    let differs = |path: &&String| found.get(*path) != before.get(*path);
    let head = before.keys().filter(|path| !path.starts_with('@'));
    head.filter(differs).cloned().collect()
}

#[test]
fn a_repair_writes_what_was_being_copied() {
    let (home, before) = copying();
    edit(&home, "UPDATE chunk SET refs = refs + 1");
    home.repair();
    assert_eq!(spoiled(&home, &before), Vec::<String>::new());
}

#[test]
fn what_is_lost_of_the_source_is_lost_of_the_copy_and_no_more() {
    let (home, before) = copying();
    edit(
        &home,
        "DELETE FROM extent WHERE ino = (SELECT source FROM copying) AND off = 131072",
    );
    let volume = home.open();
    let checked = volume.check(Depth::Metadata).unwrap();
    let told = "a copy that is under way can be carried on";
    assert!(
        checked.problems.iter().any(|line| line.contains(told)),
        "{checked:?}"
    );
    drop(volume);
    home.repair();
    let spoiled = spoiled(&home, &before);
    assert_eq!(spoiled.len(), 2, "{spoiled:?}");
    let volume = home.open();
    for path in spoiled {
        let ino = lookup(&volume, &path).ino;
        assert!(volume.read(ino, 131_072, 4096).is_err());
        assert_eq!(volume.read(ino, 0, 131_072).unwrap().len(), 131_072);
        assert_ne!(ino, Ino::ROOT);
    }
    volume.close().unwrap();
}

#[test]
fn a_copy_that_does_not_fit_its_files_or_is_lost_leaves_errors_and_no_zeros() {
    let (home, before) = copying();
    let tables = home.copied();
    overwrite(
        &tables.database(),
        &[0; 4096],
        u64::from(root_page(&tables) - 1) * 4096,
    );
    let longer = home.copied();
    edit(
        &longer,
        "UPDATE copying SET len = len + 4096, source_off = source_off + 4096",
    );
    let other = home.copied();
    edit(&other, "UPDATE copying SET bytes = bytes - 1");
    for home in [tables, longer, other] {
        home.repair();
        let spoiled = spoiled(&home, &before);
        assert!(
            spoiled.len() == 1 && spoiled[0].starts_with("copy"),
            "{spoiled:?}"
        );
    }
}

#[test]
fn a_copy_whose_row_names_another_file_or_place_puts_no_bytes_there() {
    let home = Home::new();
    let volume = home.open();
    let sparse = make(&volume, "sparse").ino;
    let size = SetAttr {
        size: Some(400_000),
        ..SetAttr::default()
    };
    volume.setattr(&Caller::root(), sparse, &size).unwrap();
    volume.close().unwrap();
    let volume = Volume::open_with(&home.dir(), EAGER).unwrap();
    let source = lookup(&volume, SECOND).ino;
    let target = make(&volume, "copy").ino;
    let own = content(77, 300_000);
    write(&volume, target, 0, &own).unwrap();
    let copied = volume.copy_range(&Caller::root(), (source, 0), (target, 300_000), 1 << 40);
    assert_eq!(copied.unwrap(), 300_000);
    let before = tree(&volume);
    volume.close().unwrap();
    assert_eq!(count(&home), 1);
    let elsewhere = home.copied();
    edit(
        &elsewhere,
        &format!("UPDATE copying SET target = {}", sparse.raw()),
    );
    elsewhere.repair();
    assert_eq!(spoiled(&elsewhere, &before), ["copy"]);
    edit(&home, "UPDATE copying SET off = off - 262144");
    home.repair();
    assert_eq!(spoiled(&home, &before), ["copy"]);
    let volume = home.open();
    assert!(volume.read(target, 0, 300_000).unwrap() == own);
    assert!(volume.read(target, 300_000, 1).is_err());
    volume.close().unwrap();
}

/// A copy of what is damaged is answered, and is as damaged: all else goes on.
#[test]
fn a_damaged_source_keeps_nobody_from_snapshots_and_rollbacks() {
    let damages = [
        "DELETE FROM extent WHERE ino = 2 AND off = 131072",
        "DELETE FROM chunk WHERE id = (SELECT chunk FROM extent WHERE ino = 2 AND off = 131072)",
    ];
    for damage in damages {
        let home = Home::new();
        let volume = home.open();
        let second = lookup(&volume, SECOND).ino.raw();
        volume.close().unwrap();
        let damage = damage.replace("ino = 2", &format!("ino = {second}"));
        edit(&home, &damage);
        let volume = Volume::open_with(&home.dir(), EAGER).unwrap();
        let source = lookup(&volume, SECOND).ino;
        let target = make(&volume, "copy").ino;
        let root = Caller::root();
        volume
            .copy_range(&root, (source, 0), (target, 0), 1 << 40)
            .unwrap();
        volume.take_snapshot(&"s".parse().unwrap(), "").unwrap();
        volume
            .rollback(&"kept".parse().unwrap(), &"t".parse().unwrap())
            .unwrap();
        volume
            .rollback(&"t".parse().unwrap(), &"u".parse().unwrap())
            .unwrap();
        drop(volume);
        home.repair();
        home.assert_sound();
        let volume = home.open();
        assert!(volume.read(target, 131_072, 4096).is_err());
        assert!(volume.read(target, 0, 131_072).is_ok());
        volume.close().unwrap();
    }
}

#[test]
fn a_copy_that_would_reach_beyond_its_target_is_reported_and_not_written() {
    let (home, before) = copying();
    edit(&home, "UPDATE copying SET off = off + 4096");
    let volume = home.open();
    let checked = volume.check(Depth::Metadata).unwrap();
    let told = "a copy that is under way can be carried on";
    assert!(
        checked.problems.iter().any(|line| line.contains(told)),
        "{checked:?}"
    );
    drop(volume);
    home.repair();
    let spoiled = spoiled(&home, &before);
    assert!(
        spoiled.len() == 1 && spoiled[0].starts_with("copy"),
        "{spoiled:?}"
    );
}
