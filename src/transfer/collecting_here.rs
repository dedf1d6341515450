//! That a collection of this host is under way: a locked file with the name of its mark. Whoever gets the lock knows
//! that the one before has ended, and need not wait to find that out.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Error, Result};
use crate::remote::{self, Key, Mark, Repository};

const FILE: &str = "collecting";

/// The file, locked.
#[derive(Debug)]
pub(super) struct CollectingHere(File);

impl CollectingHere {
    /// Takes the lock, and takes away the mark of a collection of this host that was killed.
    ///
    /// # Errors
    /// [`Error::Collecting`]; [`Error::Remote`].
    pub(super) fn begin(cache: &Path, repository: &Repository) -> Result<Self> {
        let path = cache.join(FILE);
        let cannot = |source| remote::Error::Host {
            what: format!("use {}", path.display()),
            source,
        };
        fs::create_dir_all(cache).map_err(cannot)?;
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(cannot)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::Collecting);
        }
        let mut left = String::new();
        file.read_to_string(&mut left).map_err(cannot)?;
        // What was half written names no mark, and what is gone is not removed again.
        if left.starts_with("index/now-") && left.ends_with('\n') {
            repository.unmark(&Key::new(left.trim_end()))?;
        }
        Ok(Self(file))
    }

    /// Notes the mark of this collection.
    pub(super) fn note(&mut self, mark: &Mark) -> Result<()> {
        self.write(&format!("{}\n", mark.key()))
    }

    /// It has ended.
    pub(super) fn end(mut self) -> Result<()> {
        self.write("")
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written = self
            .0
            .set_len(0)
            .and_then(|()| self.0.rewind())
            .and_then(|()| self.0.write_all(text.as_bytes()));
        Ok(written.map_err(|source| remote::Error::Host {
            what: format!("write {FILE}"),
            source,
        })?)
    }
}
