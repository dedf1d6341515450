//! From an inode back to its paths, in one state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::meta::{Inode, View};
use crate::types::{Ino, NameBuf};
use crate::volume::error::{Error, Result};

/// Bytes of directories' paths that are kept at a time.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// The path of an inode relative to the root; of a file with several names, the first.
pub(in crate::volume) fn of_inode(view: View<'_>, inode: &Inode) -> Result<Vec<u8>> {
    let mut paths = Paths::of(view);
    if let Some(path) = paths.at_home(inode)? {
        return Ok(path);
    }
    // Its first name is gone: it is one of several hard links.
    let ino = inode.attr.ino;
    let named = paths.of_links(&BTreeSet::from([ino]))?;
    let first = named.into_values().flatten().min();
    first.ok_or_else(|| Error::Corrupt(format!("{ino} has links and no name")))
}

/// Paths in one state. Those of directories are remembered, for what is asked about next often lies there, too.
pub(super) struct Paths<'v> {
    view: View<'v>,
    directories: HashMap<Ino, Vec<u8>>,
    kept: usize,
}

impl<'v> Paths<'v> {
    pub(super) fn of(view: View<'v>) -> Self {
        Self {
            view,
            directories: HashMap::new(),
            kept: 0,
        }
    }

    /// The path by the name that the inode was made with, if it still has that.
    pub(super) fn at_home(&mut self, inode: &Inode) -> Result<Option<Vec<u8>>> {
        if inode.attr.ino == Ino::ROOT {
            return Ok(Some(b".".to_vec()));
        }
        let home = inode.home;
        match self.view.entry_at(home.parent, home.cookie)? {
            Some((name, found)) if found == inode.attr.ino => {
                self.of_name(&(home.parent, name)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// All paths of files with several names. Looks at every entry of the volume, once for all of them.
    pub(super) fn of_links(&mut self, inos: &BTreeSet<Ino>) -> Result<BTreeMap<Ino, Vec<Vec<u8>>>> {
        let mut found: BTreeMap<Ino, Vec<Vec<u8>>> = BTreeMap::new();
        for (ino, place) in self.view.places_of(inos)? {
            found.entry(ino).or_default().push(self.of_name(&place)?);
        }
        Ok(found)
    }

    /// The path of a name, through the directories that hold it.
    pub(super) fn of_name(&mut self, (dir, name): &(Ino, NameBuf)) -> Result<Vec<u8>> {
        let mut path = self.of_directory(*dir)?;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name.as_bytes());
        Ok(path)
    }

    /// The path of a directory; of the root, nothing.
    fn of_directory(&mut self, dir: Ino) -> Result<Vec<u8>> {
        if let Some(path) = self.directories.get(&dir) {
            return Ok(path.clone());
        }
        let (mut names, mut seen, mut at) = (Vec::new(), HashSet::new(), dir);
        while at != Ino::ROOT && !self.directories.contains_key(&at) {
            let lost = || Error::Corrupt(format!("{at} is not where it says"));
            // Who comes by twice goes in a circle.
            if !seen.insert(at) {
                return Err(lost());
            }
            let home = self.view.inode(at)?.ok_or_else(lost)?.home;
            let (name, _) = self
                .view
                .entry_at(home.parent, home.cookie)?
                .ok_or_else(lost)?;
            names.push(name);
            at = home.parent;
        }
        let mut path = self.directories.get(&at).cloned().unwrap_or_default();
        for name in names.iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(name.as_bytes());
        }
        self.remember(dir, &path);
        Ok(path)
    }

    fn remember(&mut self, dir: Ino, path: &[u8]) {
        if self.kept + path.len() > KEPT_BYTES {
            self.directories.clear();
            self.kept = 0;
        }
        self.kept += path.len();
        self.directories.insert(dir, path.to_vec());
    }
}
