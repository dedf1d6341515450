//! Limits: what they refuse, what they leave alone, and what they show.

use super::*;
use cask::types::Limits;
use cask::volume::{FallocateMode, SetIdBits, WriteOrigin};

fn limited(bytes: Option<u64>, inodes: Option<u64>) -> (Home, Volume) {
    let home = Home::new();
    let volume = home.open();
    volume.set_limits(Limits { bytes, inodes }).unwrap();
    (home, volume)
}

#[test]
fn a_volume_holds_what_its_limit_says_and_no_byte_more() {
    let (home, volume) = limited(Some(10 * MIB), None);
    let file = make(&volume, "file");
    for i in 0..10 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    let over = write(&volume, file.ino, 10 * MIB, b"x");
    assert!(matches!(over, Err(Error::OverLimit)), "{over:?}");
    assert_eq!(volume.getattr(file.ino).unwrap().size, 10 * MIB);
    // What does not add may change, holes count nothing, and names are free.
    write(&volume, file.ino, 0, &noise(77, MIB)).unwrap();
    let other = make(&volume, "other");
    write(&volume, other.ino, 0, &vec![0; 1 << 20]).unwrap();
    assert_eq!(volume.read(file.ino, 0, 1 << 20).unwrap(), noise(77, MIB));
    let room = volume.room().unwrap();
    assert_eq!((room.blocks * room.block_bytes, room.free), (10 * MIB, 0));
    // The limit stays over a reopen.
    volume.close().unwrap();
    let volume = home.open();
    let over = write(&volume, file.ino, 10 * MIB, b"x");
    assert!(matches!(over, Err(Error::OverLimit)), "{over:?}");
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn space_of_a_removed_file_can_be_used_at_once() {
    let (_home, volume) = limited(Some(64 * MIB), None);
    for round in 0..20 {
        let file = make(&volume, "file");
        volume.remember(file.ino);
        for i in 0..64 {
            write(&volume, file.ino, i * MIB, &noise(round * 64 + i, MIB)).unwrap();
        }
        volume
            .unlink(&Caller::root(), Ino::ROOT, name("file"))
            .unwrap();
        volume.forget(file.ino, 1);
    }
    volume.close().unwrap();
}

#[test]
fn a_file_that_is_held_without_a_name_still_counts() {
    let (_home, volume) = limited(Some(4 * MIB), None);
    let file = make(&volume, "file");
    volume.remember(file.ino);
    for i in 0..4 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    volume
        .unlink(&Caller::root(), Ino::ROOT, name("file"))
        .unwrap();
    let other = make(&volume, "other");
    let over = write(&volume, other.ino, 0, &noise(9, MIB));
    assert!(matches!(over, Err(Error::OverLimit)), "{over:?}");
    assert_eq!(volume.read(file.ino, 0, 1 << 20).unwrap(), noise(0, MIB));
    volume.forget(file.ino, 1);
    write(&volume, other.ino, 0, &noise(9, MIB)).unwrap();
    volume.close().unwrap();
}

#[test]
fn inodes_have_a_limit_too() {
    let (_home, volume) = limited(None, Some(5));
    for i in 0..4 {
        make(&volume, &format!("{i}"));
    }
    let new = NewNode {
        kind: FileKind::Directory,
        mode: 0o755,
        umask: 0,
        rdev: 0,
        target: &[],
    };
    let over = volume.create(&Caller::root(), Ino::ROOT, name("more"), &new);
    assert!(matches!(over, Err(Error::OverLimit)), "{over:?}");
    volume
        .unlink(&Caller::root(), Ino::ROOT, name("0"))
        .unwrap();
    volume
        .create(&Caller::root(), Ino::ROOT, name("more"), &new)
        .unwrap();
    let room = volume.room().unwrap();
    assert_eq!((room.inodes, room.inodes_free), (5, 0));
    volume.close().unwrap();
}

#[test]
fn a_limit_goes_up_and_down_to_what_is_used() {
    let (_home, volume) = limited(Some(10 * MIB), None);
    let file = make(&volume, "file");
    for i in 0..8 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    let bytes = |bytes| Limits {
        bytes: Some(bytes),
        inodes: None,
    };
    let refused = volume.set_limits(bytes(8 * MIB - 1));
    let held = 8 * MIB;
    assert!(
        matches!(refused, Err(Error::Exceeded { bytes, .. }) if bytes == held),
        "{refused:?}"
    );
    volume.set_limits(bytes(8 * MIB)).unwrap();
    assert!(write(&volume, file.ino, 8 * MIB, b"x").is_err());
    volume.set_limits(bytes(9 * MIB)).unwrap();
    write(&volume, file.ino, 8 * MIB, b"x").unwrap();
    volume.set_limits(Limits::default()).unwrap();
    for i in 9..20 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    volume.close().unwrap();
}

#[test]
fn copies_count_as_often_as_they_are_there_and_fallocate_asks_first() {
    let (_home, volume) = limited(Some(10 * MIB), None);
    let file = make(&volume, "file");
    for i in 0..4 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    let copy = make(&volume, "copy");
    let root = Caller::root();
    let copied = volume.copy_range(&root, (file.ino, 0), (copy.ino, 0), 4 * MIB);
    assert_eq!(copied.unwrap(), 4 * MIB);
    let over = volume.copy_range(&root, (file.ino, 0), (copy.ino, 4 * MIB), 4 * MIB);
    assert!(matches!(over, Err(Error::OverLimit)), "{over:?}");
    let more = make(&volume, "more");
    let over = volume.fallocate(&root, more.ino, 0, 3 * MIB, FallocateMode::Extend);
    assert!(matches!(over, Err(Error::OverLimit)), "{over:?}");
    assert_eq!(volume.getattr(more.ino).unwrap().size, 0);
    volume
        .fallocate(&root, more.ino, 0, 2 * MIB, FallocateMode::Extend)
        .unwrap();
    assert_eq!(volume.usage().unwrap().logical_bytes, 8 * MIB);
    assert_eq!(volume.usage().unwrap().live_plain_bytes, 4 * MIB);
    volume.close().unwrap();
}

#[test]
fn names_and_attributes_have_their_bound_too() {
    let (home, volume) = limited(Some(MIB), None);
    let set = |name: &str| {
        let ino = crate::common::try_make(&volume, name)?.ino;
        let (value, any) = (noise(7, 60_000), cask::volume::SetXattrMode::Any);
        volume.set_xattr(&Caller::root(), ino, b"user.k", &value, any)
    };
    let refused = (0..2000).find_map(|i| Some((i, set(&format!("{i}")).err()?)));
    let (made, error) = refused.unwrap();
    assert!(matches!(error, Error::OverLimit), "{error}");
    assert!(made > 900, "{made}");
    volume.sync().unwrap();
    let database = std::fs::metadata(home.dir("v").join("meta.db"))
        .unwrap()
        .len();
    assert!(database <= 64 * MIB, "{database}");
    // What is removed makes room.
    for i in 0..10 {
        let gone = format!("{i}");
        volume
            .unlink(&Caller::root(), Ino::ROOT, name(&gone))
            .unwrap();
    }
    volume.reap().unwrap();
    set("again").unwrap();
    assert_sound(&volume);
    volume.close().unwrap();
}

#[test]
fn space_beyond_what_is_free_is_not_promised() {
    const PETABYTE: u64 = 1 << 50;
    for limit in [None, Some(PETABYTE * 4), Some(64 * MIB)] {
        let (_home, volume) = limited(limit, None);
        let file = make(&volume, "file");
        let allocate = |len, mode| volume.fallocate(&Caller::root(), file.ino, 0, len, mode);
        for mode in [FallocateMode::Extend, FallocateMode::Reserve] {
            let far = allocate(PETABYTE, mode);
            assert!(
                matches!(far, Err(Error::NoSpace | Error::OverLimit)),
                "{limit:?}: {far:?}"
            );
            assert_eq!(volume.getattr(file.ino).unwrap().size, 0);
        }
        allocate(MIB, FallocateMode::Extend).unwrap();
        volume.close().unwrap();
    }
}

#[test]
fn a_limit_above_what_the_host_has_shows_what_can_be_used() {
    let (_home, volume) = limited(Some(1 << 50), None);
    let file = make(&volume, "file");
    for i in 0..8 {
        write(&volume, file.ino, i * MIB, &noise(i, MIB)).unwrap();
    }
    let (host, room) = (
        volume.usage().unwrap().host_free_bytes,
        volume.room().unwrap(),
    );
    let (free, all) = (room.free * room.block_bytes, room.blocks * room.block_bytes);
    assert_eq!(room.free, room.available);
    assert!(
        free.abs_diff(host) < 64 * MIB,
        "{free} free, the host has {host}"
    );
    assert!(
        all - free >= 8 * MIB && all - free < 9 * MIB,
        "{} used",
        all - free
    );
    volume.close().unwrap();
}

/// What was refused is kept, and stored once there is room: who reads meanwhile sees it in the one place or the other.
#[test]
fn readers_see_what_was_refused_also_while_it_is_being_stored() {
    let (_home, volume) = limited(Some(4 * MIB), None);
    let file = make(&volume, "file");
    for round in 0..30_u64 {
        let filler = make(&volume, "filler");
        volume.remember(filler.ino);
        for i in 0..4 {
            write(&volume, filler.ino, i * MIB, &noise(round * 4 + i, MIB)).unwrap();
        }
        let expected = noise(1000 + round, 4096);
        let cached = |bytes: &[u8]| {
            volume.write(file.ino, 0, bytes, WriteOrigin::PageCache, SetIdBits::Keep)
        };
        assert!(matches!(cached(&expected), Err(Error::OverLimit)));
        assert!(matches!(volume.fsync(file.ino), Err(Error::NoSpace)));
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::SeqCst) {
                        assert_eq!(volume.getattr(file.ino).unwrap().size, 4096);
                        assert!(volume.read(file.ino, 0, 4096).unwrap() == expected);
                    }
                });
            }
            volume
                .unlink(&Caller::root(), Ino::ROOT, name("filler"))
                .unwrap();
            volume.forget(filler.ino, 1);
            let stored = volume.fsync(file.ino);
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            stored.unwrap();
        });
        let emptied = SetAttr {
            size: Some(0),
            ..SetAttr::default()
        };
        volume.setattr(&Caller::root(), file.ino, &emptied).unwrap();
    }
    volume.close().unwrap();
}
