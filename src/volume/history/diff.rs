//! What changed between two states of a volume, at the cost of the changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::meta::{Inode, Session, Snapshot, View};
use crate::types::{FileKind, Ino, NameBuf};
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::history::paths::Paths;
use crate::volume::wanted::go_on;

/// How a path differs, by the letter that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// Its bytes, or a link's target, are others.
    Modified,
    /// The same inode had another name.
    Renamed,
    /// It is of another type.
    Retyped,
    /// Only attributes differ: mode, owner, times set by hand, extended attributes.
    Attributes,
}

/// One difference. Paths are bytes, relative to the root, without a leading `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where, in the newer state; for what went, in the older.
    pub path: Vec<u8>,
    /// What.
    pub kind: ChangeKind,
    /// The path in the older state of what was renamed.
    pub old_path: Option<Vec<u8>>,
}

/// As [`crate::volume::Volume::diff`].
pub(super) fn diff(core: &Core, from: &Snapshot, to: Option<&Snapshot>) -> Result<Vec<Change>> {
    let tx = core.database().read_long()?;
    let until = match to {
        Some(to) => to.epoch,
        None => tx.head()?,
    };
    if until < from.epoch {
        return Err(Error::Invalid);
    }
    let (old, new) = (tx.view(from.epoch), tx.view(until));
    let mut states = States {
        session: &tx,
        from,
        old,
        new,
        old_paths: Paths::of(old),
        new_paths: Paths::of(new),
        rewritten: BTreeMap::new(),
    };
    let mut changes = states.collect(until)?;
    changes.sort();
    changes.dedup();
    Ok(changes)
}

/// The two states.
struct States<'s> {
    session: &'s Session,
    from: &'s Snapshot,
    old: View<'s>,
    new: View<'s>,
    old_paths: Paths<'s>,
    new_paths: Paths<'s>,
    /// Files of several names that are others themselves, and the names that came.
    rewritten: BTreeMap<Ino, (ChangeKind, BTreeSet<Vec<u8>>)>,
}

/// Names of inodes, each with its directory. As many as there are changes: a tree for each inode would take five times
/// the memory.
#[derive(Default)]
struct Names(Vec<(Ino, (Ino, NameBuf))>);

impl Names {
    fn sort(&mut self) {
        self.0.sort_unstable();
    }

    fn inodes(&self) -> impl Iterator<Item = Ino> {
        self.0.iter().map(|(ino, _)| *ino)
    }

    /// Those of one inode, once they are sorted.
    fn of(&self, ino: Ino) -> BTreeSet<(Ino, NameBuf)> {
        let from = self.0.partition_point(|(other, _)| *other < ino);
        let same = self.0[from..].iter().take_while(|(other, _)| *other == ino);
        same.map(|(_, place)| place.clone()).collect()
    }
}

