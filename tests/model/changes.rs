//! What a diff of two trees must say.

use std::collections::{BTreeMap, BTreeSet};

use cask::types::{FileKind, Ino};
use cask::volume::{Change, ChangeKind};

use crate::tree::Tree;

type Place = (Ino, Vec<u8>);

/// Compares a diff of a volume with what the two trees say.
#[track_caller]
pub(crate) fn assert_changes(old: &Tree, new: &Tree, changes: &[Change]) {
    let of_names = |change: &&Change| {
        let kind = change.kind;
        !matches!(kind, ChangeKind::Modified | ChangeKind::Attributes)
    };
    let found: BTreeSet<Change> = changes.iter().filter(of_names).cloned().collect();
    let (names, replaced) = names_changed(old, new);
    assert_eq!(found, names);
    let modified: BTreeSet<&[u8]> = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Modified)
        .map(|change| change.path.as_slice())
        .collect();
    for path in &replaced {
        assert!(
            modified.contains(path.as_slice()),
            "{}",
            path.escape_ascii()
        );
    }
    // A file with several names is told of by each: as changed, or as come.
    let has_come = |kind| matches!(kind, ChangeKind::Added | ChangeKind::Retyped);
    let came = names.iter().filter(|change| has_come(change.kind));
    let came: BTreeSet<&[u8]> = came.map(|change| change.path.as_slice()).collect();
    for paths in rewritten(old, new) {
        let is_told =
            |path: &Vec<u8>| modified.contains(path.as_slice()) || came.contains(path.as_slice());
        assert!(paths.iter().all(is_told), "{paths:?} of {changes:?}");
    }
}

/// Names that came, went, or moved; and paths at which another inode of the same type came.
fn names_changed(old: &Tree, new: &Tree) -> (BTreeSet<Change>, BTreeSet<Vec<u8>>) {
    let (before, after) = (old.places(), new.places());
    let gone = by_inode(before.difference(&after));
    let come = by_inode(after.difference(&before));
    let (mut removed, mut added) = (BTreeMap::new(), BTreeMap::new());
    let mut changes = BTreeSet::new();
    let inodes: BTreeSet<Ino> = gone.keys().chain(come.keys()).copied().collect();
    for ino in inodes {
        let none = Vec::new();
        let from: Vec<_> = gone
            .get(&ino)
            .unwrap_or(&none)
            .iter()
            .map(|p| old.path(p))
            .collect();
        let to: Vec<_> = come
            .get(&ino)
            .unwrap_or(&none)
            .iter()
            .map(|p| new.path(p))
            .collect();
        for (old_path, path) in from.iter().zip(&to).filter(|(one, other)| one != other) {
            let (kind, old_path) = (ChangeKind::Renamed, Some(old_path.clone()));
            changes.insert(Change {
                path: path.clone(),
                kind,
                old_path,
            });
        }
        removed.extend(from.iter().skip(to.len()).map(|path| (path.clone(), ino)));
        added.extend(to.iter().skip(from.len()).map(|path| (path.clone(), ino)));
    }
    let mut replaced = BTreeSet::new();
    for (path, ino) in added {
        let kind = match removed.remove(&path) {
            None => ChangeKind::Added,
            Some(was) if old.kind(was) == new.kind(ino) => {
                replaced.insert(path);
                continue;
            }
            Some(_) => ChangeKind::Retyped,
        };
        changes.insert(Change {
            path,
            kind,
            old_path: None,
        });
    }
    let kind = ChangeKind::Removed;
    changes.extend(removed.into_keys().map(|path| Change {
        path,
        kind,
        old_path: None,
    }));
    (changes, replaced)
}

fn by_inode<'p>(places: impl Iterator<Item = &'p (Place, Ino)>) -> BTreeMap<Ino, Vec<Place>> {
    let mut found: BTreeMap<Ino, Vec<Place>> = BTreeMap::new();
    for (place, ino) in places {
        found.entry(*ino).or_default().push(place.clone());
    }
    found
}

/// The paths of each file that is in both trees with other bytes.
fn rewritten(old: &Tree, new: &Tree) -> Vec<Vec<Vec<u8>>> {
    let named = by_inode(new.places().iter());
    let before = by_inode(old.places().iter());
    let both = named.iter().filter(|(ino, _)| before.contains_key(ino));
    both.filter(|(ino, _)| new.kind(**ino) == FileKind::File && !old.same_data(new, **ino))
        .map(|(_, places)| places.iter().map(|place| new.path(place)).collect())
        .collect()
}
