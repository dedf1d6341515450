//! Twenty thousand files of 2 KiB in a hundred directories.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::measuring::{Random, Scale, timed};
use crate::table::Sample;
use crate::target::{Target, settle};

pub(crate) const ROWS: &[&str] = &[
    "create small files",
    "stat warm",
    "stat cold",
    "read small files warm",
    "read small files cold",
    "delete small files",
];

const DIRS: usize = 100;
const SIZE: usize = 2048;

/// Rates in files a second.
pub(crate) fn measure(target: &mut Target, scale: &Scale, _scratch: &Path) -> Vec<Sample> {
    let base = target.fresh_dir("small");
    let dirs: Vec<_> = (0..DIRS)
        .map(|number| base.join(format!("dir-{number}")))
        .collect();
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    let paths: Vec<PathBuf> = (0..scale.small_files)
        .map(|number| dirs[number % DIRS].join(format!("file-{number}")))
        .collect();
    settle();
    let count = paths.len();
    let create = timed(ROWS[0], count, || create_all(&paths));
    settle();
    stat_all(&paths);
    let stat_warm = timed(ROWS[1], count, || stat_all(&paths));
    read_all(&paths);
    let read_warm = timed(ROWS[3], count, || read_all(&paths));
    target.make_cold();
    let stat_cold = timed(ROWS[2], count, || stat_all(&paths));
    target.make_cold();
    let read_cold = timed(ROWS[4], count, || read_all(&paths));
    target.warm_up();
    let delete = timed(ROWS[5], count, || {
        for path in &paths {
            fs::remove_file(path).unwrap();
        }
    });
    fs::remove_dir_all(&base).unwrap();
    vec![create, stat_warm, stat_cold, read_warm, read_cold, delete]
}

fn create_all(paths: &[PathBuf]) {
    let (mut random, mut bytes) = (Random(6), [0; SIZE]);
    for path in paths {
        random.fill(&mut bytes);
        File::create_new(path).unwrap().write_all(&bytes).unwrap();
    }
}

fn stat_all(paths: &[PathBuf]) {
    for path in paths {
        assert!(rustix::fs::stat(path).unwrap().st_size > 0);
    }
}

fn read_all(paths: &[PathBuf]) {
    let mut bytes = [0; SIZE];
    for path in paths {
        File::open(path).unwrap().read_exact(&mut bytes).unwrap();
    }
}
