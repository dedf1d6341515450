//! Filling a volume from a tar archive.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::EntryType;

use super::fill::{Dress, Filler};
use crate::cli::archive::read::{Item, Reader};
use crate::cli::source::{BLOCK_BYTES, Failure};
use crate::types::{Attr, Caller, FileKind, Ino, Name};
use crate::volume::{Error, Volume};

type Result<T> = std::result::Result<T, Failure>;

/// Unpacks an archive.
pub(super) fn fill(volume: &Volume, archive: Reader<impl Read>) -> Result<()> {
    let mut unpacker = Unpacker {
        archive,
        filler: Filler::new(volume),
    };
    while let Some(item) = unpacker.archive.next()? {
        let path = Path::new(std::ffi::OsStr::from_bytes(&item.path)).to_owned();
        unpacker.item(&item).map_err(|e| e.at(&path))?;
    }
    unpacker.filler.finish()
}

struct Unpacker<'v, R> {
    archive: Reader<R>,
    filler: Filler<'v>,
}

impl<R: Read> Unpacker<'_, R> {
    fn item(&mut self, item: &Item) -> Result<()> {
        let steps = steps(&item.path)?;
        let Some((name, above)) = steps.split_last() else {
            let root = self.filler.volume.getattr(Ino::ROOT)?;
            return self.filler.dress(&root, dress_of(item));
        };
        let parent = self.directory(above)?;
        if item.kind.is_hard_link() {
            self.make_room(parent, name)?;
            let first = self.find(&item.link)?;
            self.filler
                .volume
                .link(&Caller::root(), first, parent, name)?;
            return Ok(());
        }
        let kind = kind_of(item)?;
        let made = match self.filler.volume.lookup(parent, name) {
            Ok(there) if there.kind == kind && kind == FileKind::Directory => there,
            _ => {
                self.make_room(parent, name)?;
                let target = match kind {
                    FileKind::Symlink => item.link.as_slice(),
                    _ => &[],
                };
                let dress = dress_of(item);
                self.filler
                    .node((parent, name), kind, rdev(item), target, &dress)?
            }
        };
        if kind == FileKind::File {
            self.content(item, &made)?;
        }
        self.filler.dress(&made, dress_of(item))
    }

    fn content(&mut self, item: &Item, made: &Attr) -> Result<()> {
        let mut buffer = vec![0; BLOCK_BYTES];
        for run in &item.runs {
            let mut offset = run.start;
            while offset < run.end {
                let wanted = usize::try_from(run.end - offset).unwrap_or(usize::MAX);
                let wanted = wanted.min(buffer.len());
                let len = self.archive.data(&mut buffer[..wanted])?;
                if len == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                }
                self.filler.data(made.ino, offset, &buffer[..len])?;
                offset += len as u64;
            }
        }
        // Only a hole at the end leaves the file too short.
        let mut runs = item.runs.iter();
        if runs.any(|run| run.end == item.size && !run.is_empty()) {
            return Ok(());
        }
        self.filler.size(made.ino, item.size)
    }

    /// The directory at these steps; what is missing is made.
    fn directory(&self, steps: &[&Name]) -> Result<Ino> {
        let mut at = Ino::ROOT;
        for name in steps {
            let found = match self.filler.volume.lookup(at, name) {
                Err(Error::NotFound) => {
                    let (at, kind) = ((at, *name), FileKind::Directory);
                    self.filler.node(at, kind, 0, &[], &Dress::default())?
                }
                found => found?,
            };
            if found.kind != FileKind::Directory {
                return Err(Error::NotDirectory.into());
            }
            at = found.ino;
        }
        Ok(at)
    }

    fn find(&self, path: &[u8]) -> Result<Ino> {
        let mut at = Ino::ROOT;
        for name in steps(path)? {
            at = self.filler.volume.lookup(at, name)?.ino;
        }
        Ok(at)
    }

    /// A later entry of an archive takes the place of an earlier one.
    fn make_room(&self, parent: Ino, name: &Name) -> Result<()> {
        match self.filler.volume.lookup(parent, name) {
            Err(Error::NotFound) => Ok(()),
            Ok(there) if there.kind == FileKind::Directory => {
                Ok(self.filler.volume.rmdir(&Caller::root(), parent, name)?)
            }
            there => {
                there?;
                Ok(self.filler.volume.unlink(&Caller::root(), parent, name)?)
            }
        }
    }
}

/// The names of a path, which leads nowhere but down.
fn steps(path: &[u8]) -> Result<Vec<&Name>> {
    let steps = path.split(|&byte| byte == b'/');
    let steps = steps.filter(|step| !matches!(*step, b"" | b"."));
    steps.map(|step| Ok(Name::parse(step)?)).collect()
}

fn kind_of(item: &Item) -> Result<FileKind> {
    Ok(match item.kind {
        // So did the first tar have it.
        EntryType::Regular if item.path.ends_with(b"/") => FileKind::Directory,
        EntryType::Regular | EntryType::Continuous => FileKind::File,
        EntryType::Directory => FileKind::Directory,
        EntryType::Symlink => FileKind::Symlink,
        EntryType::Fifo => FileKind::Fifo,
        EntryType::Char => FileKind::CharDevice,
        EntryType::Block => FileKind::BlockDevice,
        _ => return Err(Error::Unsupported.into()),
    })
}

fn rdev(item: &Item) -> u32 {
    let (major, minor) = item.device;
    u32::try_from(rustix::fs::makedev(major, minor)).unwrap_or(0)
}

fn dress_of(item: &Item) -> Dress {
    Dress {
        mode: item.mode & crate::types::MODE_BITS,
        uid: item.uid,
        gid: item.gid,
        atime: item.atime,
        mtime: item.mtime,
        xattrs: item.xattrs.clone(),
    }
}
