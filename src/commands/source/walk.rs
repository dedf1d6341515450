//! Going through a tree, however deep: without recursion, and with one path that grows and shrinks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::vec;

use crate::commands::source::tree::{Entry, Failure, Source};
use crate::types::{Attr, FileKind, Ino, NameBuf};

type Result<T> = std::result::Result<T, Failure>;

/// Something in a tree that is gone through.
pub(crate) struct Place<'w> {
    /// Its attributes.
    pub(crate) attr: &'w Attr,
    /// Where it is, relative to the root.
    pub(crate) path: &'w Path,
    /// Its name; of where the walk begins, nothing.
    pub(crate) name: Option<&'w NameBuf>,
}

/// What is done with all that a tree holds.
pub(crate) trait Visitor {
    /// Comes to a directory, before what is in it.
    fn enter(&mut self, place: &Place<'_>) -> Result<()>;

    /// Comes to anything else.
    fn visit(&mut self, place: &Place<'_>) -> Result<()>;

    /// Leaves a directory.
    fn leave(&mut self, place: &Place<'_>) -> Result<()>;
}

/// A directory that was entered.
struct Level {
    name: Option<NameBuf>,
    attr: Attr,
    children: vec::IntoIter<(NameBuf, Attr)>,
    /// Bytes of the path that leads to it.
    path_len: usize,
}

struct Walk<'w> {
    source: &'w dyn Source,
    visitor: &'w mut dyn Visitor,
    levels: Vec<Level>,
    path: Vec<u8>,
}

/// Goes through `top` and all that is in it, directories before what they hold, by name.
pub(crate) fn walk(source: &dyn Source, top: &Entry, visitor: &mut dyn Visitor) -> Result<()> {
    let mut walk = Walk {
        source,
        visitor,
        levels: Vec::new(),
        path: top.path.as_os_str().as_bytes().to_vec(),
    };
    walk.come_to(None, top.attr)?;
    while let Some(level) = walk.levels.last_mut() {
        let path_len = level.path_len;
        let next = level.children.next();
        walk.path.truncate(path_len);
        match next {
            Some((name, attr)) => {
                if path_len > 0 {
                    walk.path.push(b'/');
                }
                walk.path.extend(name.as_bytes());
                walk.come_to(Some(name), attr)?;
            }
            None => walk.leave()?,
        }
    }
    Ok(())
}

impl Walk<'_> {
    fn come_to(&mut self, name: Option<NameBuf>, attr: Attr) -> Result<()> {
        let place = Place {
            attr: &attr,
            path: Path::new(OsStr::from_bytes(&self.path)),
            name: name.as_ref(),
        };
        if attr.kind != FileKind::Directory {
            let visited = self.visitor.visit(&place);
            return self.unless_gone(visited).map(drop);
        }
        // Before it is entered: a directory that went meanwhile then leaves nothing half made.
        let children = self.children(attr.ino);
        let Some(children) = self.unless_gone(children)? else {
            return Ok(());
        };
        let entered = self.visitor.enter(&place);
        if self.unless_gone(entered)?.is_some() {
            self.levels.push(Level {
                name,
                attr,
                children: children.into_iter(),
                path_len: self.path.len(),
            });
        }
        Ok(())
    }

    fn children(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>> {
        self.source.children(dir)
    }

    fn leave(&mut self) -> Result<()> {
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        let path = Path::new(OsStr::from_bytes(&self.path));
        let place = Place {
            attr: &level.attr,
            path,
            name: level.name.as_ref(),
        };
        let left = self.visitor.leave(&place);
        self.unless_gone(left).map(drop)
    }

    /// What went while a tree was read that changes is left out.
    fn unless_gone<T>(&self, outcome: Result<T>) -> Result<Option<T>> {
        let path = Path::new(OsStr::from_bytes(&self.path));
        match outcome {
            Err(error) if self.source.is_live() && error.is_missing() => {
                log::warn!("{}: it went while it was read", path.display());
                Ok(None)
            }
            outcome => outcome.map(Some).map_err(|e| e.at(path)),
        }
    }
}
