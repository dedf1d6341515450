//! What was on the volume is there after `cask umount` and another `cask mount`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{Mount, assert_same_tree, budget_secs, run, sh, timed_snapshot};

/// A bit of everything, made by programs.
const MAKE_TREE: &str = r#"
    cd "$1"; umask 022
    cp -a /usr/share/doc/bash bash-doc || cp -a /etc etc
    mkdir -p deep/er/and/deeper; mkdir -m 2775 setgid; mkdir -m 1777 sticky
    chgrp 65534 setgid; touch setgid/inherits
    head -c 3000000 /dev/urandom > big; ln big hard; ln -s big soft; ln -s nowhere/at/all dangling
    mkfifo fifo; mknod null c 1 3; mknod loop b 7 0
    truncate -s 5G sparse; printf tail | dd of=sparse bs=1 seek=5000000000 conv=notrunc status=none
    touch -d '1960-01-02 03:04:05.678901234' old; touch -d '2100-01-01 00:00:00.000000001' new
    printf '\xff\xfe' > "$(printf 'not\xffutf8')"; : > "$(printf 'n%.0s' $(seq 255))"
    chown 4000000000:3000000000 old; chmod 4711 new; chmod 0 deep/er
    setfattr -n user.note -v hello big; setfattr -n trusted.secret -v x deep
    setfacl -m u:nobody:rwx,d:u:nobody:rx,d:g::r deep
    for n in $(seq 300); do echo "$n" > "deep/er/and/deeper/$n"; done; rm deep/er/and/deeper/1*
    truncate -s 4G sparse; truncate -s 5G sparse"#;

#[test]
fn a_tree_is_the_same_after_unmounting_and_mounting_again() {
    let Some(mount) = Mount::new() else { return };
    sh(MAKE_TREE, &[&mount.path()]);
    // Reading 5 GiB of zeros takes a while, and is not what this is about.
    fs::remove_file(mount.path().join("sparse")).unwrap();
    let before = timed_snapshot(&mount.path());
    assert!(before.len() > 200, "{}", before.len());
    for round in 0..3 {
        mount.umount();
        assert_eq!(
            fs::read_dir(mount.path()).unwrap().count(),
            0,
            "still mounted"
        );
        mount.mount();
        let after = timed_snapshot(&mount.path());
        assert_same_tree(&before, &after, &format!("before, after, round {round}"));
    }
}

#[test]
fn a_sparse_file_of_gigabytes_keeps_its_bytes_and_its_holes() {
    let Some(mount) = Mount::new() else { return };
    let path = mount.path().join("sparse");
    let file = File::create_new(&path).unwrap();
    file.write_all_at(b"end", (1 << 40) - 3).unwrap();
    file.write_all_at(b"middle", 7 << 30).unwrap();
    drop(file);
    mount.remount();
    let file = File::open(&path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 1 << 40);
    let read = |offset: u64| {
        let mut bytes = [1; 6];
        let count = file.read_at(&mut bytes, offset).unwrap();
        bytes[..count].to_vec()
    };
    assert_eq!(read(7 << 30), b"middle");
    assert_eq!(read((1 << 40) - 3), b"end");
    assert_eq!(read(1 << 39), [0; 6]);
    let used = disk_use(&mount.volume_dir());
    assert!(used < 150 << 20, "holes take {used} bytes");
}

fn disk_use(dir: &Path) -> u64 {
    let text = sh(r#"du -s --block-size=1 "$1" | cut -f1"#, &[dir]);
    text.trim().parse().unwrap()
}

#[test]
fn cask_umount_returns_when_the_volume_is_closed() {
    let Some(mount) = Mount::new() else { return };
    for round in 0..5 {
        fs::write(mount.path().join(format!("{round}")), vec![7; 3_000_000]).unwrap();
        let server = mount.server_pid().as_raw_nonzero();
        mount.umount();
        let stat = fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
        // Nobody may reap it here, so a zombie has ended.
        assert!(
            stat.is_empty() || stat.contains(") Z "),
            "the server lives: {stat}"
        );
        mount.mount();
    }
    assert_eq!(
        fs::read(mount.path().join("4")).unwrap(),
        vec![7; 3_000_000]
    );
}

#[test]
fn plain_umount_works_as_well() {
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "kept").unwrap();
    sh(r#"umount "$1""#, &[&mount.path()]);
    // The server may still be closing the volume: mount waits for it or says so.
    let start = Instant::now();
    while !run(
        &mut mount.command(&["mount", "v", &mount.path().to_string_lossy()]),
        60,
    )
    .status
    .success()
    {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "cannot be mounted again"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(
        fs::read_to_string(mount.path().join("file")).unwrap(),
        "kept"
    );
}

#[test]
fn the_write_ahead_log_stays_under_its_cap() {
    const CAP_BYTES: u64 = 80 << 20;
    let Some(mount) = Mount::new() else { return };
    let (start, budget) = (Instant::now(), budget_secs(20, 600));
    let wal = mount.volume_dir().join("meta.db-wal");
    let mut largest = 0;
    let calls: usize = std::thread::scope(|scope| {
        let work = |worker: usize| {
            let dir = mount.path().join(format!("load-{worker}"));
            scope.spawn(move || load(&dir, start, budget))
        };
        let workers: Vec<_> = (0..3).map(work).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            largest = largest.max(fs::metadata(&wal).map_or(0, |wal| wal.len()));
            std::thread::sleep(Duration::from_millis(20));
        }
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    eprintln!(
        "{calls} calls in {:?}; the log had {largest} bytes at most",
        start.elapsed()
    );
    assert!(largest > 0, "{} was never seen", wal.display());
    assert!(largest < CAP_BYTES, "the log grew to {largest} bytes");
}

/// Metadata load: names that come, are renamed and go, small files, listings.
fn load(dir: &Path, start: Instant, budget: Duration) -> usize {
    fs::create_dir(dir).unwrap();
    let mut calls = 0;
    while start.elapsed() < budget {
        let name = |prefix: &str| dir.join(format!("{prefix}{}", calls % 2000));
        fs::write(name("f"), [7; 300]).unwrap();
        fs::rename(name("f"), name("g")).unwrap();
        if calls % 3 == 0 {
            fs::remove_file(name("g")).unwrap();
        }
        if calls % 500 == 0 {
            fs::read_dir(dir).unwrap().count();
        }
        calls += 1;
    }
    calls * 3
}
