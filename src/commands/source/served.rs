//! A tree in a volume that a server has open.

use std::ops::Range;

use crate::commands::source::tree::{Failure, Source, Xattr};
use crate::server::Served;
use crate::types::{Attr, Ino, Name, NameBuf};

impl Source for Served {
    fn is_live(&self) -> bool {
        Self::is_live(self)
    }

    fn attr(&self, ino: Ino) -> Result<Attr, Failure> {
        Ok(self.getattr(ino)?)
    }

    fn children(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>, Failure> {
        let mut found = self.list(dir)?;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn child(&self, dir: Ino, name: &Name) -> Result<Attr, Failure> {
        Ok(self.lookup(dir, name)?)
    }

    fn target(&self, link: Ino) -> Result<Vec<u8>, Failure> {
        Ok(self.readlink(link)?)
    }

    fn xattrs(&self, ino: Ino) -> Result<Vec<Xattr>, Failure> {
        Ok(Self::xattrs(self, ino)?)
    }

    fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>, Failure> {
        Ok(Self::next_run(self, file, from)?)
    }

    fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        Ok(Self::read(self, file, offset, len)?)
    }
}
