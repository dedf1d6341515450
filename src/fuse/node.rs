//! Node numbers of superblocks that show snapshots: those of the head's inodes where there is one snapshot, an epoch and
//! an inode in one, never a live file's number, where there are all.

use crate::types::{Epoch, Ino};

/// Set in every number but the root's where all snapshots are shown: SQLite counts to 2^63 - 1.
const MARK: u64 = 1 << 63;
const INO_BITS: u32 = 40;
const EPOCH_BITS: u32 = 63 - INO_BITS;

/// Which snapshots a superblock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// All, a directory each: mounts that an earlier cask made.
    All,
    /// One.
    One(Epoch),
}

/// A node of such a superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// The root of all, which holds a directory for each snapshot.
    Root,
    /// An inode as it was at a snapshot.
    Frozen(Epoch, Ino),
}

impl Snapshots {
    /// The node of this number, if it is one.
    pub(super) fn node(self, number: Ino) -> Option<Node> {
        match self {
            Self::One(epoch) => Some(Node::Frozen(epoch, number)),
            Self::All if number == Ino::ROOT => Some(Node::Root),
            Self::All => {
                let rest = number.raw().checked_sub(MARK)?;
                let epoch = Epoch((rest >> INO_BITS).cast_signed());
                let ino = Ino::from_raw(rest & ((1 << INO_BITS) - 1));
                Some(Node::Frozen(epoch, ino))
            }
        }
    }

    /// The number of an inode at a snapshot; none when epoch or inode are too large to be told apart.
    pub(super) fn number(self, epoch: Epoch, ino: Ino) -> Option<Ino> {
        if let Self::One(_) = self {
            return Some(ino);
        }
        let epoch = u64::try_from(epoch.0).ok()?;
        let fits = epoch >> EPOCH_BITS == 0 && ino.raw() >> INO_BITS == 0;
        fits.then_some(Ino::from_raw(MARK | epoch << INO_BITS | ino.raw()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lead_back_and_are_never_live() {
        let (last_epoch, last_ino) = ((1 << EPOCH_BITS) - 1, (1 << INO_BITS) - 1);
        let all = Snapshots::All;
        let number = |epoch, ino| all.number(Epoch(epoch), Ino::from_raw(ino));
        for (epoch, ino) in [
            (1, 1),
            (7, last_ino),
            (last_epoch, 1),
            (last_epoch, last_ino),
        ] {
            let raw = number(epoch, ino).unwrap();
            assert!(raw.raw() > i64::MAX.cast_unsigned());
            let node = Node::Frozen(Epoch(epoch), Ino::from_raw(ino));
            assert_eq!(all.node(raw), Some(node));
        }
        assert_eq!(
            (number(last_epoch + 1, 1), number(1, last_ino + 1)),
            (None, None)
        );
        assert_eq!(all.node(Ino::ROOT), Some(Node::Root));
        assert_eq!(all.node(Ino::from_raw(2)), None);
    }

    #[test]
    fn numbers_of_one_are_those_of_the_head() {
        let one = Snapshots::One(Epoch(7));
        for ino in [1, 2, 1 << 45] {
            let raw = one.number(Epoch(7), Ino::from_raw(ino)).unwrap();
            assert_eq!(raw.raw(), ino);
            let node = Node::Frozen(Epoch(7), Ino::from_raw(ino));
            assert_eq!(one.node(raw), Some(node));
        }
    }
}
