//! A tree in a volume that this process has open.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{BLOCK_BYTES, Entry, Failure, Source, Xattr};
use crate::types::{Attr, Ino, Name, NameBuf};
use crate::volume::{DirEntry, Frozen, Result, Volume};

/// Entries listed at once.
const BATCH: usize = 1000;

/// A state of a volume.
pub(super) enum Opened<'v> {
    Head(&'v Volume),
    Frozen(Frozen<'v>),
}

impl Opened<'_> {
    fn list(&self, dir: Ino, after: u64) -> Result<Vec<DirEntry>> {
        match self {
            Self::Head(volume) => volume.list(dir, after, BATCH),
            Self::Frozen(frozen) => frozen.list(dir, after, BATCH),
        }
    }

    fn getattr(&self, ino: Ino) -> Result<Attr> {
        match self {
            Self::Head(volume) => volume.getattr(ino),
            Self::Frozen(frozen) => frozen.getattr(ino),
        }
    }

    fn lookup(&self, dir: Ino, name: &Name) -> Result<Attr> {
        match self {
            Self::Head(volume) => volume.lookup(dir, name),
            Self::Frozen(frozen) => frozen.lookup(dir, name),
        }
    }

    fn xattr_names(&self, ino: Ino) -> Result<Vec<u8>> {
        match self {
            Self::Head(volume) => volume.xattr_names(ino),
            Self::Frozen(frozen) => frozen.xattr_names(ino),
        }
    }

    fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Head(volume) => volume.xattr(ino, name),
            Self::Frozen(frozen) => frozen.xattr(ino, name),
        }
    }
}

fn below(dir: &Path, name: &Name) -> PathBuf {
    dir.join(OsStr::from_bytes(name.as_bytes()))
}

impl Source for Opened<'_> {
    fn root(&self) -> std::result::Result<Entry, Failure> {
        let attr = self.getattr(Ino::ROOT)?;
        let path = PathBuf::new();
        Ok(Entry { attr, path })
    }

    fn children(&self, dir: &Entry) -> std::result::Result<Vec<(NameBuf, Entry)>, Failure> {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let entries = self.list(dir.attr.ino, after)?;
            let Some(last) = entries.last() else { break };
            after = last.cookie;
            found.extend(entries.into_iter().map(|entry| {
                let path = below(&dir.path, &entry.name);
                let attr = entry.attr;
                (entry.name, Entry { attr, path })
            }));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn child(&self, dir: &Entry, name: &Name) -> std::result::Result<Entry, Failure> {
        let attr = self.lookup(dir.attr.ino, name)?;
        let path = below(&dir.path, name);
        Ok(Entry { attr, path })
    }

    fn target(&self, link: &Entry) -> std::result::Result<Vec<u8>, Failure> {
        let ino = link.attr.ino;
        Ok(match self {
            Self::Head(volume) => volume.readlink(ino)?,
            Self::Frozen(frozen) => frozen.readlink(ino)?,
        })
    }

    fn xattrs(&self, entry: &Entry) -> std::result::Result<Vec<Xattr>, Failure> {
        let names = self.xattr_names(entry.attr.ino)?;
        let names = names
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        names
            .map(|name| Ok((name.to_vec(), self.xattr(entry.attr.ino, name)?)))
            .collect()
    }

    fn read(&self, file: &Entry, offset: u64) -> std::result::Result<Vec<u8>, Failure> {
        let ino = file.attr.ino;
        Ok(match self {
            Self::Head(volume) => volume.read(ino, offset, BLOCK_BYTES)?,
            Self::Frozen(frozen) => frozen.read(ino, offset, BLOCK_BYTES)?,
        })
    }
}
