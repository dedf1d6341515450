//! How often the kernel was told of each inode: a byte for most, since it may know millions. Knows nothing of names.

use std::collections::HashMap;

use crate::types::Ino;

/// Inodes that are counted side by side: those made together have numbers in a row.
const BLOCK: u8 = 64;

/// Blocks for which there is always memory.
const SPARE: usize = 16;

/// A count that does not fit into a byte stands in `many`, and this in its place.
const MANY: u8 = u8::MAX;

/// The inodes that the kernel was told of, and how often.
#[derive(Debug, Default)]
pub(super) struct KnownInodes {
    blocks: HashMap<u64, Block>,
    many: HashMap<Ino, u64>,
}

#[derive(Debug)]
struct Block {
    counts: [u8; BLOCK as usize],
    /// How many of these are not zero.
    known: u8,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            counts: [0; BLOCK as usize],
            known: 0,
        }
    }
}

/// The block of an inode, and where in it its count is.
fn place(ino: Ino) -> (u64, usize) {
    let at = ino.raw().to_le_bytes()[0] % BLOCK;
    (ino.raw() / u64::from(BLOCK), usize::from(at))
}

impl KnownInodes {
    /// The kernel was told of `ino` once more.
    pub(super) fn add(&mut self, ino: Ino) {
        let count = self.count(ino).saturating_add(1);
        self.set(ino, count);
    }

    /// The kernel gave back `count` of the times; how many are left, or `None` if it was never told.
    pub(super) fn give_back(&mut self, ino: Ino, count: u64) -> Option<u64> {
        let known = self.count(ino);
        if known == 0 {
            return None;
        }
        let left = known.saturating_sub(count);
        self.set(ino, left);
        Some(left)
    }

    pub(super) fn has(&self, ino: Ino) -> bool {
        self.count(ino) > 0
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn count(&self, ino: Ino) -> u64 {
        let (block, at) = place(ino);
        match self.blocks.get(&block).map_or(0, |block| block.counts[at]) {
            MANY => self.many.get(&ino).copied().unwrap_or(u64::from(MANY)),
            few => u64::from(few),
        }
    }

    fn set(&mut self, ino: Ino, count: u64) {
        let (at_block, at) = place(ino);
        let block = self.blocks.entry(at_block).or_default();
        let before = block.counts[at];
        let byte = u8::try_from(count).unwrap_or(MANY);
        block.counts[at] = byte;
        block.known = block.known + u8::from(byte > 0) - u8::from(before > 0);
        let is_empty = block.known == 0;
        if byte == MANY {
            self.many.insert(ino, count);
        } else if before == MANY {
            self.many.remove(&ino);
        }
        if is_empty {
            self.blocks.remove(&at_block);
            self.shrink();
        }
    }

    /// Gives memory back after the kernel has forgotten most of what it knew.
    fn shrink(&mut self) {
        let len = self.blocks.len();
        if self.blocks.capacity() > 8 * len.max(SPARE) {
            self.blocks.shrink_to(2 * len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_be_of_any_size() {
        let (mut known, ino) = (KnownInodes::default(), Ino::from_raw(130));
        assert_eq!(known.give_back(ino, 1), None);
        for _ in 0..1000 {
            known.add(ino);
        }
        known.add(Ino::from_raw(131));
        assert_eq!(known.give_back(ino, 700), Some(300));
        assert_eq!(known.give_back(ino, 45), Some(255));
        assert_eq!(known.give_back(ino, 1), Some(254));
        assert!(known.many.is_empty());
        known.add(ino);
        assert_eq!(known.give_back(ino, 255), Some(0));
        assert!(!known.has(ino) && known.has(Ino::from_raw(131)));
        // More than was told of is as much as was told of.
        assert_eq!(known.give_back(Ino::from_raw(131), 9), Some(0));
        assert!(known.blocks.is_empty() && known.many.is_empty());
    }

    #[test]
    fn a_million_take_little_and_nothing_once_they_are_forgotten() {
        let mut known = KnownInodes::default();
        let inos = || (1..=1_000_000).map(Ino::from_raw);
        inos().for_each(|ino| known.add(ino));
        let bytes = known.blocks.capacity() * (size_of::<u64>() + size_of::<Block>());
        assert!(bytes < 4 * 1024 * 1024, "{bytes}");
        for ino in inos() {
            assert_eq!(known.give_back(ino, 1), Some(0));
        }
        assert!(
            known.blocks.capacity() < 1000,
            "{}",
            known.blocks.capacity()
        );
    }
}
