//! The digest of a state: equal for equal rows, whichever volume they are in.

use crate::remote::hex;
use crate::remote::run::StreamRow;

/// A state that is being read in the order of its keys: inodes, entries, extents, attributes.
#[derive(Debug, Default)]
pub struct StateDigest(blake3::Hasher);

impl StateDigest {
    /// Adds a row.
    pub fn add(&mut self, row: &StreamRow) {
        self.0.update(&[row.table()]);
        match row {
            StreamRow::Inode(row) => {
                self.numbers(&[row.ino, row.mode.into(), row.uid.into(), row.gid.into()]);
                self.numbers(&[row.nlink.into(), row.size, row.allocated, row.rdev.into()]);
                self.numbers(&[row.parent, row.cookie]);
                for (secs, nanos) in [row.atime, row.mtime, row.ctime] {
                    self.numbers(&[secs.cast_unsigned(), nanos.into()]);
                }
                self.text(&row.target);
            }
            StreamRow::Entry(row) => {
                self.numbers(&[row.parent, row.ino, row.cookie]);
                self.text(&row.name);
            }
            StreamRow::Extent(row) => {
                self.numbers(&[row.ino, row.off, row.len, row.chunk_off]);
                self.0.update(row.hash.as_bytes());
            }
            StreamRow::Xattr(row) => {
                self.numbers(&[row.ino]);
                self.text(&row.name);
                self.text(&row.value);
            }
        }
    }

    /// The digest, in hexadecimal.
    #[must_use]
    pub fn finish(&self) -> String {
        hex::encode(self.0.finalize().as_bytes())
    }

    fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.0.update(&number.to_le_bytes());
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.numbers(&[text.len() as u64]);
        self.0.update(text);
    }
}
