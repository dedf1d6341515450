//! Whether a mount would come over, or into, what its volume is made of: a server that opens its own files through its
//! own mount waits for itself, for ever.
//!
//! Directories are compared by device and inode, upwards through the tree of mounts; and by what of their filesystem
//! they are, for a mount is propagated to all places that show the same (mount_namespaces(7)).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::{Mount, Place, table};
use crate::control::Device;

/// How a place lies to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the directory.
    Is,
    /// The directory is below it.
    Contains,
    /// It is below the directory.
    LiesIn,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Is => "is",
            Self::Contains => "contains",
            Self::LiesIn => "lies in",
        })
    }
}

/// A directory in the tree of mounts.
struct Seen {
    directory: OwnedFd,
    mount: u64,
    id: Id,
}

/// A directory, whatever path leads to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id {
    device: Device,
    ino: u64,
}

/// How `place` lies to the directory `kept`, if they overlap; nothing when `kept` does not exist.
///
/// # Errors
/// When one of the directories above them cannot be looked at.
pub(in crate::server) fn overlap(place: &Place, kept: &Path) -> io::Result<Option<Relation>> {
    let Some(kept) = open(kept)? else {
        return Ok(None);
    };
    let place = look(place.as_fd().try_clone_to_owned()?)?;
    if place.id == kept.id {
        return Ok(Some(Relation::Is));
    }
    if is_below(&place, kept.id)? {
        return Ok(Some(Relation::LiesIn));
    }
    if is_below(&kept, place.id)? {
        return Ok(Some(Relation::Contains));
    }
    let table = table::read_table()?;
    Ok(origin(&place, &table)
        .zip(origin(&kept, &table))
        .and_then(|(place, kept)| relation(&place, &kept)))
}

/// The mount that `path` is on; nothing when it does not exist.
///
/// # Errors
/// When it cannot be looked at, or the mount table cannot be read.
pub(in crate::server) fn mount_with(path: &Path) -> io::Result<Option<Mount>> {
    let Some(seen) = open(path)? else {
        return Ok(None);
    };
    let mut table = table::read_table()?.into_iter();
    Ok(table.find(|mount| mount.id == seen.mount))
}

fn open(path: &Path) -> io::Result<Option<Seen>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => Ok(None),
        opened => look(opened?).map(Some),
    }
}

fn look(directory: OwnedFd) -> io::Result<Seen> {
    // A FUSE server is asked for nothing that the kernel knows.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(&directory, "", flags, StatxFlags::INO | StatxFlags::MNT_ID)?;
    let device = Device {
        major: stat.stx_dev_major,
        minor: stat.stx_dev_minor,
    };
    Ok(Seen {
        directory,
        mount: stat.stx_mnt_id,
        id: Id {
            device,
            ino: stat.stx_ino,
        },
    })
}

/// Whether a directory above `seen` is the one of this id.
fn is_below(seen: &Seen, id: Id) -> io::Result<bool> {
    let mut above = parent(seen.directory.as_fd())?;
    let mut last = (seen.mount, seen.id);
    // The root of the namespace is its own parent.
    while (above.mount, above.id) != last {
        if above.id == id {
            return Ok(true);
        }
        last = (above.mount, above.id);
        above = parent(above.directory.as_fd())?;
    }
    Ok(false)
}

fn parent(directory: BorrowedFd<'_>) -> io::Result<Seen> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    look(rustix::fs::openat(directory, "..", flags, Mode::empty())?)
}

/// What of its filesystem a directory is: the superblock, and the path in it.
fn origin(seen: &Seen, table: &[Mount]) -> Option<(Device, PathBuf)> {
    let mount = table.iter().find(|mount| mount.id == seen.mount)?;
    let link = format!("/proc/self/fd/{}", seen.directory.as_raw_fd());
    let path = std::fs::read_link(link).ok()?;
    let below = path.strip_prefix(&mount.mountpoint).ok()?;
    Some((mount.device, mount.root.join(below)))
}

fn relation(place: &(Device, PathBuf), kept: &(Device, PathBuf)) -> Option<Relation> {
    if place.0 != kept.0 {
        return None;
    }
    if place.1 == kept.1 {
        Some(Relation::Is)
    } else if place.1.starts_with(&kept.1) {
        Some(Relation::LiesIn)
    } else if kept.1.starts_with(&place.1) {
        Some(Relation::Contains)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_known_whatever_leads_to_them() {
        let base = tempfile::tempdir().unwrap();
        let at = |below: &str| base.path().join(below);
        std::fs::create_dir_all(at("root/volumes/v/segments")).unwrap();
        std::fs::create_dir(at("root-of-another")).unwrap();
        std::os::unix::fs::symlink("root/volumes", at("link")).unwrap();
        let find = |place: &str, kept: &str| {
            let place = Place::open(&at(place)).unwrap();
            overlap(&place, &at(kept)).unwrap()
        };
        assert_eq!(find("root", "root"), Some(Relation::Is));
        assert_eq!(find("link/v", "root/volumes/v"), Some(Relation::Is));
        assert_eq!(find("link/v/segments", "root"), Some(Relation::LiesIn));
        assert_eq!(find("root", "link/v"), Some(Relation::Contains));
        assert_eq!(find(".", "root"), Some(Relation::Contains));
        assert_eq!(find("root-of-another", "root"), None);
        assert_eq!(find("root", "nowhere"), None);
    }

    #[test]
    fn parts_of_a_filesystem_overlap_by_whole_names() {
        let part = |minor, path: &str| (Device { major: 0, minor }, PathBuf::from(path));
        assert_eq!(
            relation(&part(1, "/a/b"), &part(1, "/a")),
            Some(Relation::LiesIn)
        );
        assert_eq!(relation(&part(1, "/ab"), &part(1, "/a")), None);
        assert_eq!(relation(&part(2, "/a"), &part(1, "/a")), None);
    }
}
