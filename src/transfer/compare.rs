//! What changed between two snapshots in a repository: their rows are gone through side by side, and no file is read
//! unless its rows do not tell.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Result};
use crate::remote::{self, PushedTree, Row, Table};
use crate::types::{EntryRow, Ino, InodeRow};
use crate::volume::{Change, ChangeKind};

/// Bytes that are compared at a time.
const BLOCK_BYTES: usize = 1 << 20;
/// The type in `st_mode` (inode(7)).
const TYPE_BITS: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// A name: the directory and what it is called there.
type NameKey = (u64, Vec<u8>);
type Names = BTreeMap<u64, BTreeSet<NameKey>>;

/// Compares two snapshots of one volume; the changes by their paths.
///
/// # Errors
/// [`Error::Remote`].
pub fn compare(old: &PushedTree, new: &PushedTree) -> Result<Vec<Change>> {
    let mut found = Comparison::of(old, new);
    found.compare_entries()?;
    found.compare_inodes()?;
    found.extents = changed(old, new, Table::Extent)?;
    found.xattrs = changed(old, new, Table::Xattr)?;
    found.tell()
}

/// A snapshot, and the paths in it that were asked for.
struct Side<'t> {
    tree: &'t PushedTree,
    paths: BTreeMap<u64, Vec<u8>>,
}

struct Comparison<'t> {
    old: Side<'t>,
    new: Side<'t>,
    gone: Names,
    come: Names,
    inodes: BTreeMap<u64, (Option<InodeRow>, Option<InodeRow>)>,
    extents: BTreeSet<u64>,
    xattrs: BTreeSet<u64>,
}

impl<'t> Side<'t> {
    const fn of(tree: &'t PushedTree) -> Self {
        Self {
            tree,
            paths: BTreeMap::new(),
        }
    }

    fn path_of_name(&mut self, (dir, name): &NameKey) -> Result<Vec<u8>> {
        let mut path = self.path_of_dir(*dir)?;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name);
        Ok(path)
    }

    fn path_of_dir(&mut self, dir: u64) -> Result<Vec<u8>> {
        // From the bottom up, and down again: a path may be deeper than a stack.
        let (mut above, mut at) = (Vec::new(), dir);
        while at != Ino::ROOT.raw() && !self.paths.contains_key(&at) {
            let name = self.home_of(at)?;
            above.push((at, name.1));
            at = name.0;
        }
        let mut path = self.paths.get(&at).cloned().unwrap_or_default();
        for (ino, name) in above.into_iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(name);
            self.paths.insert(ino, path.clone());
        }
        Ok(path)
    }

    /// The name of a directory.
    fn home_of(&self, dir: u64) -> Result<NameKey> {
        let rows = self.tree.rows();
        let inode = rows.inode(dir)?.ok_or_else(|| lost(dir))?;
        let mut entries = rows.entries(inode.parent)?.into_iter();
        let own = entries.find(|entry| entry.ino == dir);
        own.map(|entry| (inode.parent, entry.name))
            .ok_or_else(|| lost(dir))
    }
}

fn lost(ino: u64) -> Error {
    Error::Remote(remote::Error::Damaged {
        object: "a run".to_owned(),
        what: format!("inode {ino} has no name"),
    })
}

impl<'t> Comparison<'t> {
    const fn of(old: &'t PushedTree, new: &'t PushedTree) -> Self {
        Self {
            old: Side::of(old),
            new: Side::of(new),
            gone: Names::new(),
            come: Names::new(),
            inodes: BTreeMap::new(),
            extents: BTreeSet::new(),
            xattrs: BTreeSet::new(),
        }
    }

    fn compare_entries(&mut self) -> Result<()> {
        let (gone, come) = (&mut self.gone, &mut self.come);
        side_by_side(self.old.tree, self.new.tree, Table::Entry, |old, new| {
            let entry = |row: Option<Row>| match row {
                Some(Row::Entry(row)) => Some(row),
                _ => None,
            };
            let (old, new) = (entry(old), entry(new));
            if old.as_ref().map(|row| row.ino) == new.as_ref().map(|row| row.ino) {
                return;
            }
            for (row, names) in [(old, &mut *gone), (new, &mut *come)] {
                if let Some(EntryRow {
                    parent, name, ino, ..
                }) = row
                {
                    names.entry(ino).or_default().insert((parent, name));
                }
            }
        })
    }

