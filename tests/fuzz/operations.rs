//! Operations with arguments that no kernel sends: any inode, any name, any offset.

use crate::tuning::EAGER;
use cask::types::{Caller, FileKind, Ino, Name, NewNode, SetAttr, SetTime, Timestamp};
use cask::volume::{FallocateMode, RenameMode, SetIdBits, SetXattrMode, Volume, WriteOrigin};

use crate::common::create;
use crate::{EDGES, Random, abort_on_panic, for_a_while, limit_memory};

struct Hostile<'v> {
    volume: &'v Volume,
    random: Random,
    known: Vec<Ino>,
    done: u64,
}

const NAMES: &[&[u8]] = &[b"a", b"b", b"c", b"\xff", b"new\nline", b".x", b" "];
const ATTRIBUTES: &[&[u8]] = &[
    b"user.a",
    b"user.",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
    b"security.capability",
    b"trusted.overlay.opaque",
    b"nonsense",
    b"",
];

impl Hostile<'_> {
    fn number(&mut self) -> u64 {
        match self.random.below(3) {
            0 => *self.random.pick(EDGES),
            1 => self.random.next(),
            _ => self.random.below(1 << 20) as u64,
        }
    }

    fn ino(&mut self) -> Ino {
        match self.random.below(10) {
            0 => Ino::from_raw(self.number()),
            _ => *self.random.pick(&self.known),
        }
    }

    fn name(&mut self) -> &'static Name {
        let name: &'static [u8] = NAMES[self.random.below(NAMES.len())];
        Name::parse(name).unwrap()
    }

    fn word(&mut self) -> u32 {
        u32::try_from(self.number() & u64::from(u32::MAX)).unwrap()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.random.below(3000);
        (0..len).map(|_| self.random.byte()).collect()
    }

    fn caller(&mut self) -> Caller {
        let (uid, gid) = (self.word(), self.word());
        match self.random.below(2) {
            0 => Caller::root(),
            _ => Caller {
                uid,
                gid,
                ..Caller::root()
            },
        }
    }

    fn step(&mut self) {
        let is_done = match self.random.below(14) {
            0 | 1 => self.make(),
            2 => self.remove(),
            3 => self.rename(),
            4 => self.link(),
            5 | 6 => self.write(),
            7 => self.set_attributes(),
            8 => self.set_xattr(),
            9 => self.fallocate(),
            10 => self.copy(),
            11 => self.read(),
            12 => self.list(),
            _ => self.forget(),
        };
        self.done += u64::from(is_done);
    }

    fn make(&mut self) -> bool {
        let target = self.bytes();
        let kinds = [
            FileKind::File,
            FileKind::Directory,
            FileKind::Symlink,
            FileKind::CharDevice,
        ];
        let kind = *self.random.pick(&kinds);
        let new = NewNode {
            kind,
            mode: self.word(),
            umask: self.word(),
            rdev: self.word(),
            target: if kind == FileKind::Symlink {
                &target
            } else {
                &[]
            },
        };
        let (caller, parent, name) = (self.caller(), self.ino(), self.name());
        let made = self.volume.create(&caller, parent, name, &new);
        if let Ok(attr) = &made {
            self.volume.remember(attr.ino);
            if self.known.len() < 60 {
                self.known.push(attr.ino);
            }
        }
        made.is_ok()
    }

    fn remove(&mut self) -> bool {
        let (caller, parent, name) = (self.caller(), self.ino(), self.name());
        match self.random.below(2) {
            0 => self.volume.unlink(&caller, parent, name).is_ok(),
            _ => self.volume.rmdir(&caller, parent, name).is_ok(),
        }
    }

    fn rename(&mut self) -> bool {
        let modes = [
            RenameMode::Replace,
            RenameMode::NoReplace,
            RenameMode::Exchange,
            RenameMode::Whiteout,
        ];
        let mode = *self.random.pick(&modes);
        let (from, to) = ((self.ino(), self.name()), (self.ino(), self.name()));
        let caller = self.caller();
        self.volume.rename(&caller, from, to, mode).is_ok()
    }

    fn link(&mut self) -> bool {
        let (caller, ino) = (self.caller(), self.ino());
        let (parent, name) = (self.ino(), self.name());
        self.volume.link(&caller, ino, parent, name).is_ok()
    }

    fn write(&mut self) -> bool {
        let (ino, offset, bytes) = (self.ino(), self.number(), self.bytes());
        let origin = *self
            .random
            .pick(&[WriteOrigin::Caller, WriteOrigin::PageCache]);
        let bits = match self.random.below(2) {
            0 => SetIdBits::Keep,
            _ => SetIdBits::Clear(self.caller()),
        };
        self.volume.write(ino, offset, &bytes, origin, bits).is_ok()
    }

    fn set_attributes(&mut self) -> bool {
        let mut maybe = |value: u64| (self.random.below(3) == 0).then_some(value);
        let picks = [maybe(0), maybe(1), maybe(2), maybe(3), maybe(4)];
        let change = SetAttr {
            mode: picks[0].map(|_| self.word()),
            uid: picks[1].map(|_| self.word()),
            gid: picks[2].map(|_| self.word()),
            size: picks[3].map(|_| self.number()),
            atime: picks[4].map(|_| SetTime::Now),
            mtime: picks[0].map(|_| {
                let nanos = self.word() % 1_000_000_000;
                SetTime::At(Timestamp::new(self.number().cast_signed(), nanos))
            }),
            ctime: None,
        };
        let (caller, ino) = (self.caller(), self.ino());
        self.volume.setattr(&caller, ino, &change).is_ok()
    }

    fn set_xattr(&mut self) -> bool {
        let (caller, ino, value) = (self.caller(), self.ino(), self.bytes());
        let name = *self.random.pick(ATTRIBUTES);
        let modes = [
            SetXattrMode::Any,
            SetXattrMode::Create,
            SetXattrMode::Replace,
        ];
        let mode = *self.random.pick(&modes);
        self.volume.xattr(ino, name).ok();
        match self.random.below(4) {
            0 => self.volume.remove_xattr(&caller, ino, name).is_ok(),
            _ => self
                .volume
                .set_xattr(&caller, ino, name, &value, mode)
                .is_ok(),
        }
    }

    fn fallocate(&mut self) -> bool {
        let modes = [
            FallocateMode::Extend,
            FallocateMode::Reserve,
            FallocateMode::ZeroRangeKeepSize,
            FallocateMode::PunchHole,
            FallocateMode::ZeroRange,
        ];
        let mode = *self.random.pick(&modes);
        let (caller, ino) = (self.caller(), self.ino());
        let (offset, len) = (self.number(), self.number());
        self.volume
            .fallocate(&caller, ino, offset, len, mode)
            .is_ok()
    }

    fn copy(&mut self) -> bool {
        let caller = self.caller();
        let (from, to) = ((self.ino(), self.number()), (self.ino(), self.number()));
        let len = self.number();
        self.volume.copy_range(&caller, from, to, len).is_ok()
    }

    fn read(&mut self) -> bool {
        let (ino, offset, len) = (self.ino(), self.number(), self.random.below(1 << 21));
        self.volume.readlink(ino).ok();
        self.volume.read(ino, offset, len).is_ok()
    }

    fn list(&mut self) -> bool {
        let (dir, after, limit) = (self.ino(), self.number(), self.random.below(100));
        self.volume.parent(dir).ok();
        self.volume.list(dir, after, limit).is_ok()
    }

    fn forget(&mut self) -> bool {
        let (ino, count) = (self.ino(), self.number());
        self.volume.forget(ino, count);
        true
    }
}

#[test]
fn operations_with_any_arguments_leave_a_sound_volume() {
    abort_on_panic();
    limit_memory();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("v");
    create(&dir);
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    let mut hostile = Hostile {
        volume: &volume,
        random: Random::new(),
        known: vec![Ino::ROOT],
        done: 0,
    };
    let mut tried = 0_u64;
    for_a_while(|| {
        for _ in 0..500 {
            hostile.step();
            tried += 1;
        }
        assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    });
    eprintln!("{tried} operations, {} done", hostile.done);
    assert!(hostile.done > tried / 20);
    volume.close().unwrap();
    let volume = Volume::open_with(&dir, EAGER).unwrap();
    assert_eq!(volume.audit().unwrap(), Vec::<String>::new());
    volume.close().unwrap();
}
