//! What the head and snapshots answer alike: what is asked of one state of a volume and changes nothing.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use super::answer::{Answer, FOREVER, Listed, Told, What};
use super::capabilities::{BACKGROUND_MAX, BACKGROUND_MAX_WAITING};
use crate::types::{Attr, Caller, Ino};
use crate::volume::{DirEntry, Error, FIRST_COOKIE, Frozen, Result, Volume};

/// Answers, on the root, with the absolute directory of the volume: how a mountpoint leads to its volume. Only
/// the host's superuser sees it.
const DIR_XATTR: &[u8] = b"trusted.cask.dir";
/// Entries read in one go: most answers of one page hold fewer.
const BATCH: usize = 48;
const DOT: u64 = FIRST_COOKIE - 2;
const DOT_DOT: u64 = FIRST_COOKIE - 1;

/// A state of a volume.
pub(super) trait State {
    fn parent(&self, dir: Ino) -> Result<Ino>;
    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>>;
    fn xattr(&self, ino: Ino, key: &[u8]) -> Result<Vec<u8>>;
}

impl State for Volume {
    fn parent(&self, dir: Ino) -> Result<Ino> {
        self.parent(dir)
    }

    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        self.list(dir, after, limit)
    }

    fn xattr(&self, ino: Ino, key: &[u8]) -> Result<Vec<u8>> {
        self.xattr(ino, key)
    }
}

impl State for Frozen<'_> {
    fn parent(&self, dir: Ino) -> Result<Ino> {
        self.parent(dir)
    }

    fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        self.list(dir, after, limit)
    }

    fn xattr(&self, ino: Ino, key: &[u8]) -> Result<Vec<u8>> {
        self.xattr(ino, key)
    }
}

/// How many read-aheads and write-backs the kernel may have under way at once.
pub(super) fn background_max(volume: &Volume) -> u16 {
    if volume.lacks_chunks() {
        BACKGROUND_MAX_WAITING
    } else {
        BACKGROUND_MAX
    }
}

/// `attr`, which the kernel may keep.
pub(super) const fn told(attr: Attr) -> Told {
    Told {
        attr,
        valid: FOREVER,
    }
}

/// Calls `add` with each entry that comes after place `after`, until it breaks. `.` and `..` come first, at the two
/// lowest places; the others from the highest place down.
pub(super) fn each_entry(
    state: &impl State,
    dir: Ino,
    after: u64,
    mut add: impl FnMut(&Listed<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let parent = state.parent(dir)?;
    for (place, name, ino) in [(DOT, &b"."[..], dir), (DOT_DOT, b"..", parent)] {
        let what = What::Dots(ino);
        if after < place && add(&Listed { place, name, what }).is_break() {
            return Ok(());
        }
    }
    let mut after = after.max(DOT_DOT);
    loop {
        let entries = state.list(dir, after, BATCH)?;
        for entry in &entries {
            let listed = Listed {
                place: entry.cookie,
                name: entry.name.as_bytes(),
                what: What::Entry(told(entry.attr)),
            };
            if add(&listed).is_break() {
                return Ok(());
            }
            after = entry.cookie;
        }
        if entries.len() < BATCH {
            return Ok(());
        }
    }
}

/// Whether `key` of `ino` is what leads to the volume, and no attribute of the file.
pub(super) fn is_dir_xattr(ino: Ino, key: &[u8]) -> bool {
    ino == Ino::ROOT && key == DIR_XATTR
}

/// The value of an attribute, for who has room for `size` bytes.
///
/// # Errors
/// [`Error::NoAttribute`]; [`Error::OutOfRange`] when there is no room for it; I/O errors.
pub(super) fn xattr(
    volume: &Volume,
    state: &impl State,
    ino: Ino,
    key: &[u8],
    size: u32,
) -> Result<Answer> {
    let value = if is_dir_xattr(ino, key) {
        volume.dir().as_os_str().as_bytes().to_vec()
    } else {
        state.xattr(ino, key)?
    };
    sized(value, size)
}

/// Those of `names`, each with a NUL behind it, that `caller` may know of: `trusted` ones are the superuser's (xattr(7)).
///
/// # Errors
/// [`Error::OutOfRange`] when there is no room for them.
pub(super) fn xattr_names(names: Vec<u8>, caller: &Caller, size: u32) -> Result<Answer> {
    if caller.uid == 0 {
        return sized(names, size);
    }
    let visible = names.split_inclusive(|&byte| byte == 0);
    let visible = visible.filter(|name| !name.starts_with(b"trusted."));
    sized(visible.flatten().copied().collect(), size)
}

/// A value of unknown length: a size of 0 asks for the length (getxattr(2)).
pub(super) fn sized(bytes: Vec<u8>, size: u32) -> Result<Answer> {
    match u32::try_from(bytes.len()) {
        Ok(len) if size == 0 => Ok(Answer::XattrLen(len)),
        Ok(len) if len <= size => Ok(Answer::Xattr(bytes)),
        _ => Err(Error::OutOfRange),
    }
}
