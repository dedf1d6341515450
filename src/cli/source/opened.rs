//! A tree in a volume that this process has open.

use std::ops::Range;

use crate::cli::source::tree::{Failure, Source, Xattr};
use crate::types::{Attr, Ino, Name, NameBuf};
use crate::volume::Reading;

/// Entries listed at once.
const BATCH: usize = 1000;

/// A state of a volume. Nobody else has it open, so it does not change.
pub(super) struct Opened<'v>(pub(super) Reading<'v>);

impl Source for Opened<'_> {
    fn is_live(&self) -> bool {
        false
    }

    fn attr(&self, ino: Ino) -> Result<Attr, Failure> {
        Ok(self.0.getattr(ino)?)
    }

    fn children(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>, Failure> {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let entries = self.0.list(dir, after, BATCH)?;
            let Some(last) = entries.last() else { break };
            after = last.cookie;
            found.extend(entries.into_iter().map(|entry| (entry.name, entry.attr)));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn child(&self, dir: Ino, name: &Name) -> Result<Attr, Failure> {
        Ok(self.0.lookup(dir, name)?)
    }

    fn target(&self, link: Ino) -> Result<Vec<u8>, Failure> {
        Ok(self.0.readlink(link)?)
    }

    fn xattrs(&self, ino: Ino) -> Result<Vec<Xattr>, Failure> {
        Ok(self.0.xattrs(ino)?)
    }

    fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>, Failure> {
        Ok(self.0.next_run(file, from)?)
    }

    fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        Ok(self.0.read(file, offset, len)?)
    }
}
