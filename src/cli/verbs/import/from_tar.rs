//! Filling a volume from a tar archive.

mod resolve;

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::fill::{Filler, NodeAttributes, block_bytes};
use crate::cli::archive::read::{Item, ItemKind, Reader};
use crate::cli::output;
use crate::cli::source::Failure;
use crate::types::{Attr, Caller, FileKind, Ino, Name};
use crate::volume::{Error, Volume};
use resolve::{Missing, Resolver};

type Result<T> = std::result::Result<T, Failure>;

/// Unpacks an archive.
pub(super) fn fill(volume: &Volume, archive: Reader<impl Read>) -> Result<()> {
    let mut unpacker = Unpacker {
        archive,
        filler: Filler::new(volume),
        resolver: Resolver::default(),
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
    resolver: Resolver,
}

impl<R: Read> Unpacker<'_, R> {
    fn item(&mut self, item: &Item) -> Result<()> {
        if item.kind == ItemKind::Label {
            return Ok(());
        }
        let steps = steps(&item.path)?;
        let Some((name, above)) = steps.split_last() else {
            return self.root(item);
        };
        let parent = self
            .resolver
            .directory(&self.filler, above, Missing::Made)?;
        let kind = match item.kind {
            ItemKind::HardLink => return self.hard_link(item, parent, name),
            other => self.kind_of(other, &item.path),
        };
        if kind == FileKind::Symlink && item.link.is_empty() {
            return Err(Error::NotFound.into());
        }
        let attributes = attributes_of(item);
        let made = match self.filler.volume.lookup(parent, name) {
            Ok(there) if there.kind == kind && kind == FileKind::Directory => there,
            _ => {
                self.make_room(parent, name)?;
                let target = match kind {
                    FileKind::Symlink => item.link.as_slice(),
                    _ => &[],
                };
                self.filler
                    .node((parent, name), kind, rdev(item), target, &attributes)?
            }
        };
        if kind == FileKind::File {
            self.content(item, &made, &attributes)?;
        }
        self.filler.attributes(&made, attributes)
    }

    fn root(&mut self, item: &Item) -> Result<()> {
        if item.kind != ItemKind::Directory {
            return Err(Error::IsDirectory.into());
        }
        let root = self.filler.volume.getattr(Ino::ROOT)?;
        self.filler.attributes(&root, attributes_of(item))
    }

    fn kind_of(&self, kind: ItemKind, path: &[u8]) -> FileKind {
        match kind {
            ItemKind::Stranger(letter) => {
                let (path, letter) = (path.escape_ascii(), char::from(letter).escape_default());
                output::warn(&format!(
                    "{path}: type '{letter}' is not known: it becomes a file"
                ));
                FileKind::File
            }
            ItemKind::File | ItemKind::HardLink | ItemKind::Label => FileKind::File,
            ItemKind::Directory => FileKind::Directory,
            ItemKind::Symlink => FileKind::Symlink,
            ItemKind::Fifo => FileKind::Fifo,
            ItemKind::CharDevice => FileKind::CharDevice,
            ItemKind::BlockDevice => FileKind::BlockDevice,
        }
    }

    fn hard_link(&mut self, item: &Item, parent: Ino, name: &Name) -> Result<()> {
        let inside = without_way_up(&item.link);
        if inside.ends_with(b"/") {
            return Err(Error::NotDirectory.into());
        }
        let steps = steps(inside)?;
        let (own, above) = steps.split_last().ok_or(Error::IsDirectory)?;
        let dir = self
            .resolver
            .directory(&self.filler, above, Missing::Refused)?;
        let volume = self.filler.volume;
        let first = volume.lookup(dir, own)?.ino;
        // An archive that was appended to may say that a file is a link to itself.
        if volume
            .lookup(parent, name)
            .is_ok_and(|there| there.ino == first)
        {
            return Ok(());
        }
        self.make_room(parent, name)?;
        volume.link(&Caller::root(), first, parent, name)?;
        Ok(())
    }

    fn content(&mut self, item: &Item, made: &Attr, of: &NodeAttributes) -> Result<()> {
        let mut buffer = vec![0; block_bytes(item.size)];
        for run in &item.runs {
            let mut offset = run.start;
            while offset < run.end {
                let wanted = usize::try_from(run.end - offset).unwrap_or(usize::MAX);
                let wanted = wanted.min(buffer.len());
                let len = self.archive.data(&mut buffer[..wanted])?;
                if len == 0 {
                    return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                }
                self.filler.data((made.ino, of), offset, &buffer[..len])?;
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

    /// A later entry of an archive takes the place of an earlier one.
    fn make_room(&mut self, parent: Ino, name: &Name) -> Result<()> {
        let volume = self.filler.volume;
        let there = match volume.lookup(parent, name) {
            Err(Error::NotFound) => return Ok(()),
            there => there?,
        };
        self.resolver.forget();
        if there.kind == FileKind::Directory {
            volume.rmdir(&Caller::root(), parent, name)?;
            self.filler.forget(there.ino);
            return Ok(());
        }
        Ok(volume.unlink(&Caller::root(), parent, name)?)
    }
}

/// The names of a path, which leads nowhere but down.
fn steps(path: &[u8]) -> Result<Vec<&Name>> {
    let steps = path.split(|&byte| byte == b'/');
    let steps = steps.filter(|step| !matches!(*step, b"" | b"."));
    steps.map(down).collect()
}

fn down(step: &[u8]) -> Result<&Name> {
    if step == b".." {
        return Err(std::io::Error::other("its path has .. in it").into());
    }
    Ok(Name::parse(step)?)
}

/// What of a hard link's target lies behind the last `..`: GNU tar leaves out the rest.
fn without_way_up(path: &[u8]) -> &[u8] {
    let mut inside = path;
    let mut at = 0;
    for step in path.split(|&byte| byte == b'/') {
        at += step.len();
        if step == b".." {
            inside = &path[at..];
        }
        at += 1;
    }
    inside
}

fn rdev(item: &Item) -> u32 {
    let (major, minor) = item.device;
    u32::try_from(rustix::fs::makedev(major, minor)).unwrap_or(0)
}

fn attributes_of(item: &Item) -> NodeAttributes {
    NodeAttributes {
        mode: item.mode & crate::types::MODE_BITS,
        uid: item.uid,
        gid: item.gid,
        atime: item.atime,
        mtime: item.mtime,
        xattrs: item.xattrs.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_leads_to_what_is_inside() {
        for (path, inside) in [
            (&b"a/b"[..], &b"a/b"[..]),
            (b"../a", b"/a"),
            (b"x/../../a/b", b"/a/b"),
            (b"a/..", b""),
            (b"..a/b", b"..a/b"),
        ] {
            assert_eq!(without_way_up(path), inside);
        }
    }
}
