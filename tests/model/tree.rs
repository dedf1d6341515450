//! The reference: a file tree in memory, as simple as it can be.

use std::collections::{BTreeMap, BTreeSet};

use cask::types::{FileKind, Ino, Name};
use cask::volume::{Error, FallocateMode, Frozen, RenameMode, Volume};

/// How an operation ended: the errors that a caller can tell apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    NotFound,
    Exists,
    NotDirectory,
    IsDirectory,
    NotEmpty,
    NotPermitted,
    Invalid,
    NoAttribute,
}

impl Outcome {
    pub(crate) fn of<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(Error::NotFound) => Self::NotFound,
            Err(Error::Exists) => Self::Exists,
            Err(Error::NotDirectory) => Self::NotDirectory,
            Err(Error::IsDirectory) => Self::IsDirectory,
            Err(Error::NotEmpty) => Self::NotEmpty,
            Err(Error::NotPermitted) => Self::NotPermitted,
            Err(Error::Invalid) => Self::Invalid,
            Err(Error::NoAttribute) => Self::NoAttribute,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[derive(Clone)]
struct Node {
    kind: FileKind,
    data: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
    entries: BTreeMap<Vec<u8>, Ino>,
}

#[derive(Clone)]
pub(crate) struct Tree {
    nodes: BTreeMap<Ino, Node>,
}

type Place<'a> = (Ino, &'a [u8]);