    fn compare_inodes(&mut self) -> Result<()> {
        let inodes = &mut self.inodes;
        side_by_side(self.old.tree, self.new.tree, Table::Inode, |old, new| {
            let inode = |row: Option<Row>| match row {
                Some(Row::Inode(row)) => Some(row),
                _ => None,
            };
            let (old, new) = (inode(old), inode(new));
            let ino = old.as_ref().or(new.as_ref()).map(|row| row.ino);
            if let Some(ino) = ino.filter(|_| old != new) {
                inodes.insert(ino, (old, new));
            }
        })
    }

    fn tell(&mut self) -> Result<Vec<Change>> {
        let named = self.gone.keys().chain(self.come.keys());
        let named = named.chain(self.inodes.keys()).chain(&self.xattrs);
        let inos: BTreeSet<u64> = named.copied().collect();
        let (mut changes, mut by_each_name) = (Vec::new(), BTreeMap::new());
        for ino in inos {
            let came = self.tell_names(ino, &mut changes)?;
            let Some((kind, row)) = self.difference(ino)? else {
                continue;
            };
            if row.nlink > 1 && row.mode & TYPE_BITS != DIRECTORY {
                by_each_name.insert(ino, (kind, came));
            } else if ino == Ino::ROOT.raw() {
                changes.push(change(Vec::new(), kind));
            } else {
                let path = self.path_now(ino)?;
                changes.push(change(path, kind));
            }
        }
        self.tell_by_each_name(&by_each_name, &mut changes)?;
        let mut changes = self.replaced(changes)?;
        changes.sort();
        changes.dedup();
        Ok(changes)
    }

    /// The path of what has one name.
    fn path_now(&mut self, ino: u64) -> Result<Vec<u8>> {
        let name = self.new.home_of(ino)?;
        self.new.path_of_name(&name)
    }

    /// Names that went and came; the paths of those that are new.
    fn tell_names(&mut self, ino: u64, changes: &mut Vec<Change>) -> Result<BTreeSet<Vec<u8>>> {
        let names = |names: &Names| names.get(&ino).cloned().unwrap_or_default();
        let (gone, come) = (names(&self.gone), names(&self.come));
        let (mut gone, mut come) = (gone.iter(), come.iter());
        let mut came = BTreeSet::new();
        loop {
            let old = gone.next().map(|name| self.old.path_of_name(name));
            let new = come.next().map(|name| self.new.path_of_name(name));
            match (old.transpose()?, new.transpose()?) {
                (Some(old), Some(new)) => changes.push(Change {
                    path: new,
                    kind: ChangeKind::Renamed,
                    old_path: Some(old),
                }),
                (Some(old), None) => changes.push(change(old, ChangeKind::Removed)),
                (None, Some(new)) => {
                    came.insert(new.clone());
                    changes.push(change(new, ChangeKind::Added));
                }
                (None, None) => return Ok(came),
            }
        }
    }

    /// How an inode differs that is in both.
    fn difference(&self, ino: u64) -> Result<Option<(ChangeKind, InodeRow)>> {
        let both = match self.inodes.get(&ino) {
            Some((Some(old), Some(new))) => Some((old.clone(), new.clone())),
            Some(_) => None,
            None => {
                let row = self.new.tree.rows().inode(ino)?;
                row.map(|row| (row.clone(), row))
            }
        };
        let Some((old, new)) = both else {
            return Ok(None);
        };
        if new.mode & TYPE_BITS == FILE && self.contents_differ(&old, &new)? {
            return Ok(Some((ChangeKind::Modified, new)));
        }
        let own = |row: &InodeRow| (row.mode, row.uid, row.gid, row.rdev);
        // A directory's times change with its entries, which are told of by themselves.
        let times_differ = new.mode & TYPE_BITS == FILE && old.mtime != new.mtime;
        let differs = own(&old) != own(&new) || times_differ || self.xattrs.contains(&ino);
        Ok(differs.then_some((ChangeKind::Attributes, new)))
    }

