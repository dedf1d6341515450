//! Times: nanoseconds, far years, what changes which.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, statx, utimensat,
};
use rustix::io::Errno;

use super::{chmod, stat};
use crate::harness::{Mount, NOBODY, as_user};

fn set(path: &Path, atime: (i64, i64), mtime: (i64, i64)) -> Result<(), Errno> {
    let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(atime),
        last_modification: time(mtime),
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

#[track_caller]
fn times(path: &Path) -> [(i64, u64); 3] {
    let stat = stat(path);
    [
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
    ]
}

#[test]
fn times_have_nanoseconds_and_years_before_1970_and_after_2106() {
    let Some(mount) = Mount::new() else { return };
    let cases = [
        (0, 0),
        (1, 999_999_999),
        (-1, 1),
        (-2_000_000_000, 5),
        (5_000_000_000, 123_456_789),
    ];
    for (number, time) in cases.into_iter().enumerate() {
        for kind in ["file", "dir", "link"] {
            let path = mount.path().join(format!("{kind}-{number}"));
            match kind {
                "file" => fs::write(&path, "x").unwrap(),
                "dir" => fs::create_dir(&path).unwrap(),
                _ => std::os::unix::fs::symlink("x", &path).unwrap(),
            }
            set(&path, time, (time.0 + 1, time.1)).unwrap();
        }
    }
    let check = || {
        for (number, (seconds, nanos)) in cases.into_iter().enumerate() {
            for kind in ["file", "dir", "link"] {
                let path = mount.path().join(format!("{kind}-{number}"));
                let nanos = nanos.cast_unsigned();
                assert_eq!(
                    times(&path)[..2],
                    [(seconds, nanos), (seconds + 1, nanos)],
                    "{path:?}"
                );
            }
        }
    };
    check();
    mount.remount();
    check();
}

#[test]
fn utime_now_and_omit_are_honoured() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    set(&path, (5, 5), (6, 6)).unwrap();
    set(&path, (0, UTIME_OMIT), (7, 7)).unwrap();
    assert_eq!(times(&path)[..2], [(5, 5), (7, 7)]);
    set(&path, (0, UTIME_NOW), (0, UTIME_OMIT)).unwrap();
    let [atime, mtime, ctime] = times(&path);
    assert!(atime.0 > 1_000_000_000, "{atime:?}");
    assert_eq!(mtime, (7, 7));
    assert!(ctime.0 > 1_000_000_000, "{ctime:?}");
    chmod(&path, 0o666);
    as_user(NOBODY, NOBODY, || {
        assert_eq!(
            set(&path, (1, 1), (1, 1)),
            Err(Errno::PERM),
            "only the owner sets a time"
        );
        set(&path, (0, UTIME_NOW), (0, UTIME_NOW)).unwrap();
    });
}

/// Runs `act`; returns which of mtime and ctime it advanced.
#[track_caller]
fn advanced(path: &Path, act: impl FnOnce()) -> (bool, bool) {
    let [_, mtime, ctime] = times(path);
    std::thread::sleep(Duration::from_millis(15));
    act();
    let [_, new_mtime, new_ctime] = times(path);
    assert!(new_mtime >= mtime && new_ctime >= ctime, "a time went back");
    (new_mtime > mtime, new_ctime > ctime)
}

#[test]
fn each_change_advances_the_times_that_posix_says() {
    let Some(mount) = Mount::new() else { return };
    let (dir, path) = (mount.path(), mount.path().join("file"));
    fs::write(&path, "some text").unwrap();
    let open = || File::options().read(true).write(true).open(&path).unwrap();
    assert_eq!(
        advanced(&path, || open().write_all(b"x").unwrap()),
        (true, true),
        "write"
    );
    assert_eq!(
        advanced(&path, || open().set_len(3).unwrap()),
        (true, true),
        "truncate"
    );
    assert_eq!(
        advanced(&path, || chmod(&path, 0o600)),
        (false, true),
        "chmod"
    );
    assert_eq!(
        advanced(&path, || drop(fs::read(&path).unwrap())),
        (false, false),
        "read"
    );
    let link = dir.join("link");
    assert_eq!(
        advanced(&path, || fs::hard_link(&path, &link).unwrap()),
        (false, true),
        "link"
    );
    assert_eq!(
        advanced(&path, || fs::remove_file(&link).unwrap()),
        (false, true),
        "unlink"
    );
    let moved = dir.join("moved");
    assert_eq!(
        advanced(&dir, || fs::rename(&path, &moved).unwrap()),
        (true, true),
        "the directory"
    );
    assert_eq!(
        advanced(&dir, || drop(File::create_new(&path).unwrap())),
        (true, true),
        "create"
    );
    assert_eq!(
        advanced(&dir, || fs::remove_file(&path).unwrap()),
        (true, true),
        "remove"
    );
    assert_eq!(
        advanced(&dir, || chmod(&moved, 0o644)),
        (false, false),
        "the parent of a chmod"
    );
}

