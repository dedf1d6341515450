//! Directories with many entries, read while they change.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use rustix::fs::{RawDir, SeekFrom};

use crate::harness::{Mount, budget_secs, sh};

#[test]
fn rm_rf_removes_a_hundred_thousand_entries() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("many");
    fs::create_dir(&dir).unwrap();
    let start = Instant::now();
    let make = |worker: usize| {
        for number in 0..50_000 {
            File::create_new(dir.join(format!("entry-{worker}-{number}"))).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| make(0));
        scope.spawn(|| make(1));
    });
    eprintln!("created 100000 in {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 100_000);
    eprintln!("listed in {:?}", start.elapsed());
    let start = Instant::now();
    sh(r#"rm -rf "$1""#, &[&dir]);
    eprintln!("removed in {:?}", start.elapsed());
    assert!(!dir.exists());
}

/// Reads a directory from its start, or from `from`, in small pieces: names and the cookies after them.
#[track_caller]
fn entries(dir: &File, from: u64) -> Vec<(CString, u64)> {
    rustix::fs::seek(dir, SeekFrom::Start(from)).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 600];
    let mut reader = RawDir::new(dir, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = reader.next() {
        let entry = entry.unwrap();
        found.push((entry.file_name().to_owned(), entry.next_entry_cookie()));
    }
    found
}

#[test]
fn readers_never_miss_or_repeat_a_stable_name_while_others_come_and_go() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("busy");
    fs::create_dir(&dir).unwrap();
    for number in 0..1000 {
        File::create_new(dir.join(format!("stable-{number}"))).unwrap();
    }
    let (done, passes) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| churn(&dir, &done));
        let read = || {
            while !done.load(Ordering::SeqCst) {
                check_pass(&dir);
                passes.fetch_add(1, Ordering::SeqCst);
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        std::thread::sleep(budget_secs(5, 60));
        // A failed reader must not leave the writer running for ever.
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap();
        }
        eprintln!(
            "{} changes, {} passes",
            writer.join().unwrap(),
            passes.load(Ordering::SeqCst)
        );
    });
    assert!(
        passes.load(Ordering::SeqCst) > 4,
        "too slow to prove anything"
    );
}

/// Creates, renames and removes names until told to stop. Returns how many.
fn churn(dir: &Path, done: &AtomicBool) -> usize {
    let mut number = 0;
    while !done.load(Ordering::SeqCst) {
        let name = |number: usize| dir.join(format!("passing-{number}"));
        File::create_new(name(number)).unwrap();
        if number % 3 == 0 {
            fs::rename(name(number), dir.join(format!("moved-{number}"))).unwrap();
            fs::rename(dir.join(format!("moved-{number}")), name(number)).unwrap();
        }
        if number >= 100 {
            fs::remove_file(name(number - 100)).unwrap();
        }
        number += 1;
    }
    number
}

#[track_caller]
fn check_pass(dir: &Path) {
    let mut seen = BTreeMap::<CString, usize>::new();
    for (name, _) in entries(&File::open(dir).unwrap(), 0) {
        *seen.entry(name).or_default() += 1;
    }
    for number in 0..1000 {
        let name = CString::new(format!("stable-{number}")).unwrap();
        assert_eq!(seen.get(&name), Some(&1), "how often {name:?} was seen");
    }
}

#[test]
fn a_cookie_stays_its_place_while_names_come_and_go() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("places");
    fs::create_dir(&dir).unwrap();
    for number in 0..300 {
        File::create_new(dir.join(format!("name-{number}"))).unwrap();
    }
    let open = File::open(&dir).unwrap();
    let all = entries(&open, 0);
    assert_eq!(all.len(), 302, "with . and ..");
    let names = |list: &[(CString, u64)]| -> Vec<CString> {
        list.iter().map(|(name, _)| name.clone()).collect()
    };
    for index in [0, 1, 2, 3, 50, 150, 299, 301] {
        let rest = entries(&open, all[index].1);
        assert_eq!(
            names(&rest),
            names(&all[index + 1..]),
            "after the entry {index}"
        );
    }
    let place = all[150].1;
    for (name, _) in &all[2..140] {
        fs::remove_file(dir.join(name.to_str().unwrap())).unwrap();
    }
    let rest = names(&entries(&open, place));
    let expected = names(&all[151..]);
    assert_eq!(rest, expected, "earlier names went");
    for number in 0..100 {
        File::create_new(dir.join(format!("later-{number}"))).unwrap();
    }
    let rest = names(&entries(&open, place));
    assert!(
        expected.iter().all(|name| rest.contains(name)),
        "new names came"
    );
}

