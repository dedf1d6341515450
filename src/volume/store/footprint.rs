//! What directories take on the host, and what removing them gives back: files that several of them have count once,
//! and a file's space comes back when its last link goes.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const BLOCK_BYTES: u64 = 512;

/// The files of some directories.
#[derive(Debug, Default)]
pub struct Footprint {
    /// By device and inode.
    files: HashMap<(u64, u64), Links>,
}

/// A file's links.
#[derive(Debug, Clone, Copy)]
struct Links {
    bytes: u64,
    here: u64,
    everywhere: u64,
}

impl Footprint {
    /// Everything in and below `dir`, and itself. What vanishes meanwhile is not there.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut found = Self::default();
        found.walk(dir);
        found
    }

    fn walk(&mut self, path: &Path) {
        let Ok(metadata) = path.symlink_metadata() else {
            return;
        };
        self.note(&metadata);
        if metadata.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.for_each(|entry| self.walk(&entry.path()));
        }
    }

    fn note(&mut self, metadata: &Metadata) {
        let links = self.files.entry((metadata.dev(), metadata.ino()));
        let links = links.or_insert_with(|| Links {
            bytes: metadata.blocks() * BLOCK_BYTES,
            here: 0,
            // A directory has no other name.
            everywhere: if metadata.is_dir() {
                1
            } else {
                metadata.nlink()
            },
        });
        links.here += 1;
    }

    /// Takes another in.
    pub fn add(&mut self, other: &Self) {
        for (file, links) in &other.files {
            let here = self.files.get(file).map_or(0, |found| found.here);
            let here = here + links.here;
            self.files.insert(*file, Links { here, ..*links });
        }
    }

    /// What all of it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|links| links.bytes).sum()
    }

    /// What comes back when all of it goes.
    #[must_use]
    pub fn freed(&self) -> u64 {
        let ending = |links: &&Links| links.here >= links.everywhere;
        let gone = self.files.values().filter(ending);
        gone.map(|links| links.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_counts_when_its_last_link_goes() {
        let base = tempfile::tempdir().unwrap();
        let (a, b) = (base.path().join("a"), base.path().join("b"));
        for dir in [&a, &b] {
            fs::create_dir(dir).unwrap();
        }
        let empty = Footprint::of(&a).freed();
        let mut file = fs::File::create(a.join("file")).unwrap();
        file.write_all(&[1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let alone = Footprint::of(&a);
        assert!(alone.freed() >= 1 << 20);
        fs::hard_link(a.join("file"), b.join("file")).unwrap();
        let (a, b) = (Footprint::of(&a), Footprint::of(&b));
        assert_eq!((a.freed(), b.freed()), (empty, empty));
        assert_eq!(a.bytes(), alone.bytes());
        let mut both = Footprint::default();
        both.add(&a);
        both.add(&b);
        assert_eq!(both.freed(), alone.freed() + empty);
        assert_eq!(Footprint::of(&base.path().join("nope")).bytes(), 0);
    }
}
