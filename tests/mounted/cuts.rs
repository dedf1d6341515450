//! One cut across two volumes, with a program writing to one and then to the other.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Mount, VOLUME, short_or_long};

const SECOND: &str = "w";

#[test]
fn no_cut_holds_an_effect_without_its_cause() {
    let Some(mount) = Mount::new() else { return };
    let second = mount.sandbox().subdir("second");
    mount.cask(&["create", SECOND]);
    mount.cask(&["mount", SECOND, &second.to_string_lossy()]);
    let places = [mount.path(), second.clone()].map(|at| at.join("counter"));
    let files = places.map(|path| File::create(path).unwrap());
    files
        .iter()
        .for_each(|file| file.write_all_at(&[0; 8], 0).unwrap());
    let done = AtomicBool::new(false);
    let write = || {
        for number in 1_u64.. {
            for file in &files {
                file.write_all_at(&number.to_le_bytes(), 0).unwrap();
                file.sync_all().unwrap();
            }
            if done.load(Ordering::Relaxed) {
                return number;
            }
        }
        0
    };
    let rounds = short_or_long(25, 300);
    let (written, cuts) = std::thread::scope(|scope| {
        let writer = scope.spawn(write);
        let end = Done(&done);
        let cuts: Vec<_> = (0..rounds).map(|round| cut(&mount, round)).collect();
        drop(end);
        (writer.join().unwrap(), cuts)
    });
    eprintln!("{rounds} cuts during {written} pairs of writes: {cuts:?}");
    for [first, second] in &cuts {
        assert!(*first == *second || *first == second + 1, "{cuts:?}");
    }
    assert!(cuts.last() > cuts.first(), "nothing was written meanwhile");
    drop(files);
    mount.cask(&["umount", SECOND]);
}

/// Ends the writer, also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes a cut and says what the counters are in it.
fn cut(mount: &Mount, round: usize) -> [u64; 2] {
    // Both orders: the names of the volumes must not matter.
    let mut states = [VOLUME, SECOND].map(|volume| format!("{volume}@s{round}"));
    if round % 2 == 1 {
        states.reverse();
    }
    mount.cask(&["snapshot", &states[0], &states[1]]);
    [VOLUME, SECOND].map(|volume| counter(mount, &format!("{volume}@s{round}:/counter")))
}

fn counter(mount: &Mount, from: &str) -> u64 {
    let copy: PathBuf = mount.sandbox().dir().join("copy");
    let done = mount.try_cask(&["cp", from, &copy.to_string_lossy()]);
    assert!(done.status.success(), "{}", done.output());
    let bytes = fs::read(&copy).unwrap();
    fs::remove_file(copy).unwrap();
    bytes.try_into().map_or(0, u64::from_le_bytes)
}
