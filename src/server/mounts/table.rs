//! The mount table: `/proc/<pid>/mountinfo`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use crate::control::Device;
use crate::types::SnapshotName;

/// The filesystem type that our mounts show.
pub const FILESYSTEM: &str = "fuse.cask";

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Identifies the mount while it lives.
    pub id: u64,
    /// The mount below which it hangs.
    pub parent: u64,
    /// The superblock.
    pub device: Device,
    /// What of the superblock is mounted, as a path in it.
    pub root: PathBuf,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The mount's own flags.
    pub options: String,
    /// Type of the filesystem, with its subtype.
    pub filesystem: String,
    /// What was mounted.
    pub source: OsString,
}

impl Mount {
    /// Whether it shows a cask volume.
    #[must_use]
    pub fn is_cask(&self) -> bool {
        self.filesystem == FILESYSTEM
    }

    /// The snapshot that it shows, if it is of a superblock that shows snapshots.
    #[must_use]
    pub fn snapshot(&self) -> Option<SnapshotName> {
        match self.root.components().nth(1)? {
            Component::Normal(name) => name.to_str()?.parse().ok(),
            _ => None,
        }
    }
}

/// The mounts of this process's namespace, in the order in which they hang below each other.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn read_table() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The mount that is seen at `path`, which must be absolute and free of symbolic links.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn topmost_at(path: &Path) -> io::Result<Option<Mount>> {
    let mut table = read_table()?;
    let last = table.iter().rposition(|mount| mount.mountpoint == path);
    Ok(last.map(|index| table.swap_remove(index)))
}

/// Parses a table; lines that are not understood are left out.
pub(super) fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|&b| b == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = parse_device(fields.next()?)?;
    let root = PathBuf::from(unescape(fields.next()?));
    let mountpoint = PathBuf::from(unescape(fields.next()?));
    let options = text(fields.next()?)?;
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount {
        id,
        parent,
        device,
        root,
        mountpoint,
        options,
        filesystem: text(fields.next()?)?,
        source: unescape(fields.next()?),
    })
}

fn text(field: &[u8]) -> Option<String> {
    std::str::from_utf8(field).ok().map(str::to_owned)
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn parse_device(field: &[u8]) -> Option<Device> {
    let (major, minor) = std::str::from_utf8(field).ok()?.split_once(':')?;
    Some(Device {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// Undoes the table's escapes: `\040` for a space and its like.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_optional_fields_and_escapes_are_understood() {
        let table = b"36 35 0:52 / /mnt/with\\040space rw,nosuid shared:1 master:2 - fuse.cask my\\134db rw,user_id=0\n\
            38 35 0:53 /s\\0401/sub /y ro - fuse.cask db@s ro\n37 36 8:1 /sub /x rw - ext4 /dev/sda1 rw\nnonsense\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 3);
        assert_eq!(mounts[0].snapshot(), None);
        assert_eq!(mounts[1].snapshot(), "s 1".parse().ok());
        assert_eq!(mounts[0].mountpoint, Path::new("/mnt/with space"));
        assert_eq!(
            mounts[0].device,
            Device {
                major: 0,
                minor: 52
            }
        );
        assert_eq!(mounts[0].source, "my\\db");
        assert!(mounts[0].is_cask() && !mounts[2].is_cask());
    }
}
