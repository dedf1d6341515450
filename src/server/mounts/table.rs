//! The mount table: `/proc/<pid>/mountinfo`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::control::Device;

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
    let mountpoint = PathBuf::from(unescape(fields.nth(1)?));
    let options = text(fields.next()?)?;
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount {
        id,
        parent,
        device,
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

/// The lines of another process's table, unparsed but for what identifies a superblock.
pub(super) fn table_shows(table: &[u8], device: Device) -> bool {
    let wanted = device.to_string();
    table.split(|&b| b == b'\n').any(|line| {
        line.split(|&b| b == b' ').nth(2) == Some(std::ffi::OsStr::new(&wanted).as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_optional_fields_and_escapes_are_understood() {
        let table = b"36 35 0:52 / /mnt/with\\040space rw,nosuid shared:1 master:2 - fuse.cask my\\134db rw,user_id=0\n\
            37 36 8:1 /sub /x rw - ext4 /dev/sda1 rw\nnonsense\n";
        let mounts = parse(table);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].mountpoint, Path::new("/mnt/with space"));
        assert_eq!(
            mounts[0].device,
            Device {
                major: 0,
                minor: 52
            }
        );
        assert_eq!(mounts[0].source, "my\\db");
        assert!(mounts[0].is_cask() && !mounts[1].is_cask());
        assert!(table_shows(table, Device { major: 8, minor: 1 }));
        assert!(!table_shows(
            table,
            Device {
                major: 8,
                minor: 10
            }
        ));
    }
}
