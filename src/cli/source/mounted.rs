//! A tree behind a mount that only this process has.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{BLOCK_BYTES, Entry, Failure, Source, Xattr};
use crate::types::{Attr, FileKind, Ino, MODE_BITS, Name, NameBuf, Timestamp};

/// More than all names of an inode's attributes, and than any value.
const XATTR_BYTES_MAX: usize = 128 * 1024;

/// The mount.
pub(in crate::cli) struct Mounted {
    top: OwnedFd,
}

impl Mounted {
    pub(in crate::cli) const fn new(top: OwnedFd) -> Self {
        Self { top }
    }

    /// A path that leads there from anywhere in this process.
    fn reach(&self, path: &Path) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.top.as_raw_fd())).join(path)
    }

    fn entry(&self, path: PathBuf) -> Result<Entry, Failure> {
        let reach = self.reach(&path);
        // The top itself is a symbolic link of /proc.
        let metadata = if path.as_os_str().is_empty() {
            fs::metadata(reach)
        } else {
            fs::symlink_metadata(reach)
        };
        let attr = attr_of(&metadata.map_err(|e| Failure::from(e).at(&path))?);
        Ok(Entry { attr, path })
    }
}

fn attr_of(metadata: &fs::Metadata) -> Attr {
    let time = |secs, nanos: i64| Timestamp::new(secs, u32::try_from(nanos).unwrap_or(0));
    let number = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
    Attr {
        ino: Ino::from_raw(metadata.ino()),
        kind: FileKind::from_mode(metadata.mode()).unwrap_or(FileKind::File),
        mode: metadata.mode() & MODE_BITS,
        uid: metadata.uid(),
        gid: metadata.gid(),
        nlink: number(metadata.nlink()),
        size: metadata.size(),
        allocated: metadata.blocks() * 512,
        rdev: number(metadata.rdev()),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
    }
}

impl Source for Mounted {
    fn root(&self) -> Result<Entry, Failure> {
        self.entry(PathBuf::new())
    }

    fn children(&self, dir: &Entry) -> Result<Vec<(NameBuf, Entry)>, Failure> {
        let mut found = Vec::new();
        for entry in
            fs::read_dir(self.reach(&dir.path)).map_err(|e| Failure::from(e).at(&dir.path))?
        {
            let raw = entry?.file_name();
            let name = Name::parse(raw.as_bytes())?.to_owned();
            found.push((name, self.entry(dir.path.join(raw))?));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn child(&self, dir: &Entry, name: &Name) -> Result<Entry, Failure> {
        self.entry(dir.path.join(OsStr::from_bytes(name.as_bytes())))
    }

    fn target(&self, link: &Entry) -> Result<Vec<u8>, Failure> {
        Ok(fs::read_link(self.reach(&link.path))?
            .into_os_string()
            .into_vec())
    }

    fn xattrs(&self, entry: &Entry) -> Result<Vec<Xattr>, Failure> {
        let path = self.reach(&entry.path);
        let is_top = entry.path.as_os_str().is_empty();
        let mut space = vec![0; XATTR_BYTES_MAX];
        let len = if is_top {
            rustix::fs::listxattr(&path, space.as_mut_slice())?
        } else {
            rustix::fs::llistxattr(&path, space.as_mut_slice())?
        };
        let names = space[..len].to_vec();
        let mut found = Vec::new();
        for name in names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
        {
            let len = if is_top {
                rustix::fs::getxattr(&path, name, space.as_mut_slice())?
            } else {
                rustix::fs::lgetxattr(&path, name, space.as_mut_slice())?
            };
            found.push((name.to_vec(), space[..len].to_vec()));
        }
        Ok(found)
    }

    fn read(&self, file: &Entry, offset: u64) -> Result<Vec<u8>, Failure> {
        let opened = File::open(self.reach(&file.path))?;
        let mut bytes = vec![0; BLOCK_BYTES];
        let mut len = 0;
        while len < bytes.len() {
            match opened.read_at(&mut bytes[len..], offset + len as u64)? {
                0 => break,
                more => len += more,
            }
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}
