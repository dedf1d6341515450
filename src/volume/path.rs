//! From an inode back to its path, in one state.

use super::{Error, Result};
use crate::meta::{Inode, View};
use crate::types::{Ino, NameBuf};

/// The path of an inode relative to the root; of a file with several names, the first.
pub(super) fn of_inode(view: View<'_>, inode: &Inode) -> Result<Vec<u8>> {
    let ino = inode.attr.ino;
    if ino == Ino::ROOT {
        return Ok(b".".to_vec());
    }
    let home = inode.home;
    if let Some((name, found)) = view.entry_at(home.parent, home.cookie)?
        && found == ino
    {
        return of_name(view, (home.parent, name));
    }
    // Its first name is gone: it is one of several hard links.
    let names = view.names_of(ino)?.into_iter();
    let mut paths = names
        .map(|(name, dir)| of_name(view, (dir, name)))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    let first = paths.into_iter().next();
    first.ok_or_else(|| Error::Corrupt(format!("{ino} has links and no name")))
}

/// The path of a name, through the directories that hold it.
pub(super) fn of_name(view: View<'_>, (dir, name): (Ino, NameBuf)) -> Result<Vec<u8>> {
    /// No path that the kernel takes is longer; more is a circle.
    const DEPTH_MAX: usize = 4096;
    let mut parts = vec![name];
    let mut at = dir;
    while at != Ino::ROOT {
        let lost = || Error::Corrupt(format!("{at} is not where it says"));
        if parts.len() > DEPTH_MAX {
            return Err(lost());
        }
        let home = view.inode(at)?.ok_or_else(lost)?.home;
        let (name, _) = view.entry_at(home.parent, home.cookie)?.ok_or_else(lost)?;
        parts.push(name);
        at = home.parent;
    }
    let parts: Vec<&[u8]> = parts.iter().rev().map(|name| name.as_bytes()).collect();
    Ok(parts.join(&b'/'))
}
