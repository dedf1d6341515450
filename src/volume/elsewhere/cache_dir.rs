//! Where a root keeps chunks of a repository that its volumes do not keep themselves: files that may go at any time,
//! those first that were used longest ago.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::types::VolumeId;

const DIR: &str = "cache";
const BLOCK_BYTES: u64 = 512;

/// The chunk cache of one repository, whether there is one or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkCache {
    dir: PathBuf,
    repository: VolumeId,
}

/// A file of it.
struct Part {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl ChunkCache {
    /// That of a repository, below `root`.
    #[must_use]
    pub fn below(root: &Path, repository: VolumeId) -> Self {
        Self {
            dir: root.join(DIR).join(repository.to_string()),
            repository,
        }
    }

    /// All that there are below `root`.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(root: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(root.join(DIR)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let repository = name.to_str().and_then(|name| name.parse().ok());
            found.extend(repository.map(|repository| Self::below(root, repository)));
        }
        Ok(found)
    }

    /// The repository whose chunks are there.
    #[must_use]
    pub const fn repository(&self) -> VolumeId {
        self.repository
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that it takes on the host; what cannot be looked at counts as nothing.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let parts = self.parts().unwrap_or_default();
        parts.iter().map(|part| part.bytes).sum()
    }

    /// Removes files, those first that were used longest ago, until the rest takes so many bytes on the host at most.
    ///
    /// # Errors
    /// When the directory cannot be read, or a file not be removed.
    pub fn trim(&self, bytes_max: u64) -> io::Result<()> {
        let mut parts = self.parts()?;
        let mut bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        parts.sort_unstable_by_key(|part| part.used);
        for part in parts {
            if bytes <= bytes_max {
                return Ok(());
            }
            forgiving(fs::remove_file(&part.path))?;
            bytes -= part.bytes;
        }
        Ok(())
    }

    /// Removes all of it. Servers that use it fetch again.
    ///
    /// # Errors
    /// When something cannot be removed, or a server puts something there meanwhile.
    pub fn remove(&self) -> io::Result<()> {
        forgiving(fs::remove_dir_all(&self.dir))
    }

    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
    }

    fn parts(&self) -> io::Result<Vec<Part>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut parts = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Another server may have removed it since it was listed.
            let found = entry.metadata().ok().filter(Metadata::is_file);
            parts.extend(found.map(|metadata| Part {
                used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                bytes: metadata.blocks() * BLOCK_BYTES,
                path: entry.path(),
            }));
        }
        Ok(parts)
    }
}

/// What is gone already need not be removed.
fn forgiving(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;
    use std::time::Duration;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let cache = ChunkCache::below(root.path(), VolumeId::random());
        assert_eq!(cache.bytes(), 0);
        cache.trim(0).unwrap();
        cache.remove().unwrap();
        cache.make().unwrap();
        for number in 0..8_u64 {
            let mut file = File::create(cache.dir().join(number.to_string())).unwrap();
            file.write_all(&[1; 8192]).unwrap();
            // Not in the order of their names.
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(number * 3 % 8);
            file.set_modified(used).unwrap();
            file.sync_all().unwrap();
        }
        let all = cache.bytes();
        cache.trim(all).unwrap();
        assert_eq!(cache.bytes(), all);
        cache.trim(all / 2).unwrap();
        let left = |number: u64| cache.dir().join(number.to_string()).exists();
        let expected: Vec<_> = (0..8).filter(|number| number * 3 % 8 >= 4).collect();
        let left: Vec<_> = (0..8).filter(|number| left(*number)).collect();
        assert_eq!(left, expected);
        let found = ChunkCache::all(root.path()).unwrap();
        assert_eq!(found, std::slice::from_ref(&cache));
        cache.remove().unwrap();
        assert!(ChunkCache::all(root.path()).unwrap().is_empty());
    }
}