#[test]
fn a_modification_time_survives_writing_closing_and_remounting() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    // cp -p and tar set the time after writing and before closing.
    let mut file = File::create_new(&path).unwrap();
    file.write_all(&[7; 200_000]).unwrap();
    set(&path, (11, 11), (12, 12)).unwrap();
    drop(file);
    assert_eq!(times(&path)[1], (12, 12));
    mount.remount();
    assert_eq!(times(&path)[1], (12, 12));
    let other = mount.path().join("other");
    fs::write(&other, "x").unwrap();
    let before = times(&other);
    mount.remount();
    assert_eq!(times(&other)[1..], before[1..]);
}

/// Since Linux 6.13 what the kernel stamps runs ahead of the coarse clock as soon as someone looks at a file that
/// changes, on whatever filesystem of the host.
#[test]
fn what_is_made_later_is_not_dated_earlier_beside_files_that_are_looked_at() {
    let Some(mount) = Mount::new() else { return };
    let busy = mount.plain().join("busy");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::create_new(&busy).unwrap();
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                file.write_all(b"x").unwrap();
                file.metadata().unwrap();
            }
        });
        let order = std::panic::catch_unwind(|| keep_order(&mount.path()));
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        order.unwrap();
    });
}

/// Stamps by the kernel (a write) and by the server (all else), in turns: none is before the one before it.
#[track_caller]
fn keep_order(dir: &Path) {
    let (mut last, mut of) = ((0, 0), "nothing");
    let mut check = |what: &'static str, path: &Path| {
        let ctime = times(path)[2];
        assert!(ctime >= last, "{what} at {ctime:?}, after {of} at {last:?}");
        (last, of) = (ctime, what);
    };
    for round in 0..200 {
        let path = |kind: &str| dir.join(format!("{kind}-{round}"));
        let write = |name: &str| {
            fs::write(path(name), "x").unwrap();
            path(name)
        };
        check("a write", &write("before"));
        fs::create_dir(path("dir")).unwrap();
        check("mkdir", &path("dir"));
        check("a write", &write("file"));
        std::os::unix::fs::symlink("x", path("link")).unwrap();
        check("symlink", &path("link"));
        check("the parent of a symlink", dir);
        check("a write", &write("file"));
        fs::rename(path("file"), path("moved")).unwrap();
        check("rename", &path("moved"));
        check("a write", &write("before"));
        fs::hard_link(path("moved"), path("second")).unwrap();
        check("link", &path("second"));
        check("a write", &write("before"));
        chmod(&path("moved"), 0o640);
        check("chmod", &path("moved"));
        check("a write", &write("before"));
        fs::remove_file(path("moved")).unwrap();
        check("the last name but one", &path("second"));
        check("a write", &write("before"));
        rustix::fs::setxattr(
            path("second"),
            "user.x",
            b"1",
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        check("setxattr", &path("second"));
    }
}

/// The kernel keeps the times of such a file; what it tells of them is not stored.
#[test]
fn a_file_without_a_name_has_the_times_that_it_was_given() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("file");
    fs::write(&path, "x").unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let asked = || {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        let found = statx(&file, "", flags, StatxFlags::BASIC_STATS).unwrap();
        [found.stx_atime, found.stx_mtime, found.stx_ctime].map(|time| time.tv_sec)
    };
    let before = asked();
    let mut times = Timestamps {
        last_access: time(0, UTIME_OMIT),
        last_modification: time(1_000, 0),
    };
    rustix::fs::futimens(&file, &times).unwrap();
    let [atime, mtime, ctime] = asked();
    assert_eq!((atime, mtime), (before[0], 1_000));
    assert!(ctime >= before[2]);
    times.last_access = time(2_000, 0);
    rustix::fs::futimens(&file, &times).unwrap();
    assert_eq!(asked()[..2], [2_000, 1_000]);
}