    fn contents_differ(&self, old: &InodeRow, new: &InodeRow) -> Result<bool> {
        if old.size != new.size {
            return Ok(true);
        }
        if !self.extents.contains(&new.ino) {
            return Ok(false);
        }
        // The same bytes can be cut and stored otherwise.
        let attr = |row: &InodeRow| row.attr().map_err(|_| lost(row.ino));
        let (was, is) = (attr(old)?, attr(new)?);
        let mut offset = 0;
        while offset < new.size {
            let before = self.old.tree.read(&was, offset, BLOCK_BYTES)?;
            if before != self.new.tree.read(&is, offset, BLOCK_BYTES)? {
                return Ok(true);
            }
            offset += BLOCK_BYTES as u64;
        }
        Ok(false)
    }

    /// A file is another under each of its names, but those that are told of as new.
    fn tell_by_each_name(
        &mut self,
        inos: &BTreeMap<u64, (ChangeKind, BTreeSet<Vec<u8>>)>,
        changes: &mut Vec<Change>,
    ) -> Result<()> {
        if inos.is_empty() {
            return Ok(());
        }
        let tree = self.new.tree;
        for row in tree.rows().all(Table::Entry) {
            let Row::Entry(row) = row? else { continue };
            if let Some((kind, came)) = inos.get(&row.ino) {
                let path = self.new.path_of_name(&(row.parent, row.name))?;
                if !came.contains(&path) {
                    changes.push(change(path, *kind));
                }
            }
        }
        Ok(())
    }

    /// A path that went and came is one that was replaced.
    fn replaced(&self, changes: Vec<Change>) -> Result<Vec<Change>> {
        let is_removed = |one: &Change| one.kind == ChangeKind::Removed;
        let removed: BTreeSet<_> = changes.iter().filter(|one| is_removed(one)).collect();
        let removed: BTreeSet<_> = removed.iter().map(|one| one.path.clone()).collect();
        let mut merged = BTreeSet::new();
        let mut told = Vec::new();
        for mut one in changes.iter().filter(|one| !is_removed(one)).cloned() {
            if one.kind == ChangeKind::Added && removed.contains(&one.path) {
                merged.insert(one.path.clone());
                one.kind = if self.is_same_type(&one.path)? {
                    ChangeKind::Modified
                } else {
                    ChangeKind::Retyped
                };
            }
            told.push(one);
        }
        let left = changes.into_iter().filter(is_removed);
        told.extend(left.filter(|one| !merged.contains(&one.path)));
        Ok(told)
    }

    fn is_same_type(&self, path: &[u8]) -> Result<bool> {
        let kind = |tree: &PushedTree| {
            let mut ino = Ino::ROOT.raw();
            for name in path.split(|byte| *byte == b'/') {
                let entry = tree.rows().entry(ino, name)?.ok_or_else(|| lost(ino))?;
                ino = entry.ino;
            }
            let row = tree.rows().inode(ino)?.ok_or_else(|| lost(ino))?;
            Ok::<_, Error>(row.mode & TYPE_BITS)
        };
        Ok(kind(self.old.tree)? == kind(self.new.tree)?)
    }
}

const fn change(path: Vec<u8>, kind: ChangeKind) -> Change {
    Change {
        path,
        kind,
        old_path: None,
    }
}

/// The inodes of which rows differ.
fn changed(old: &PushedTree, new: &PushedTree, table: Table) -> Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    side_by_side(old, new, table, |old, new| {
        if old != new {
            let row = old.or(new);
            found.extend(row.map(|row| row.key().0));
        }
    })?;
    Ok(found)
}

/// Calls `meet` with the rows of each key, of either side or both.
fn side_by_side(
    old: &PushedTree,
    new: &PushedTree,
    table: Table,
    mut meet: impl FnMut(Option<Row>, Option<Row>),
) -> Result<()> {
    let (mut olds, mut news) = (old.rows().all(table), new.rows().all(table));
    let (mut old, mut new) = (olds.next().transpose()?, news.next().transpose()?);
    loop {
        let order = match (&old, &new) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.key().cmp(&new.key()),
        };
        let mut both = (None, None);
        if order.is_le() {
            both.0 = std::mem::replace(&mut old, olds.next().transpose()?);
        }
        if order.is_ge() {
            both.1 = std::mem::replace(&mut new, news.next().transpose()?);
        }
        meet(both.0, both.1);
    }
}
