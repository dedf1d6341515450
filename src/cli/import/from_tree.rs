//! Filling a volume from a directory.

use std::collections::HashMap;

use super::fill::{Dress, Filler};
use crate::cli::source::{Entry, Failure, Source};
use crate::types::{Caller, FileKind, Ino, Name};
use crate::volume::Volume;

type Result<T> = std::result::Result<T, Failure>;

/// Copies all that `source` holds.
pub(super) fn fill(volume: &Volume, source: &dyn Source) -> Result<()> {
    let mut copier = Copier {
        source,
        filler: Filler::new(volume),
        linked: HashMap::new(),
    };
    let (from, root) = (source.root()?, volume.getattr(Ino::ROOT)?);
    let dress = copier.dress_of(&from)?;
    copier.filler.dress(&root, dress)?;
    copier.children(&from, Ino::ROOT)?;
    copier.filler.finish()
}

struct Copier<'s, 'v> {
    source: &'s dyn Source,
    filler: Filler<'v>,
    /// Where files of several names are by now. On another filesystem the number may be the same.
    linked: HashMap<Ino, Ino>,
}

impl Copier<'_, '_> {
    fn children(&mut self, from: &Entry, to: Ino) -> Result<()> {
        for (name, child) in self.source.children(from)? {
            self.one(&child, to, &name).map_err(|e| e.at(&child.path))?;
        }
        Ok(())
    }

    fn one(&mut self, from: &Entry, parent: Ino, name: &Name) -> Result<()> {
        let attr = &from.attr;
        let has_names = attr.nlink > 1 && attr.kind != FileKind::Directory;
        if has_names && let Some(&first) = self.linked.get(&attr.ino) {
            self.filler
                .volume
                .link(&Caller::root(), first, parent, name)?;
            return Ok(());
        }
        let target = match attr.kind {
            FileKind::Symlink => self.source.target(from)?,
            _ => Vec::new(),
        };
        let dress = self.dress_of(from)?;
        let made = self
            .filler
            .node((parent, name), attr.kind, attr.rdev, &target, &dress)?;
        if has_names {
            self.linked.insert(attr.ino, made.ino);
        }
        if attr.kind == FileKind::File {
            self.content(from, made.ino)?;
        }
        self.filler.dress(&made, dress)?;
        if attr.kind == FileKind::Directory {
            self.children(from, made.ino)?;
        }
        Ok(())
    }

    fn content(&self, from: &Entry, to: Ino) -> Result<()> {
        let mut offset = 0;
        loop {
            let bytes = self.source.read(from, offset)?;
            if bytes.is_empty() {
                return Ok(());
            }
            self.filler.data(to, offset, &bytes)?;
            offset += bytes.len() as u64;
        }
    }

    fn dress_of(&self, from: &Entry) -> Result<Dress> {
        let attr = &from.attr;
        Ok(Dress {
            mode: attr.mode,
            uid: attr.uid,
            gid: attr.gid,
            atime: attr.atime,
            mtime: attr.mtime,
            xattrs: self.source.xattrs(from)?,
        })
    }
}