impl States<'_> {
    fn collect(&mut self, until: crate::types::Epoch) -> Result<Vec<Change>> {
        let inos = self.session.changed_inodes(self.from, until)?;
        let (mut gone, mut come) = (Names::default(), Names::default());
        for &dir in &inos {
            go_on()?;
            let (went, came) = self.session.changed_entries(dir, self.from, until)?;
            for (list, names) in [(went, &mut gone), (came, &mut come)] {
                let places = list.into_iter().map(|(name, ino)| (ino, (dir, name)));
                names.0.extend(places);
            }
        }
        gone.sort();
        come.sort();
        let mut named = inos;
        named.extend(gone.inodes().chain(come.inodes()));
        named.sort_unstable();
        named.dedup();
        let mut changes = Vec::new();
        for ino in named {
            go_on()?;
            self.compare(ino, &gone.of(ino), &come.of(ino), &mut changes)?;
        }
        drop((gone, come));
        self.tell_by_each_name(&mut changes)?;
        merge_replaced(changes, |found| self.kind_at(found))
    }

    /// The changes of one inode: of its names first, then of itself.
    fn compare(
        &mut self,
        ino: Ino,
        gone: &BTreeSet<(Ino, NameBuf)>,
        come: &BTreeSet<(Ino, NameBuf)>,
        changes: &mut Vec<Found>,
    ) -> Result<()> {
        let before = self.old.inode(ino)?.filter(|inode| inode.attr.nlink > 0);
        let after = self.new.inode(ino)?.filter(|inode| inode.attr.nlink > 0);
        // A name that a rollback took and another brought back is where it was.
        let (mut gone, mut come) = (gone.difference(come), come.difference(gone));
        let mut came = BTreeSet::new();
        loop {
            let old_path = gone.next().map(|place| self.old_paths.of_name(place));
            let new_path = come.next().map(|place| self.new_paths.of_name(place));
            let (path, kind, old_path) = match (old_path.transpose()?, new_path.transpose()?) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(old), Some(new)) => (new, ChangeKind::Renamed, Some(old)),
                (Some(old), None) => (old, ChangeKind::Removed, None),
                (None, Some(new)) => (new, ChangeKind::Added, None),
                (None, None) => break,
            };
            if kind == ChangeKind::Added {
                came.insert(path.clone());
            }
            changes.push(Found::new(ino, path, kind, old_path));
        }
        if let (Some(before), Some(after)) = (before, after)
            && let Some(kind) = self.difference(&before, &after)?
        {
            let has_names = after.attr.nlink > 1 && after.attr.kind != FileKind::Directory;
            match self.new_paths.at_home(&after)? {
                Some(path) if !has_names => changes.push(Found::new(ino, path, kind, None)),
                _ => drop(self.rewritten.insert(ino, (kind, came))),
            }
        }
        Ok(())
    }

    /// A file is another under each of its names, but those that are told of as new.
    fn tell_by_each_name(&mut self, changes: &mut Vec<Found>) -> Result<()> {
        let rewritten = std::mem::take(&mut self.rewritten);
        if rewritten.is_empty() {
            return Ok(());
        }
        let inos = rewritten.keys().copied().collect();
        let mut named = self.new_paths.of_links(&inos)?;
        for (ino, (kind, came)) in rewritten {
            let paths = named.remove(&ino).unwrap_or_default().into_iter();
            let told = paths.filter(|path| !came.contains(path));
            changes.extend(told.map(|path| Found::new(ino, path, kind, None)));
        }
        Ok(())
    }

    fn difference(&self, before: &Inode, after: &Inode) -> Result<Option<ChangeKind>> {
        let ino = after.attr.ino;
        let is_file = after.attr.kind == FileKind::File;
        if is_file
            && (before.attr.size != after.attr.size
                || self.old.layout(ino)? != self.new.layout(ino)?)
        {
            return Ok(Some(ChangeKind::Modified));
        }
        let own = |i: &Inode| (i.attr.mode, i.attr.uid, i.attr.gid, i.attr.rdev);
        // A directory's times change with its entries, which are told of by themselves.
        let times_differ = is_file && before.attr.mtime != after.attr.mtime;
        let differs = own(before) != own(after) || times_differ || !self.same_xattrs(ino)?;
        Ok(differs.then_some(ChangeKind::Attributes))
    }

    fn same_xattrs(&self, ino: Ino) -> Result<bool> {
        let names = self.old.xattr_names(ino)?;
        if names != self.new.xattr_names(ino)? {
            return Ok(false);
        }
        for name in names {
            if self.old.xattr(ino, &name)? != self.new.xattr(ino, &name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn kind_at(&self, found: &Found) -> Result<Option<FileKind>> {
        let view = if found.change.kind == ChangeKind::Removed {
            self.old
        } else {
            self.new
        };
        Ok(view.inode(found.ino)?.map(|inode| inode.attr.kind))
    }
}

struct Found {
    change: Change,
    ino: Ino,
}

impl Found {
    const fn new(ino: Ino, path: Vec<u8>, kind: ChangeKind, old_path: Option<Vec<u8>>) -> Self {
        let change = Change {
            path,
            kind,
            old_path,
        };
        Self { change, ino }
    }
}

/// A path that went and came is one that was replaced.
fn merge_replaced(
    found: Vec<Found>,
    kind_of: impl Fn(&Found) -> Result<Option<FileKind>>,
) -> Result<Vec<Change>> {
    let mut removed: BTreeMap<Vec<u8>, Found> = BTreeMap::new();
    let mut rest = Vec::new();
    for found in found {
        match found.change.kind {
            ChangeKind::Removed => drop(removed.insert(found.change.path.clone(), found)),
            _ => rest.push(found),
        }
    }
    let mut changes = Vec::new();
    for mut found in rest {
        if found.change.kind == ChangeKind::Added
            && let Some(old) = removed.remove(&found.change.path)
        {
            let same = kind_of(&old)? == kind_of(&found)?;
            found.change.kind = if same {
                ChangeKind::Modified
            } else {
                ChangeKind::Retyped
            };
        }
        changes.push(found.change);
    }
    changes.extend(removed.into_values().map(|found| found.change));
    Ok(changes)
}
