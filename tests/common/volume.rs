//! A new volume, and files in it: what the tests below FUSE begin with. Each takes what it needs.
#![allow(dead_code, reason = "no test binary needs all of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use cask::types::{Attr, Caller, ChunkBytes, FileKind, Ino, Name, NewNode};
use cask::volume::{self, Config, Error, RootOwner, SetIdBits, Volume, WriteOrigin};

pub(crate) fn config() -> Config {
    Config::new(ChunkBytes::DEFAULT, BTreeMap::new())
}

/// Makes an empty volume in `dir`.
pub(crate) fn create(dir: &Path) {
    let root = RootOwner {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    volume::create(dir, &config(), root).unwrap();
}

pub(crate) fn name(text: &str) -> &Name {
    Name::parse(text.as_bytes()).unwrap()
}

/// Makes a file in the root.
pub(crate) fn make(volume: &Volume, called: &str) -> Attr {
    try_make(volume, called).unwrap()
}

pub(crate) fn try_make(volume: &Volume, called: &str) -> Result<Attr, Error> {
    let new = NewNode {
        kind: FileKind::File,
        mode: 0o644,
        umask: 0,
        rdev: 0,
        target: &[],
    };
    volume.create(&Caller::root(), Ino::ROOT, name(called), &new)
}

/// Writes as a program does; set-id bits stay.
pub(crate) fn write(volume: &Volume, ino: Ino, offset: u64, data: &[u8]) -> Result<(), Error> {
    volume.write(ino, offset, data, WriteOrigin::Caller, SetIdBits::Keep)
}

/// Bytes that no two seeds share, in no page of 4 KiB; 1 MiB of them at most.
pub(crate) fn noise(seed: u64, len: u64) -> Vec<u8> {
    static RANDOM: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        (0..1 << 17).flat_map(&mut next).collect()
    });
    let mut bytes = RANDOM[..usize::try_from(len).unwrap()].to_vec();
    for page in bytes.chunks_mut(4096) {
        let stamp = seed.to_le_bytes();
        let len = page.len().min(stamp.len());
        page[..len].copy_from_slice(&stamp[..len]);
    }
    bytes
}

/// Gives the pages of a database the sums of what is in them (docs/format.md): another SQLite than cask's changed them.
#[allow(dead_code, reason = "not every suite changes databases")]
pub(crate) fn sum_pages(database: &std::path::Path) {
    let mut bytes = std::fs::read(database).unwrap();
    assert_eq!(bytes[20], 8, "pages have sums");
    for (number, page) in (1_u32..).zip(bytes.as_chunks_mut::<4096>().0) {
        page[4088..4092].copy_from_slice(&number.to_le_bytes());
        let checksum = crc32c::crc32c(&page[..4092]);
        page[4092..].copy_from_slice(&checksum.to_le_bytes());
    }
    let file = std::fs::File::options().write(true).open(database).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
}
