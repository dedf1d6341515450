//! Long work ends early when whoever asked for it is gone, and leaves a sound volume.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cask::meta::{Database, Error as MetaError};
use cask::types::{SnapshotName, while_wanted};
use cask::volume::{Depth, Error, Volume};

use crate::Home;
use crate::common::{make, noise, write};

const FILES: usize = 400;

fn fill(volume: &Volume, round: usize) {
    for i in 0..FILES {
        let file = make(volume, &format!("{round}-{i}")).ino;
        write(volume, file, 0, &noise((round * FILES + i) as u64, 20_000)).unwrap();
    }
}

/// Does `work` for an asker who goes away after so many looks.
fn looked_at<T>(looks: usize, work: impl FnOnce() -> T) -> T {
    let left = Cell::new(looks);
    let is_there = move || {
        left.set(left.get().saturating_sub(1));
        left.get() > 0
    };
    while_wanted(is_there, work)
}

#[test]
fn a_check_a_diff_and_a_collection_end_when_nobody_wants_them() {
    let home = Home::new();
    let volume = home.open();
    let name = "s".parse::<SnapshotName>().unwrap();
    let snapshot = volume.take_snapshot(&name, "").unwrap();
    fill(&volume, 0);
    volume.sync().unwrap();
    for looks in 1..4 {
        let unwanted = |outcome: Result<(), Error>| {
            let is_whole = looks > 1 && outcome.is_ok();
            assert!(is_whole || matches!(outcome, Err(Error::Unwanted)));
        };
        for depth in [Depth::Metadata, Depth::Data] {
            unwanted(looked_at(looks, || volume.check(depth).map(drop)));
        }
        unwanted(looked_at(looks, || volume.diff(&snapshot, None).map(drop)));
        unwanted(looked_at(looks, || volume.collect().map(drop)));
        fill(&volume, looks);
    }
    assert_eq!(volume.diff(&snapshot, None).unwrap().len(), 4 * FILES);
    volume.collect().unwrap();
    assert_eq!(volume.check(Depth::Data).unwrap().problems, [""; 0]);
    volume.close().unwrap();
}

/// A query over all rows is one call, which nothing but SQLite itself can end.
#[test]
fn a_long_query_ends_within_a_second() {
    let home = Home::new();
    let volume = home.open();
    fill(&volume, 0);
    volume.close().unwrap();
    let database = Database::open(&home.dir().join("meta.db")).unwrap();
    let since = Instant::now();
    let is_there = move || since.elapsed() < Duration::from_millis(50);
    let ended = while_wanted(is_there, || {
        loop {
            match database.read_long().and_then(|tx| tx.integrity()) {
                Ok(found) if found.is_empty() => {}
                outcome => return outcome,
            }
        }
    });
    assert!(matches!(ended, Err(MetaError::Unwanted)), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(1));
    // What was ended spoils nothing for the next.
    assert_eq!(database.audit().unwrap(), [""; 0]);
}