#[test]
fn an_empty_directory_and_a_removed_one_can_be_read() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("empty");
    fs::create_dir(&dir).unwrap();
    let open = File::open(&dir).unwrap();
    assert_eq!(entries(&open, 0).len(), 2);
    fs::remove_dir(&dir).unwrap();
    let mut buffer = [MaybeUninit::uninit(); 600];
    rustix::fs::seek(&open, SeekFrom::Start(0)).unwrap();
    let mut reader = RawDir::new(&open, &mut buffer);
    while let Some(Ok(entry)) = reader.next() {
        let name = entry.file_name().to_str().unwrap();
        assert!(matches!(name, "." | ".."), "{name} in a removed directory");
    }
    assert_eq!(
        File::create(dir.join("x")).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
}

/// Reads a directory to its end, doing something for each of the names that were there at the beginning or came since;
/// returns how often it did. Gives up after ten times as many as there were.
#[track_caller]
fn read_and(dir: &Path, there: usize, act: impl Fn(&Path, usize)) -> usize {
    let (mut steps, mut buffer) = (0, [MaybeUninit::uninit(); 600]);
    let open = File::open(dir).unwrap();
    let mut reader = RawDir::new(&open, &mut buffer);
    while let Some(entry) = reader.next() {
        let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
        if name == "." || name == ".." {
            continue;
        }
        steps += 1;
        act(&dir.join(name), steps);
        assert!(steps < 10 * there, "it never ends");
    }
    steps
}

/// What a reader does beside an entry, at its so-manieth step.
type Act = fn(&Path, usize);

/// xfstests generic/736 is of this kind.
#[test]
fn reading_ends_whatever_its_reader_does_in_the_directory() {
    let Some(mount) = Mount::new() else { return };
    let acts: [(&str, Act); 4] = [
        ("rename", |path, step| {
            fs::rename(path, path.with_file_name(format!("renamed-{step}"))).unwrap();
        }),
        ("create", |path, step| {
            drop(File::create_new(path.with_file_name(format!("new-{step}"))).unwrap());
        }),
        ("link", |path, step| {
            fs::hard_link(path, path.with_file_name(format!("link-{step}"))).unwrap();
        }),
        ("make a directory", |path, step| {
            fs::create_dir(path.with_file_name(format!("dir-{step}"))).unwrap();
        }),
    ];
    for (what, act) in acts {
        let dir = mount.path().join(what);
        fs::create_dir(&dir).unwrap();
        for number in 0..500 {
            File::create_new(dir.join(format!("name-{number}"))).unwrap();
        }
        let steps = read_and(&dir, 500, act);
        assert_eq!(steps, 500, "{what}: each name that was there comes once");
    }
}

/// readdir(3) and seekdir(3) of the C library, which READDIRPLUS answers for the first entries.
#[test]
fn reading_by_the_c_library_ends_and_goes_back_to_any_place() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("perl");
    fs::create_dir(&dir).unwrap();
    let script = r#"
cd "$1"; seq 1 2000 | xargs touch
perl -e 'opendir D,"."; while(defined($e=readdir D)){next if $e=~/^\./; rename $e,"p$e"; last if $n++>20000} print $n' \
    | grep -qx 2000 || { echo "renaming does not end"; exit 1; }
perl -e 'opendir D,"."; push @at,[telldir D,$e] while defined($e=readdir D);
    for $i (reverse 1..$#at) { seekdir D,$at[$i-1][0]; readdir(D) eq $at[$i][1] or die "place $i"; }'
"#;
    sh(script, &[&dir]);
}