impl Tree {
    pub(crate) fn new() -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
        };
        tree.add(Ino::ROOT, FileKind::Directory);
        tree
    }

    fn add(&mut self, ino: Ino, kind: FileKind) {
        let (data, xattrs, entries) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        self.nodes.insert(
            ino,
            Node {
                kind,
                data,
                xattrs,
                entries,
            },
        );
    }

    fn pick(&self, index: usize, wanted: impl Fn(&Node) -> bool) -> Option<Ino> {
        let found: Vec<Ino> = self
            .nodes
            .iter()
            .filter(|(_, node)| wanted(node))
            .map(|(&ino, _)| ino)
            .collect();
        found.get(index % found.len().max(1)).copied()
    }

    pub(crate) fn dir(&self, index: usize) -> Ino {
        self.pick(index, |node| node.kind == FileKind::Directory)
            .unwrap()
    }

    /// A file, or whatever there is while there is none.
    pub(crate) fn file(&self, index: usize) -> Ino {
        let file = self.pick(index, |node| node.kind == FileKind::File);
        file.or_else(|| self.pick(index, |_| true)).unwrap()
    }

    fn names(&self, ino: Ino) -> usize {
        self.nodes
            .values()
            .flat_map(|node| node.entries.values())
            .filter(|&&n| n == ino)
            .count()
    }

    fn entry(&self, (dir, name): Place<'_>) -> Option<Ino> {
        self.nodes[&dir].entries.get(name).copied()
    }

    fn is_dir(&self, ino: Ino) -> bool {
        self.nodes[&ino].kind == FileKind::Directory
    }

    pub(crate) fn make(&mut self, dir: Ino, name: &[u8], kind: FileKind, ino: Ino) -> Outcome {
        if self.entry((dir, name)).is_some() {
            return Outcome::Exists;
        }
        self.add(ino, kind);
        self.nodes
            .get_mut(&dir)
            .unwrap()
            .entries
            .insert(name.to_vec(), ino);
        Outcome::Done
    }

    pub(crate) fn link(&mut self, ino: Ino, dir: Ino, name: &[u8]) -> Outcome {
        if self.is_dir(ino) {
            return Outcome::NotPermitted;
        }
        if self.names(ino) == 0 {
            return Outcome::NotFound;
        }
        if self.entry((dir, name)).is_some() {
            return Outcome::Exists;
        }
        self.nodes
            .get_mut(&dir)
            .unwrap()
            .entries
            .insert(name.to_vec(), ino);
        Outcome::Done
    }

    pub(crate) fn unlink(&mut self, dir: Ino, name: &[u8], held: &[Ino]) -> Outcome {
        match self.entry((dir, name)) {
            None => Outcome::NotFound,
            Some(ino) if self.is_dir(ino) => Outcome::IsDirectory,
            Some(ino) => {
                self.nodes.get_mut(&dir).unwrap().entries.remove(name);
                self.drop_unless_held(ino, held);
                Outcome::Done
            }
        }
    }

    pub(crate) fn rmdir(&mut self, dir: Ino, name: &[u8]) -> Outcome {
        match self.entry((dir, name)) {
            None => Outcome::NotFound,
            Some(ino) if !self.is_dir(ino) => Outcome::NotDirectory,
            Some(ino) if !self.nodes[&ino].entries.is_empty() => Outcome::NotEmpty,
            Some(ino) => {
                self.nodes.get_mut(&dir).unwrap().entries.remove(name);
                self.nodes.remove(&ino);
                Outcome::Done
            }
        }
    }

    fn drop_unless_held(&mut self, ino: Ino, held: &[Ino]) {
        if self.names(ino) == 0 && !held.contains(&ino) {
            self.nodes.remove(&ino);
        }
    }

    /// Nobody holds a file any more.
    pub(crate) fn drop_nameless(&mut self) {
        let named: BTreeSet<Ino> = self
            .nodes
            .values()
            .flat_map(|node| node.entries.values().copied())
            .collect();
        self.nodes
            .retain(|ino, _| *ino == Ino::ROOT || named.contains(ino));
    }

    fn is_below(&self, dir: Ino, top: Ino) -> bool {
        let below = self.nodes[&top].entries.values();
        dir == top
            || below
                .filter(|&&ino| self.is_dir(ino))
                .any(|&ino| self.is_below(dir, ino))
    }

    pub(crate) fn rename(
        &mut self,
        from: Place<'_>,
        to: Place<'_>,
        mode: RenameMode,
        whiteout: Ino,
        held: &[Ino],
    ) -> Outcome {
        let Some(moved) = self.entry(from) else {
            return Outcome::NotFound;
        };
        let target = self.entry(to);
        if mode == RenameMode::Exchange {
            return self.exchange(from, to, moved, target);
        }
        if self.is_dir(moved) && self.is_below(to.0, moved) {
            return Outcome::Invalid;
        }
        let keep = matches!(mode, RenameMode::NoReplace | RenameMode::NoReplaceWhiteout);
        match target {
            Some(_) if keep => return Outcome::Exists,
            Some(target) if target == moved => return Outcome::Done,
            Some(target) if self.is_dir(moved) && !self.is_dir(target) => {
                return Outcome::NotDirectory;
            }
            Some(target) if !self.is_dir(moved) && self.is_dir(target) => {
                return Outcome::IsDirectory;
            }
            Some(target) if !self.nodes[&target].entries.is_empty() => return Outcome::NotEmpty,
            _ => {}
        }
        self.nodes.get_mut(&from.0).unwrap().entries.remove(from.1);
        self.nodes
            .get_mut(&to.0)
            .unwrap()
            .entries
            .insert(to.1.to_vec(), moved);
        if let Some(target) = target {
            if self.is_dir(target) {
                self.nodes.remove(&target);
            } else {
                self.drop_unless_held(target, held);
            }
        }
        if matches!(mode, RenameMode::Whiteout | RenameMode::NoReplaceWhiteout) {
            self.make(from.0, from.1, FileKind::CharDevice, whiteout);
        }
        Outcome::Done
    }

    fn exchange(
        &mut self,
        from: Place<'_>,
        to: Place<'_>,
        one: Ino,
        other: Option<Ino>,
    ) -> Outcome {
        let Some(other) = other else {
            return Outcome::NotFound;
        };
        let below = |dir, moved| self.is_dir(moved) && self.is_below(dir, moved);
        if one != other && (below(to.0, one) || below(from.0, other)) {
            return Outcome::Invalid;
        }
        self.nodes
            .get_mut(&from.0)
            .unwrap()
            .entries
            .insert(from.1.to_vec(), other);
        self.nodes
            .get_mut(&to.0)
            .unwrap()
            .entries
            .insert(to.1.to_vec(), one);
        Outcome::Done
    }

    /// Why the inode has no data, if it has none.
    fn refuse_data(&self, ino: Ino) -> Option<Outcome> {
        match self.nodes[&ino].kind {
            FileKind::File => None,
            FileKind::Directory => Some(Outcome::IsDirectory),
            _ => Some(Outcome::Invalid),
        }
    }

    pub(crate) fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8]) -> Outcome {
        if let Some(refused) = self.refuse_data(ino) {
            return refused;
        }
        let data = &mut self.nodes.get_mut(&ino).unwrap().data;
        let range = index(offset)..index(offset) + bytes.len();
        data.resize(data.len().max(range.end), 0);
        data[range].copy_from_slice(bytes);
        Outcome::Done
    }

    pub(crate) fn truncate(&mut self, ino: Ino, size: u64) -> Outcome {
        if let Some(refused) = self.refuse_data(ino) {
            return refused;
        }
        self.nodes
            .get_mut(&ino)
            .unwrap()
            .data
            .resize(index(size), 0);
        Outcome::Done
    }

    pub(crate) fn fallocate(
        &mut self,
        ino: Ino,
        offset: u64,
        len: u64,
        mode: FallocateMode,
    ) -> Outcome {
        if let Some(refused) = self.refuse_data(ino) {
            return refused;
        }
        let data = &mut self.nodes.get_mut(&ino).unwrap().data;
        let end = index(offset + len);
        if matches!(mode, FallocateMode::Extend | FallocateMode::ZeroRange) {
            data.resize(data.len().max(end), 0);
        }
        if !matches!(mode, FallocateMode::Extend | FallocateMode::Reserve) {
            let size = data.len();
            data[index(offset).min(size)..end.min(size)].fill(0);
        }
        Outcome::Done
    }

    pub(crate) fn copy(&mut self, from: (Ino, u64), to: (Ino, u64), len: u64) -> Outcome {
        if let Some(refused) = self.refuse_data(from.0).or_else(|| self.refuse_data(to.0)) {
            return refused;
        }
        let size = self.nodes[&from.0].data.len() as u64;
        let len = len.min(size.saturating_sub(from.1));
        if from.0 == to.0 && from.1.abs_diff(to.1) < len {
            return Outcome::Invalid;
        }
        if len == 0 {
            return Outcome::Done;
        }
        let bytes = self.nodes[&from.0].data[index(from.1)..index(from.1 + len)].to_vec();
        self.write(to.0, to.1, &bytes)
    }

    pub(crate) fn read(&self, ino: Ino, offset: u64, len: usize) -> Option<Vec<u8>> {
        let node = &self.nodes[&ino];
        let size = node.data.len();
        let start = index(offset).min(size);
        let file = node.kind == FileKind::File;
        file.then(|| node.data[start..(start + len).min(size)].to_vec())
    }

    pub(crate) fn set_xattr(&mut self, ino: Ino, name: &str, value: &[u8]) -> Outcome {
        self.nodes
            .get_mut(&ino)
            .unwrap()
            .xattrs
            .insert(name.to_owned(), value.to_vec());
        Outcome::Done
    }

    pub(crate) fn remove_xattr(&mut self, ino: Ino, name: &str) -> Outcome {
        match self.nodes.get_mut(&ino).unwrap().xattrs.remove(name) {
            Some(_) => Outcome::Done,
            None => Outcome::NoAttribute,
        }
    }

    /// Every name: its directory, itself, and what it names.
    pub(crate) fn places(&self) -> BTreeSet<((Ino, Vec<u8>), Ino)> {
        let entries = |(&dir, node): (&Ino, &Node)| {
            let entries = node.entries.iter();
            entries
                .map(move |(name, &ino)| ((dir, name.clone()), ino))
                .collect::<Vec<_>>()
        };
        self.nodes.iter().flat_map(entries).collect()
    }

    /// The path of a name, without a leading `/`.
    pub(crate) fn path(&self, (dir, name): &(Ino, Vec<u8>)) -> Vec<u8> {
        if *dir == Ino::ROOT {
            return name.clone();
        }
        let (above, _) = self
            .places()
            .into_iter()
            .find(|(_, ino)| ino == dir)
            .unwrap();
        [&self.path(&above)[..], b"/", &name[..]].concat()
    }

    pub(crate) fn kind(&self, ino: Ino) -> FileKind {
        self.nodes[&ino].kind
    }

    pub(crate) fn same_data(&self, other: &Self, ino: Ino) -> bool {
        self.nodes[&ino].data == other.nodes[&ino].data
    }

    /// Compares every inode that has a name with the volume's as it was at a snapshot.
    #[track_caller]
    pub(crate) fn assert_same_at(&self, frozen: Frozen<'_>) {
        let mut named = self.clone();
        named.drop_nameless();
        for (&ino, node) in &named.nodes {
            let attr = frozen.getattr(ino).unwrap();
            assert_eq!(attr.kind, node.kind);
            if node.kind == FileKind::File {
                assert_eq!(attr.size, node.data.len() as u64);
                assert!(
                    frozen.read(ino, 0, node.data.len() + 1).unwrap() == node.data,
                    "{ino}"
                );
                let middle = node.data.len() / 2;
                let part = &node.data[middle..(middle + 100).min(node.data.len())];
                assert!(
                    frozen.read(ino, middle as u64, 100).unwrap() == part,
                    "{ino}"
                );
            }
            if node.kind != FileKind::Directory {
                assert_eq!(attr.nlink as usize, named.names(ino), "{ino}");
            }
            let expected: Vec<u8> = node
                .xattrs
                .keys()
                .flat_map(|name| name.bytes().chain([0]))
                .collect();
            assert_eq!(frozen.xattr_names(ino).unwrap(), expected);
            for (name, value) in &node.xattrs {
                assert_eq!(&frozen.xattr(ino, name.as_bytes()).unwrap(), value);
            }
            if node.kind == FileKind::Directory {
                let listed = frozen.list(ino, 0, usize::MAX).unwrap();
                let listed: BTreeMap<Vec<u8>, Ino> = listed
                    .iter()
                    .map(|e| (e.name.as_bytes().to_vec(), e.attr.ino))
                    .collect();
                assert_eq!(listed, node.entries);
                for (name, &entry) in &node.entries {
                    let found = frozen.lookup(ino, Name::parse(name).unwrap()).unwrap();
                    assert_eq!(found.ino, entry);
                }
            }
        }
    }

    /// Compares every inode, named or held, with the volume's.
    #[track_caller]
    pub(crate) fn assert_same(&self, volume: &Volume) {
        for (&ino, node) in &self.nodes {
            let attr = volume.getattr(ino).unwrap();
            assert_eq!(attr.kind, node.kind);
            if node.kind == FileKind::File {
                assert_eq!(attr.size, node.data.len() as u64);
                assert!(
                    volume.read(ino, 0, node.data.len() + 1).unwrap() == node.data,
                    "{ino}"
                );
            }
            if node.kind != FileKind::Directory {
                assert_eq!(attr.nlink as usize, self.names(ino), "{ino}");
            }
            let expected: Vec<u8> = node
                .xattrs
                .keys()
                .flat_map(|name| name.bytes().chain([0]))
                .collect();
            assert_eq!(volume.xattr_names(ino).unwrap(), expected);
            for (name, value) in &node.xattrs {
                assert_eq!(&volume.xattr(ino, name.as_bytes()).unwrap(), value);
            }
            if node.kind == FileKind::Directory {
                let listed = volume.list(ino, 0, usize::MAX).unwrap();
                let listed: BTreeMap<Vec<u8>, Ino> = listed
                    .iter()
                    .map(|e| (e.name.as_bytes().to_vec(), e.attr.ino))
                    .collect();
                assert_eq!(listed, node.entries);
            }
        }
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}
