//! A tree of files in memory. Knows nothing of FUSE's requests but the attributes that they answer with.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use fuser::{FileAttr, FileType, INodeNo};

pub(crate) struct Node {
    pub(crate) attr: FileAttr,
    pub(crate) data: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) entries: BTreeMap<OsString, u64>,
    pub(crate) parent: u64,
}

/// By number: the root is 1, and numbers are counted up.
pub(crate) struct Tree {
    nodes: Vec<Option<Node>>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let mut tree = Self { nodes: vec![None] };
        let root = tree.add(1, FileType::Directory, 0o755, (0, 0));
        assert_eq!(root, 1);
        tree
    }

    /// A new inode that no name leads to yet.
    pub(crate) fn add(
        &mut self,
        parent: u64,
        kind: FileType,
        perm: u16,
        (uid, gid): (u32, u32),
    ) -> u64 {
        let now = SystemTime::now();
        let number = self.nodes.len() as u64;
        let attr = FileAttr {
            ino: INodeNo(number),
            size: 0,
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
            crtime: now,
            kind,
            perm,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid,
            gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        self.nodes.push(Some(Node {
            attr,
            data: Vec::new(),
            target: Vec::new(),
            entries: BTreeMap::new(),
            parent,
        }));
        number
    }

    pub(crate) fn node(&mut self, number: u64) -> &mut Node {
        self.nodes[number as usize].as_mut().unwrap()
    }

    pub(crate) fn find(&mut self, parent: u64, name: &OsStr) -> Option<u64> {
        self.node(parent).entries.get(name).copied()
    }

    pub(crate) fn insert(&mut self, parent: u64, name: &OsStr, number: u64) {
        if self.node(number).attr.kind == FileType::Directory {
            self.node(number).parent = parent;
            self.node(parent).attr.nlink += 1;
        }
        self.node(parent).entries.insert(name.to_owned(), number);
        self.touch(parent);
    }

    /// Takes a name away; the inode stays until the kernel forgets it.
    pub(crate) fn take(&mut self, parent: u64, name: &OsStr) -> Option<u64> {
        let number = self.node(parent).entries.remove(name)?;
        self.touch(parent);
        if self.node(number).attr.kind == FileType::Directory {
            self.node(parent).attr.nlink -= 1;
        }
        Some(number)
    }

    /// One name less.
    pub(crate) fn drop_name(&mut self, number: u64) {
        let node = self.node(number);
        let names = if node.attr.kind == FileType::Directory {
            2
        } else {
            1
        };
        node.attr.nlink -= names;
    }

    pub(crate) fn forget(&mut self, number: u64) {
        let place = &mut self.nodes[number as usize];
        if place.as_ref().is_some_and(|node| node.attr.nlink == 0) {
            *place = None;
        }
    }

    fn touch(&mut self, number: u64) {
        let now = SystemTime::now();
        let attr = &mut self.node(number).attr;
        (attr.mtime, attr.ctime) = (now, now);
    }
}
