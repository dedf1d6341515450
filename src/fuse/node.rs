//! Node numbers of the snapshots' superblock: an epoch and an inode in one, never a live file's number.

use fuser::INodeNo;

use crate::types::{Epoch, Ino};

/// Set in every number but the root's: live inodes are below, as SQLite counts to 2^63 - 1.
const MARK: u64 = 1 << 63;
const INO_BITS: u32 = 40;
const EPOCH_BITS: u32 = 63 - INO_BITS;

/// A node of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// The root, which holds a directory for each snapshot.
    Root,
    /// An inode as it was at a snapshot.
    Frozen(Epoch, Ino),
}

impl Node {
    /// The node of this number, if it is one.
    pub(super) fn from_raw(raw: INodeNo) -> Option<Self> {
        if raw == INodeNo::ROOT {
            return Some(Self::Root);
        }
        let rest = raw.0.checked_sub(MARK)?;
        let epoch = Epoch((rest >> INO_BITS).cast_signed());
        let ino = Ino::from_raw(rest & ((1 << INO_BITS) - 1));
        Some(Self::Frozen(epoch, ino))
    }

    /// Its number; none when the epoch or the inode is too large to be told apart.
    pub(super) fn to_raw(self) -> Option<INodeNo> {
        let Self::Frozen(epoch, ino) = self else {
            return Some(INodeNo::ROOT);
        };
        let epoch = u64::try_from(epoch.0).ok()?;
        let fits = epoch >> EPOCH_BITS == 0 && ino.raw() >> INO_BITS == 0;
        fits.then_some(INodeNo(MARK | epoch << INO_BITS | ino.raw()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_and_are_never_live() {
        let (last_epoch, last_ino) = ((1 << EPOCH_BITS) - 1, (1 << INO_BITS) - 1);
        for (epoch, ino) in [
            (1, 1),
            (7, last_ino),
            (last_epoch, 1),
            (last_epoch, last_ino),
        ] {
            let node = Node::Frozen(Epoch(epoch), Ino::from_raw(ino));
            let raw = node.to_raw().unwrap();
            assert!(raw.0 > i64::MAX.cast_unsigned());
            assert_eq!(Node::from_raw(raw), Some(node));
        }
        let node = |epoch, ino| Node::Frozen(Epoch(epoch), Ino::from_raw(ino)).to_raw();
        assert_eq!(
            (node(last_epoch + 1, 1), node(1, last_ino + 1)),
            (None, None)
        );
        assert_eq!(Node::from_raw(INodeNo(1)), Some(Node::Root));
        assert_eq!(Node::from_raw(INodeNo(2)), None);
    }
}
