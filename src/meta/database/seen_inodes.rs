//! The inodes that a transaction has read or written: an operation looks at the same few again and again.
//!
//! Only of a transaction that writes, which nobody else changes rows beside (invariant 4), and forgotten with it.

use std::cell::RefCell;

use crate::meta::inode::Inode;
use crate::types::Ino;

/// A rename looks at two directories and two inodes, and at those above them.
const MOST: usize = 8;

#[derive(Debug, Default)]
pub(in crate::meta) struct SeenInodes(RefCell<Option<Vec<Inode>>>);

impl SeenInodes {
    /// A transaction begins.
    pub(super) fn begin(&self) {
        self.0.replace(Some(Vec::with_capacity(MOST)));
    }

    /// It has ended.
    pub(super) fn end(&self) {
        self.0.replace(None);
    }

    pub(in crate::meta) fn get(&self, ino: Ino) -> Option<Inode> {
        let seen = self.0.borrow();
        seen.as_ref()?
            .iter()
            .find(|one| one.attr.ino == ino)
            .copied()
    }

    /// This is what the row of an inode says.
    pub(in crate::meta) fn note(&self, inode: &Inode) {
        // The request that changed it is not read with a row.
        let inode = Inode {
            request: None,
            ..*inode
        };
        let mut seen = self.0.borrow_mut();
        let Some(seen) = seen.as_mut() else {
            return;
        };
        match seen.iter_mut().find(|one| one.attr.ino == inode.attr.ino) {
            Some(one) => *one = inode,
            None => {
                if seen.len() == MOST {
                    seen.remove(0);
                }
                seen.push(inode);
            }
        }
    }

    /// The row is gone, or may be another.
    pub(in crate::meta) fn forget(&self, ino: Ino) {
        if let Some(seen) = self.0.borrow_mut().as_mut() {
            seen.retain(|one| one.attr.ino != ino);
        }
    }
}
